#include <cstdio>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/capture_json.hpp"

#include "commands.hpp"
#include "set_up.hpp"
#include "table.hpp"

namespace responder::app {
namespace {

std::string as_json(const journal::Capture& capture) {
  JsonWriter json;
  json.begin_object();
  write_fields(json, capture);
  json.end_object();
  return std::move(json).str();
}

// What is wrong before what there is: a narrow terminal shows the beginning.
std::string clip_or_reason(const journal::Capture& capture) {
  if (!capture.published) return capture.reason;
  const auto& clip = capture.published->clip;
  return capture.reason.empty() ? clip : fmt::format("{} ({})", capture.reason, clip);
}

Table empty_table() {
  return Table({{.heading = "WINDOW FROM"},
                {.heading = "CAMERA", .may_shrink = true},
                {.heading = "ACTIVITIES", .may_shrink = true},
                {.heading = "STATE"},
                {.heading = "LENGTH"},
                {.heading = "ALERT"},
                {.heading = "CLIP OR REASON"}});
}

std::vector<std::string> as_row(const journal::Capture& capture) {
  constexpr std::size_t whole = 4096;
  const auto& name = capture.camera_name.empty() ? capture.camera.str() : capture.camera_name;
  return {format_rfc3339(WallTime(capture.window_start)),
          printable(name, whole),
          printable(join(capture.activities, ","), whole),
          std::string(to_string(capture.state)),
          fmt::format("{:>4} s", (capture.window_end - capture.window_start).count()),
          capture.alert.str(),
          printable(clip_or_reason(capture), whole)};
}

// An Error names the option.
Result<journal::Filter> read_filter(const EventsOptions& options, WallTime now) {
  journal::Filter filter{.camera = options.camera, .activity = options.activity, .limit = options.limit};
  const auto unknown = [](std::string_view option, const std::string& given, std::string_view known) {
    return Error{ErrorKind::permanent, fmt::format("{} {} is unknown: give {}", option, printable(given, 40), known)};
  };
  if (!options.state.empty()) {
    filter.state = journal::parse_state(options.state);
    if (!filter.state)
      return unknown("--state", options.state, "waiting, capturing, done, partial, failed or ignored");
  }
  if (!options.via.empty()) {
    filter.via = journal::parse_via(options.via);
    if (to_string(*filter.via) != options.via) return unknown("--via", options.via, "webhook, catch-up or manual");
  }
  const auto read_time = [&](std::string_view option, const std::string& text,
                             std::optional<WallTime>& time) -> Result<void> {
    if (text.empty()) return {};
    const auto given = parse_time(text, now);
    if (!given) return with_context(given.error(), option);
    time = *given;
    return {};
  };
  if (auto read = read_time("--after", options.after, filter.after); !read) return read.error();
  if (auto read = read_time("--before", options.before, filter.before); !read) return read.error();
  if (filter.after && filter.before && *filter.before <= *filter.after)
    return Error{ErrorKind::permanent, "--before is not later than --after"};
  return filter;
}

}  // namespace

int events(const Config& config, const EventsOptions& options) {
  const auto filter = read_filter(options, SystemClock().wall_now());
  if (!filter) return complain(filter.error().message);
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  // Read first, printed then: whoever looks at the pages of it keeps nobody from the journal.
  std::vector<std::string> lines;
  auto table = empty_table();
  const auto read = journal->each(*filter, [&](const journal::Capture& capture) {
    options.json ? lines.push_back(as_json(capture)) : table.add(as_row(capture));
  });
  if (!read) return complain(read.error().message);
  if (!table.empty()) lines = table.lines(terminal_width());
  for (const auto& line : lines) fmt::print("{}\n", line);
  return exit_done;
}

}  // namespace responder::app
