#include "responder/base/time_text.hpp"

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder {
namespace {

using namespace std::chrono;

std::optional<milliseconds> parse_relative(std::string_view text) {
  if (text.size() < 3 || text.front() != '-') return std::nullopt;
  const auto count = parse_int(text.substr(1, text.size() - 2));
  if (!count || *count < 0 || *count > 1'000'000'000) return std::nullopt;
  switch (text.back()) {
    case 's': return seconds(*count);
    case 'm': return minutes(*count);
    case 'h': return hours(*count);
    case 'd': return days(*count);
    default: return std::nullopt;
  }
}

// The number in text[position, position + length), if all of it is digits.
std::optional<int> digits(std::string_view text, std::size_t position, std::size_t length) {
  if (text.size() < position + length) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(position, length)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// The offset at the end of an RFC 3339 time: "Z" or "+hh:mm".
std::optional<minutes> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return minutes(0);
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const auto hour = digits(text, 1, 2);
  const auto minute = digits(text, 4, 2);
  if (!hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
  const auto offset = hours(*hour) + minutes(*minute);
  return text[0] == '+' ? offset : -offset;
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  const auto year_ = digits(text, 0, 4);
  const auto month_ = digits(text, 5, 2);
  const auto day_ = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  if (!year_ || !month_ || !day_ || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') ||
      text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  const year_month_day date{year(*year_), month(static_cast<unsigned>(*month_)), day(static_cast<unsigned>(*day_))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;

  text.remove_prefix(19);
  milliseconds fraction{0};
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    int scale = 100;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      fraction += milliseconds((text.front() - '0') * scale);
      scale /= 10;
      text.remove_prefix(1);
    }
  }
  const auto offset = parse_offset(text);
  if (!offset) return std::nullopt;
  return WallTime(sys_days(date)) + hours(*hour) + minutes(*minute) + seconds(*second) + fraction - *offset;
}

}  // namespace

Result<WallTime> parse_time(std::string_view text, WallTime now) {
  text = trim(text);
  if (const auto ago = parse_relative(text)) return now - *ago;
  if (const auto epoch = parse_int(text); epoch && *epoch >= 0 && *epoch < 253'402'300'800) {
    return WallTime(seconds(*epoch));
  }
  if (const auto time = parse_rfc3339(text)) return *time;
  return Error{
      ErrorKind::permanent,
      fmt::format("'{}' is not a time: give epoch seconds, 2024-01-10T14:30:22Z, or -24h", printable(text, 60))};
}

std::string format_rfc3339(WallTime time) {
  const std::time_t epoch = floor<seconds>(time).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&epoch, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string format_for_name(sys_seconds time, NameZone zone) {
  const std::time_t epoch = time.time_since_epoch().count();
  std::tm parts{};
  zone == NameZone::utc ? gmtime_r(&epoch, &parts) : localtime_r(&epoch, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%d_%H%M%S", &parts)};
}

}  // namespace responder
