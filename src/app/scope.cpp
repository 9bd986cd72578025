#include "scope.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

#include "capture_engine.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

Result<std::optional<WallTime>> read_time(const std::optional<std::string>& text, std::string_view option,
                                          WallTime now) {
  if (!text) return std::optional<WallTime>{};
  const auto time = parse_time(*text, now);
  if (!time) return with_context(time.error(), option);
  return std::optional(*time);
}

std::vector<Named> cameras_of_journal(const Config& config) {
  std::vector<Named> named;
  auto journal = open_journal_to_look(config);
  if (!journal) return named;
  if (const auto known = journal->cameras()) {
    for (const auto& camera : *known) named.push_back({camera.id.str(), camera.name});
  }
  return named;
}

}  // namespace

Result<ingest::PassScope> read_scope(const ScopeOptions& options, WallTime now) {
  ingest::PassScope scope;
  const auto after = read_time(options.after, "--after", now);
  if (!after) return after.error();
  scope.after = *after;
  const auto before = read_time(options.before, "--before", now);
  if (!before) return before.error();
  scope.before = *before;
  if (scope.after && scope.before && *scope.before <= *scope.after)
    return Error{ErrorKind::permanent, "--before is not later than --after"};
  if (scope.after && *scope.after > now) return Error{ErrorKind::permanent, "--after is in the future"};
  if (options.max_alerts && *options.max_alerts <= 0)
    return Error{ErrorKind::permanent, "--max-alerts is not above 0: give how many of the newest alerts to look at"};
  if (options.max_alerts) scope.max_alerts = static_cast<std::size_t>(*options.max_alerts);
  return scope;
}

std::vector<rhombus::Location> locations_or_none(rhombus::ApiClient& api, std::stop_token stop) {
  auto locations = api.locations(std::move(stop));
  if (locations) return std::move(*locations);
  if (locations.error().kind != ErrorKind::cancelled)
    spdlog::warn("names of locations cannot be read: {}", locations.error().message);
  return {};
}

std::optional<Complaint> name_scope(const Config& config, const CameraChoice& choice, const ChoiceOptions& options,
                                    ingest::PassScope& scope, std::stop_token stop) {
  if (!choice.camera && !choice.location) return std::nullopt;
  SystemClock clock;
  rhombus::ApiClient api(api_options(config), clock, [](std::string_view, int) {});
  const auto cameras = api.cameras(stop);
  if (!cameras) return Complaint{cameras.error().message, exit_unreachable};
  if (choice.location) {
    const auto location = find_named(as_named(locations_or_none(api, stop), *cameras), *choice.location,
                                     {options.location, "Rhombus lists", "location"});
    if (!location) return Complaint{location.error().message};
    scope.location = LocationId(location->id);
  }
  if (choice.camera) {
    const NameQuestion question{options.camera, "Rhombus lists", "camera"};
    const auto listed = find_named(as_named(*cameras), *choice.camera, question);
    const auto camera = listed ? listed : find_named(cameras_of_journal(config), *choice.camera, question);
    if (!camera) return Complaint{listed.error().message};
    scope.camera = DeviceId(camera->id);
  }
  return std::nullopt;
}

}  // namespace responder::app
