#include "json_repair.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "responder/base/text.hpp"

namespace responder::rhombus::json {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view escaped_replacement = "\\ufffd";
constexpr std::size_t escape_length = 6;  // \uXXXX

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_of_number(char c) { return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'; }

// The number of digits at the start.
std::size_t digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

template <class Number>
std::errc read(std::string_view text, Number& number) {
  return std::from_chars(text.data(), text.data() + text.size(), number).ec;
}

// The parts of a JSON number.
struct Number {
  bool negative = false;
  std::string_view whole, fraction, exponent;  // digits; the exponent with its sign

  bool is_integer() const { return fraction.empty() && exponent.empty(); }
};

// nullopt: it has not the form of one.
std::optional<Number> split_number(std::string_view text) {
  Number number;
  const auto take = [&text](std::size_t length) {
    const auto part = text.substr(0, length);
    text.remove_prefix(length);
    return part;
  };
  number.negative = text.starts_with('-');
  if (number.negative) take(1);
  number.whole = take(digits(text));
  if (number.whole.empty() || (number.whole.size() > 1 && number.whole.front() == '0')) return std::nullopt;
  if (text.starts_with('.')) {
    take(1);
    number.fraction = take(digits(text));
    if (number.fraction.empty()) return std::nullopt;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    take(1);
    if (text.starts_with('+')) take(1);
    const std::size_t sign = text.starts_with('-') ? 1 : 0;
    const auto length = digits(text.substr(sign));
    if (length == 0) return std::nullopt;
    number.exponent = take(sign + length);
  }
  return text.empty() ? std::optional(number) : std::nullopt;
}

// Whether it is far from zero, of a number that is too large or too small for a double. What is too small is zero to
// a parser.
bool is_large(const Number& number) {
  std::int64_t exponent = 0;
  if (!number.exponent.empty() && read(number.exponent, exponent) != std::errc{})
    return !number.exponent.starts_with('-');
  const auto zeros = std::min(number.fraction.find_first_not_of('0'), number.fraction.size());
  const auto digits_before_point =
      number.whole == "0" ? -static_cast<std::int64_t>(zeros) : static_cast<std::int64_t>(number.whole.size());
  return exponent > -digits_before_point;
}

// Whether it has the form of a JSON number and no type of ours can hold it.
bool is_out_of_range(std::string_view text) {
  const auto number = split_number(text);
  if (!number) return false;
  if (number->is_integer()) {
    std::int64_t with_sign = 0;
    std::uint64_t without = 0;
    return (number->negative ? read(text, with_sign) : read(text, without)) == std::errc::result_out_of_range;
  }
  double value = 0;
  return read(text, value) == std::errc::result_out_of_range && is_large(*number);
}

// The code unit of the escape \uXXXX at the start, if there is one.
std::optional<unsigned> escaped_unit(std::string_view text) {
  if (text.size() < escape_length || !text.starts_with("\\u")) return std::nullopt;
  unsigned unit = 0;
  const auto* const end = text.data() + escape_length;
  const auto [stop, error] = std::from_chars(text.data() + 2, end, unit, 16);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return unit;
}

bool is_first_half(unsigned unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool is_second_half(unsigned unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

class Repair {
 public:
  explicit Repair(std::string_view text) : rest_(text) { repaired_.reserve(text.size() + text.size() / 16); }

  std::string run() && {
    while (!rest_.empty()) {
      if (rest_.front() == '"') {
        string();
      } else if (rest_.front() == '-' || is_digit(rest_.front())) {
        number();
      } else {
        copy(1);
      }
    }
    return std::move(repaired_);
  }

 private:
  void copy(std::size_t length) {
    repaired_ += rest_.substr(0, length);
    rest_.remove_prefix(std::min(length, rest_.size()));
  }
  void replace(std::size_t length, std::string_view by) {
    repaired_ += by;
    rest_.remove_prefix(length);
  }

  void number() {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_of_number);
    const auto length = static_cast<std::size_t>(end - rest_.begin());
    if (is_out_of_range(rest_.substr(0, length))) return replace(length, "null");
    copy(length);
  }

  void string() {
    copy(1);
    while (!rest_.empty() && rest_.front() != '"') character();
    copy(1);
  }

  void character() {
    if (rest_.front() == '\\') return escape();
    if (static_cast<unsigned char>(rest_.front()) < 0x20) return replace(1, " ");
    const auto length = utf8_length(rest_);
    length == 0 ? replace(1, replacement) : copy(length);
  }

  void escape() {
    const auto unit = escaped_unit(rest_);
    if (!unit) return copy(2);
    if (!is_first_half(*unit) && !is_second_half(*unit)) return copy(escape_length);
    const auto next = escaped_unit(rest_.substr(escape_length));
    const bool is_pair = is_first_half(*unit) && next && is_second_half(*next);
    is_pair ? copy(2 * escape_length) : replace(escape_length, escaped_replacement);
  }

  std::string_view rest_;
  std::string repaired_;
};

}  // namespace

std::string repair(std::string_view text) { return Repair(text).run(); }

bool may_be_repaired(std::string_view string) {
  return string.find(replacement) != std::string_view::npos || string.find(' ') != std::string_view::npos;
}

}  // namespace responder::rhombus::json
