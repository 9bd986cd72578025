#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/capture_json.hpp"
#include "responder/rhombus/activities.hpp"

#include "commands.hpp"
#include "names.hpp"
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

// With what a person has to know to trust the clip.
std::string state_of(const journal::Capture& capture) {
  std::string state(to_string(capture.state));
  if (capture.held) state += ", held";
  const auto presence = capture.published ? capture.published->presence : journal::PresenceState::not_told;
  if (presence == journal::PresenceState::pending) state += ", to be confirmed";
  if (presence == journal::PresenceState::unknown) state += ", not confirmed";
  return state;
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
          state_of(capture),
          fmt::format("{:>4} s", (capture.window_end - capture.window_start).count()),
          capture.alert.str(),
          printable(clip_or_reason(capture), whole)};
}

// An Error names the option.
Result<journal::Filter> read_filter(const EventsOptions& options, WallTime now) {
  journal::Filter filter{.camera = options.camera, .activity = options.activity, .limit = options.limit};
  if (options.held) filter.held = true;
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

// Why nothing was found: a camera or an activity that there is not. Nothing: the names are right.
Result<void> check_names(journal::Journal& journal, const EventsOptions& options) {
  if (!options.camera.empty()) {
    const auto known = journal.cameras();
    if (!known) return known.error();
    std::vector<Named> cameras;
    for (const auto& camera : *known) cameras.push_back({camera.id.str(), camera.name});
    const auto wanted = ascii_lower(options.camera);
    const bool fits = std::any_of(cameras.begin(), cameras.end(), [&](const Named& one) {
      return one.id == options.camera || ascii_lower(one.name).find(wanted) != std::string::npos;
    });
    // A lens of a camera that is known is right as well, though no row is of it alone.
    if (!fits) {
      const auto one = find_named(cameras, options.camera, {"--camera", "the journal knows", "camera"});
      if (!one) return one.error();
    }
  }
  if (options.activity.empty() || rhombus::is_known_activity(options.activity)) return {};
  const auto known = journal.activities();
  if (!known) return known.error();
  if (std::any_of(known->begin(), known->end(), [&](const auto& one) { return iequals(one, options.activity); }))
    return {};
  const auto close = rhombus::nearest_activity(options.activity);
  return Error{ErrorKind::permanent,
               fmt::format("--activity: Rhombus has no activity '{}'{}", printable(options.activity, 60),
                           close ? fmt::format("; did you mean {}?", *close) : "")};
}

}  // namespace

int events(const Config& config, const EventsOptions& options) {
  const auto filter = read_filter(options, SystemClock().wall_now());
  if (!filter) return complain(filter.error().message);
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  // A capture has its camera's name once work on it has begun; until then those before it tell.
  constexpr std::size_t looked_at = 20'000;
  const auto names = journal->camera_names(looked_at);
  if (!names) return complain(names.error().message);
  // Read first, printed then: whoever looks at the pages of it keeps nobody from the journal.
  std::vector<std::string> lines;
  auto table = empty_table();
  const auto read = journal->each(*filter, [&](journal::Capture capture) {
    const auto known = names->find(capture.camera);
    if (capture.camera_name.empty() && known != names->end()) capture.camera_name = known->second;
    options.json ? lines.push_back(as_json(capture)) : table.add(as_row(capture));
  });
  if (!read) return complain(read.error().message);
  if (lines.empty() && table.empty()) {
    if (const auto right = check_names(*journal, options); !right) return complain(right.error().message);
    if (!options.json && terminal_width()) fmt::print("none\n");
  }
  if (!table.empty()) lines = table.lines(terminal_width());
  for (const auto& line : lines) fmt::print("{}\n", line);
  return exit_done;
}

}  // namespace responder::app
