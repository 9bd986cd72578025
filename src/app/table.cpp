#include "table.hpp"

#include <algorithm>
#include <clocale>
#include <cwchar>
#include <numeric>

#include <sys/ioctl.h>
#include <unistd.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

constexpr std::size_t gap = 2;               // between columns
constexpr std::size_t least_shrunk = 8;      // of a column
constexpr std::size_t least_beside = 24;     // of the last column, or it goes below
constexpr std::string_view indent = "    ";  // of what is below

// The system's table of widths, which goes by the locale; the program leaves that alone but for as long as this
// lives.
class WidthTable {
 public:
  WidthTable() : before_(locale() != nullptr ? ::uselocale(locale()) : nullptr) {}
  ~WidthTable() {
    if (before_ != nullptr) ::uselocale(before_);
  }
  WidthTable(const WidthTable&) = delete;
  WidthTable& operator=(const WidthTable&) = delete;

  std::size_t width(char32_t point) const {
    const int columns = before_ == nullptr ? 1 : ::wcwidth(static_cast<wchar_t>(point));
    return columns < 0 ? 1 : static_cast<std::size_t>(columns);
  }

 private:
  static locale_t locale() {
    static const locale_t kept = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return kept;
  }
  locale_t before_;
};

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Calls `see` with each character of UTF-8 text and its width; until it returns false.
template <class See>
void each_character(std::string_view text, See see) {
  const WidthTable table;
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    const auto character = text.substr(0, std::min(wanted, text.size()));
    char32_t point = character.size() == 1 ? lead : lead & (0xFFU >> (character.size() + 1));
    for (const char c : character.substr(1)) point = (point << 6U) | (static_cast<unsigned char>(c) & 0x3FU);
    if (!see(character, table.width(point))) return;
    text.remove_prefix(character.size());
  }
}

std::string padded(std::string text, std::size_t width) {
  const auto taken = display_width(text);
  if (taken < width) text.append(width - taken, ' ');
  return text;
}

std::string without_trailing_space(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  if (is_ascii(text)) return text.size();
  std::size_t width = 0;
  each_character(text, [&](std::string_view, std::size_t columns) {
    width += columns;
    return true;
  });
  return width;
}

std::string fit(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::string kept;
  std::size_t taken = 0;
  each_character(text, [&](std::string_view character, std::size_t columns) {
    if (taken + columns > width - 1) return false;
    taken += columns;
    kept += character;
    return true;
  });
  return kept + "…";
}

std::vector<std::size_t> Table::natural_widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(display_width(columns_[i].heading));
    for (const auto& row : rows_) widths.back() = std::max(widths.back(), display_width(row[i]));
  }
  return widths;
}

void Table::add(std::vector<std::string> cells) {
  constexpr std::size_t longest = 64 * 1024;
  for (auto& cell : cells) cell = printable(cell, longest);
  rows_.push_back(std::move(cells));
}

std::vector<std::string> Table::lines(std::optional<std::size_t> width) const {
  auto widths = natural_widths();
  const auto last = columns_.size() - 1;
  const auto taken = [&] { return std::accumulate(widths.begin(), widths.end() - 1, gap * last); };
  bool below = false;
  if (width) {
    const auto wanted = std::min(widths[last], least_beside);
    // Of those that may, the widest gives way.
    const auto shrink = [&](std::size_t room) {
      while (taken() > room) {
        std::size_t* widest = nullptr;
        for (std::size_t i = 0; i < last; ++i) {
          if (columns_[i].may_shrink && widths[i] > least_shrunk && (widest == nullptr || widths[i] > *widest))
            widest = &widths[i];
        }
        if (widest == nullptr) return false;
        --*widest;
      }
      return true;
    };
    const auto natural = widths;
    below = *width < wanted || !shrink(*width - wanted);
    if (below) {
      widths = natural;
      shrink(*width + gap);
      widths[last] = *width - std::min(*width, indent.size());
    } else {
      widths[last] = *width - taken();
    }
  }
  std::vector<std::string> lines;
  const auto add = [&](const std::vector<std::string>& cells, bool is_heading) {
    std::string line;
    for (std::size_t i = 0; i < last; ++i)
      line += padded(fit(cells[i], widths[i]), widths[i]) + std::string(gap, ' ');
    if (!below) line += fit(cells[last], widths[last]);
    lines.push_back(without_trailing_space(std::move(line)));
    if (below && !is_heading && !cells[last].empty())
      lines.push_back(std::string(indent) + fit(cells[last], widths[last]));
  };
  std::vector<std::string> headings;
  for (const auto& column : columns_) headings.push_back(column.heading);
  add(headings, true);
  for (const auto& row : rows_) add(row, false);
  return lines;
}

std::optional<std::size_t> terminal_width() {
  if (::isatty(STDOUT_FILENO) != 1) return std::nullopt;
  constexpr std::size_t usual = 80;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual;
  return size.ws_col;
}

}  // namespace responder::app
