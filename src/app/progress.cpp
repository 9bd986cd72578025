#include "progress.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "progress_line.hpp"

namespace responder::app {
namespace {

using std::chrono::seconds;

constexpr seconds first_shown_after{1};
constexpr seconds line_interval{30};  // where there is no terminal

// Cut by characters, filled up with spaces.
std::string fitted(std::string_view text, std::size_t columns) {
  std::string kept;
  std::size_t used = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (begins && used++ == columns) break;
    kept += c;
  }
  used = std::min(used, columns);
  return kept + std::string(columns - used, ' ');
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// The note without its last parts, as far as they have no room: "26.5 MB/s, about 2" would say nothing.
std::string shortened_note(std::string note, std::size_t room) {
  while (columns_of(note) > room) {
    const auto comma = note.rfind(", ");
    if (comma == std::string::npos) return fitted(note, room);
    note.resize(comma);
  }
  return note;
}

struct Terminal {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

Terminal terminal() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

}  // namespace

std::string draw(const Bar& bar, std::size_t label_width, std::size_t width) {
  constexpr std::size_t usual_bar = 24;
  constexpr std::size_t least_bar = 8;
  constexpr std::size_t usual_width = 80;
  constexpr std::size_t beside = 2 + 2 + 6 + 2;  // the spaces, the brackets, the percentage
  // One column less: a line that fills the last one may wrap.
  const auto as_line = [&](const std::string& line) { return fitted(line, std::min(columns_of(line), width - 1)); };
  if (!bar.share) {
    const auto room = width - std::min(width, label_width + 2 + 1);
    return as_line(fmt::format("{}  {}", fitted(bar.label, label_width), shortened_note(bar.note, room)));
  }
  const auto room = width - std::min(width, label_width + beside + 1);
  // A wide terminal has a longer bar; a narrow one a shorter bar before the note gives way.
  const auto longest_bar = usual_bar + (width > usual_width ? (width - usual_width) / 2 : 0);
  const auto beside_note = room - std::min(room, columns_of(bar.note));
  const auto bar_width = std::clamp(beside_note, least_bar, longest_bar);
  const double share = std::clamp(*bar.share, 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(std::floor(share * static_cast<double>(bar_width)));
  return as_line(fmt::format("{}  [{}{}] {:>3.0f} %  {}", fitted(bar.label, label_width), std::string(filled, '#'),
                             std::string(bar_width - filled, '-'), std::floor(share * 100),
                             shortened_note(bar.note, room - std::min(room, bar_width))));
}

std::string time_left(double share, std::chrono::steady_clock::duration elapsed) {
  constexpr double enough_to_tell = 0.002;
  if (share < enough_to_tell || share >= 1) return "";
  const auto left = std::chrono::duration<double>(elapsed) * ((1 - share) / share);
  return fmt::format("about {} left", format_duration(std::chrono::ceil<seconds>(left)));
}

ProgressDisplay::ProgressDisplay(SteadyTime began, Elsewhere elsewhere)
    : began_(began), elsewhere_(elsewhere), on_terminal_(::isatty(STDERR_FILENO) == 1), line_told_at_(began) {}

void ProgressDisplay::show(const std::vector<Bar>& bars, SteadyTime now) {
  if (bars.empty()) return;
  if (!on_terminal_) {
    if (elsewhere_ == Elsewhere::nothing || now - line_told_at_ < line_interval) return;
    line_told_at_ = now;
    const auto& all = bars.back();
    const auto percent = all.share ? fmt::format("{:.0f} %, ", std::floor(*all.share * 100)) : "";
    fmt::print(stderr, "{}: {}{}\n", all.label, percent, all.note);
    return;
  }
  if (now - began_ < first_shown_after) return;
  clear();
  const auto size = terminal();
  // Those for which there is no room are in the one for all.
  const auto room = std::max<std::size_t>(1, size.rows - 2);
  const auto first = bars.size() > room ? bars.size() - room : 0;
  std::size_t label_width = 0;
  for (const auto& bar : bars) label_width = std::max(label_width, columns_of(bar.label));
  label_width = std::min<std::size_t>(label_width, 28);
  std::string text;
  for (std::size_t i = first; i < bars.size(); ++i) text += draw(bars[i], label_width, size.columns) + "\n";
  lines_shown_ = bars.size() - first;
  fmt::print(stderr, "{}", text);
}

void ProgressDisplay::print(std::string_view line) {
  clear();
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

void ProgressDisplay::clear() {
  if (lines_shown_ == 0) return;
  // From the first column: the terminal may have written ^C into the line.
  fmt::print(stderr, "\r\x1b[{}A\x1b[J", lines_shown_);
  lines_shown_ = 0;
}

}  // namespace responder::app
