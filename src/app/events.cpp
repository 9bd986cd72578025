#include <cstdio>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/capture_json.hpp"

#include "commands.hpp"

namespace responder::app {
namespace {

std::string as_json(const journal::Capture& capture) {
  JsonWriter json;
  json.begin_object();
  write_fields(json, capture);
  json.end_object();
  return std::move(json).str();
}

std::string as_line(const journal::Capture& capture) {
  const auto& name = capture.camera_name.empty() ? capture.camera.str() : capture.camera_name;
  const std::string what = capture.published ? capture.published->clip : capture.reason;
  const auto duration = capture.window_end - capture.window_start;
  return fmt::format("{}  {:<9}  {:<24}  {:<20}  {:>5} s  {}", format_rfc3339(WallTime(capture.window_start)),
                     to_string(capture.state), printable(name, 24), printable(join(capture.activities, ","), 20),
                     duration.count(), printable(what));
}

}  // namespace

int events(const Config& config, const EventsOptions& options) {
  journal::Filter filter;
  filter.limit = options.limit;
  if (!options.state.empty()) {
    filter.state = journal::parse_state(options.state);
    if (!filter.state)
      return complain(fmt::format("--state {} is unknown: give waiting, capturing, done, partial, failed or ignored",
                                  printable(options.state, 40)));
  }
  if (!options.after.empty()) {
    const auto after = parse_time(options.after, SystemClock().wall_now());
    if (!after) return complain("--after: " + after.error().message);
    filter.after = *after;
  }
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!journal) return complain(journal.error().message + " (journal.path; has serve run yet?)");
  // Read first, printed then: whoever looks at the pages of it keeps nobody from the journal.
  std::vector<std::string> lines;
  const auto read = journal->each(filter, [&](const journal::Capture& capture) {
    lines.push_back(options.json ? as_json(capture) : as_line(capture));
  });
  if (!read) return complain(read.error().message);
  for (const auto& line : lines) fmt::print("{}\n", line);
  return exit_done;
}

}  // namespace responder::app
