#include "scope.hpp"

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

namespace responder::app {
namespace {

Result<std::optional<WallTime>> read_time(const std::optional<std::string>& text, std::string_view option,
                                          WallTime now) {
  if (!text) return std::optional<WallTime>{};
  const auto time = parse_time(*text, now);
  if (!time) return with_context(time.error(), option);
  return std::optional(*time);
}

template <class Id>
Result<std::optional<Id>> read_id(const std::optional<std::string>& text, std::string_view option) {
  if (!text) return std::optional<Id>{};
  if (!is_safe_id(*text))
    return Error{ErrorKind::permanent, fmt::format("{}: '{}' is no UUID of Rhombus's", option, printable(*text, 60))};
  return std::optional(Id(*text));
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
  const auto camera = read_id<DeviceId>(options.camera, "--camera");
  if (!camera) return camera.error();
  scope.camera = *camera;
  const auto location = read_id<LocationId>(options.location, "--location");
  if (!location) return location.error();
  scope.location = *location;
  if (options.max_alerts && *options.max_alerts <= 0)
    return Error{ErrorKind::permanent, "--max-alerts is not above 0: give how many of the newest alerts to look at"};
  if (options.max_alerts) scope.max_alerts = static_cast<std::size_t>(*options.max_alerts);
  return scope;
}

}  // namespace responder::app
