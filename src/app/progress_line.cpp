#include "progress_line.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace responder::app {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string format_duration(seconds duration) {
  const auto all = duration.count();
  if (all < 60) return fmt::format("{} s", all);
  if (all < 3600) return fmt::format("{} min {} s", all / 60, all % 60);
  return fmt::format("{} h {} min", all / 3600, all % 3600 / 60);
}

std::string progress_text(std::string_view what, std::uint64_t bytes, std::uint64_t total_bytes,
                          milliseconds elapsed) {
  auto text = fmt::format("{}, {} of {}", what, format_bytes(bytes), format_bytes(std::max(bytes, total_bytes)));
  const double rate = static_cast<double>(bytes) / std::max(0.001, std::chrono::duration<double>(elapsed).count());
  if (rate < 1) return text;
  text += fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(rate)));
  if (total_bytes <= bytes) return text;
  const auto left = seconds(static_cast<std::int64_t>(static_cast<double>(total_bytes - bytes) / rate) + 1);
  return text + fmt::format(", about {} left", format_duration(left));
}

ProgressLine::ProgressLine(const Clock& clock)
    : clock_(clock), began_(clock.steady_now()), on_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(std::string_view what, std::uint64_t bytes, std::uint64_t total_bytes) {
  constexpr seconds worth_showing{1};
  constexpr milliseconds pause{200};
  const auto now = clock_.steady_now();
  if (!on_terminal_ || now - began_ < worth_showing || (shown_at_ && now - *shown_at_ < pause)) return;
  const auto elapsed = std::chrono::duration_cast<milliseconds>(now - began_);
  fmt::print(stderr, "\r\033[K{}", progress_text(what, bytes, total_bytes, elapsed));
  std::fflush(stderr);
  shown_at_ = now;
  is_shown_ = true;
}

void ProgressLine::clear() {
  if (std::exchange(is_shown_, false)) fmt::print(stderr, "\r\033[K");
}

}  // namespace responder::app
