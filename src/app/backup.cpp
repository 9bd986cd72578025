// backup: footage of a range from many cameras, in files of an hour, through the same captures as alerts.
#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

#include "commands.hpp"
#include "range_run.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

// As a shell takes it for one word.
std::string as_shell_word(std::string_view word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// How the same is asked for again, word for word.
std::string same_again(const BackupOptions& options, const TimeRange& range, const std::string& config_file) {
  auto line = fmt::format("rhombus-responder backup --start {} --duration {}", range.start.time_since_epoch().count(),
                          (range.end - range.start).count());
  const auto add = [&](std::string_view option, const std::optional<std::string>& value) {
    if (value) line += fmt::format(" {} {}", option, as_shell_word(printable(*value, 1000)));
  };
  add("--camera", options.camera);
  add("--location", options.location);
  add("--split", options.split);
  if (!config_file.empty()) add("--config", config_file);
  return line;
}

}  // namespace

int backup(const Config& config, const std::string& config_file, const BackupOptions& options,
           const Signals& signals) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  const auto now = SystemClock().wall_now();
  std::optional<WallTime> start;
  if (options.start) {
    const auto time = parse_time(*options.start, now);
    if (!time) return complain("--start: " + time.error().message);
    start = *time;
  }
  std::optional<std::chrono::seconds> duration;
  if (options.duration) {
    const auto given = parse_duration(*options.duration);
    if (!given) return complain("--duration: " + given.error().message);
    duration = *given;
  }
  const auto request = read_range(start, duration, now);
  if (!request) return complain("--start, --duration: " + request.error().message);
  const auto length = parse_duration(options.split.value_or("1h"));
  if (!length) return complain("--split: " + length.error().message);
  const auto files = (request->range.end - request->range.start) / *length;
  if (const auto few = check_number(static_cast<std::uint64_t>(files)); !few) return complain(few.error().message);
  if (!request->remark.empty()) complain(request->remark);
  set_process_up();
  return take_ranges(config,
                     {.parts = split(request->range, *length, config.archive.timezone),
                      .choice = {options.camera, options.location},
                      .same_again = same_again(options, request->range, config_file)},
                     signals);
}

}  // namespace responder::app
