#include <cstdio>

#include <fmt/format.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/journal.hpp"

#include "commands.hpp"

namespace responder::app {
namespace {

double to_seconds(WallTime time) { return static_cast<double>(time.time_since_epoch().count()) / 1000.0; }

// Nothing more will be tried for it.
bool is_final(const journal::Capture& capture) {
  return capture.state != journal::State::waiting && capture.state != journal::State::capturing &&
         !capture.next_attempt_at;
}

std::string as_json(const journal::Capture& capture) {
  JsonWriter json;
  json.begin_object()
      .field("alert", capture.alert.str())
      .field("camera", capture.camera.str())
      .field("camera_name", capture.camera_name)
      .field("location", capture.location.str());
  json.key("activities").begin_array();
  for (const auto& activity : capture.activities) json.value(activity);
  json.end_array();
  json.field("state", to_string(capture.state))
      .field("reason", capture.reason)
      .field("via", to_string(capture.via))
      .field("received_at", to_seconds(capture.received_at))
      .field("window_start", capture.window_start.time_since_epoch().count())
      .field("window_end", capture.window_end.time_since_epoch().count())
      .field("attempts", capture.attempts)
      .field("final", is_final(capture));
  json.key("next_attempt_at");
  capture.next_attempt_at ? json.value(to_seconds(*capture.next_attempt_at)) : json.null();
  const auto& published = capture.published;
  json.key("source");
  published ? json.value(published->source) : json.null();
  json.key("clip");
  published ? json.value(published->clip) : json.null();
  json.key("bytes");
  published ? json.value(published->bytes) : json.null();
  json.key("sha256");
  published ? json.value(published->sha256) : json.null();
  json.key("gaps").begin_array();
  if (published) {
    for (const auto& gap : published->gaps) {
      json.begin_object().field("start", to_seconds(gap.start)).field("end", to_seconds(gap.end)).end_object();
    }
  }
  json.end_array().field("kind", to_string(capture.kind)).field("held", capture.held).key("removed_at");
  capture.removed_at ? json.value(to_seconds(*capture.removed_at)) : json.null();
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
