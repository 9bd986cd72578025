#include "ranges.hpp"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

using std::chrono::floor;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds default_duration{3600};

Error wrong(std::string message) { return Error{ErrorKind::permanent, std::move(message)}; }

// How far local time is ahead of UTC just then.
seconds offset_at(sys_seconds time, NameZone zone) {
  if (zone == NameZone::utc) return seconds(0);
  const std::time_t epoch = time.time_since_epoch().count();
  std::tm parts{};
  localtime_r(&epoch, &parts);
  return seconds(parts.tm_gmtoff);
}

// The first moment after `from`, and no later than `to`, at which the clock is another one than at `from`.
sys_seconds change_of_clock(sys_seconds from, sys_seconds to, NameZone zone) {
  const auto before = offset_at(from, zone);
  while (to - from > seconds(1)) {
    const auto middle = from + (to - from) / 2;
    (offset_at(middle, zone) == before ? from : to) = middle;
  }
  return to;
}

// Where the file ends that begins at `at`: when the clock next shows a multiple of `length`, or has jumped over one.
sys_seconds next_cut(sys_seconds at, seconds length, NameZone zone) {
  while (true) {
    const auto offset = offset_at(at, zone);
    const auto local = at.time_since_epoch() + offset;
    const auto next = at + (length - local % length);
    if (offset_at(next, zone) == offset) return next;
    at = change_of_clock(at, next, zone);
    const auto changed = at.time_since_epoch() + offset_at(at, zone);
    if (changed % length == seconds(0) || changed / length > local / length) return at;
  }
}

}  // namespace

Result<seconds> parse_duration(std::string_view text) {
  text = trim(text);
  seconds unit{1};
  std::string_view number = text;
  if (!text.empty()) {
    const char last = text.back();
    unit = last == 'm' ? seconds(60) : last == 'h' ? seconds(3600) : last == 'd' ? seconds(86400) : seconds(1);
    if (last == 's' || last == 'm' || last == 'h' || last == 'd') number.remove_suffix(1);
  }
  const auto count = parse_int(number);
  constexpr std::int64_t most = 10LL * 366 * 86400;
  if (!count || *count <= 0 || *count > most / unit.count())
    return wrong(fmt::format("'{}' is no duration: give seconds above 0, or 90m, 2h, 3d", printable(text, 40)));
  return unit * static_cast<seconds::rep>(*count);
}

Result<RangeRequest> read_range(std::optional<WallTime> start, std::optional<seconds> duration, WallTime now) {
  const auto present = floor<seconds>(now);
  RangeRequest request;
  request.range.start = floor<seconds>(start.value_or(now - default_duration));
  request.range.end = request.range.start + duration.value_or(default_duration);
  if (request.range.end <= request.range.start)
    return wrong("a range of no length has no footage: give a duration above 0");
  if (request.range.start >= present)
    return wrong(fmt::format("the range begins in the future, {}", format_rfc3339(WallTime(request.range.start))));
  // What is about to be recorded is waited for.
  constexpr seconds waited_for{600};
  if (request.range.end > present + waited_for) {
    request.range.end = present;
    request.remark = fmt::format("the range ends in the future: it is taken until now, {} s",
                                 (request.range.end - request.range.start).count());
  }
  return request;
}

Result<void> check_number(std::uint64_t files) {
  constexpr std::uint64_t most = 100'000;
  if (files <= most) return {};
  return wrong(
      fmt::format("that is {} files, more than {}: ask for less at a time, or for longer files", files, most));
}

std::vector<TimeRange> split(const TimeRange& range, seconds length, NameZone zone) {
  std::vector<TimeRange> parts;
  for (auto at = range.start; at < range.end;) {
    const auto next = std::min(range.end, next_cut(at, length, zone));
    parts.push_back({at, next});
    at = next;
  }
  return parts;
}

journal::NewCapture range_capture(const rhombus::Camera& camera, const TimeRange& range, WallTime now) {
  journal::NewCapture capture;
  capture.kind = journal::Kind::range;
  capture.alert =
      AlertId(fmt::format("range-{}-{}", range.start.time_since_epoch().count(), (range.end - range.start).count()));
  capture.camera = camera.id;
  capture.location = camera.location;
  capture.via = journal::Via::manual;
  capture.received_at = now;
  capture.alert_at = WallTime(range.start);
  capture.duration = range.end - range.start;
  capture.duration_is_told = false;  // it never grows
  capture.window_start = range.start;
  capture.window_end = range.end;
  return capture;
}

std::vector<Named> as_named(const std::vector<rhombus::Camera>& cameras) {
  std::vector<Named> named;
  for (const auto& camera : cameras) named.push_back({camera.id.str(), camera.name});
  return named;
}

std::vector<Named> as_named(const std::vector<rhombus::Location>& locations,
                            const std::vector<rhombus::Camera>& cameras) {
  std::vector<Named> named;
  for (const auto& location : locations) named.push_back({location.id.str(), location.name});
  for (const auto& camera : cameras) {
    const auto& id = camera.location.str();
    const bool is_known = std::any_of(named.begin(), named.end(), [&](const Named& one) { return one.id == id; });
    if (!id.empty() && !is_known) named.push_back({id, ""});
  }
  return named;
}

Result<ChosenCameras> choose(const std::vector<rhombus::Camera>& all, const std::vector<rhombus::Location>& locations,
                             const CameraChoice& choice, const ChoiceOptions& options) {
  ChosenCameras chosen;
  auto candidates = all;
  if (choice.location) {
    const auto location =
        find_named(as_named(locations, all), *choice.location, {options.location, "Rhombus lists", "location"});
    if (!location) return location.error();
    std::erase_if(candidates, [&](const auto& camera) { return camera.location.str() != location->id; });
    if (candidates.empty())
      return wrong(fmt::format("{}: Rhombus lists no camera at {}", options.location, describe(*location)));
  }
  if (choice.camera) {
    const auto camera = find_named(as_named(candidates), *choice.camera, {options.camera, "Rhombus lists", "camera"});
    if (!camera) return camera.error();
    auto found = *std::find_if(candidates.begin(), candidates.end(), [&](const auto& one) {
      return one.id.str() == camera->id || one.id.str() == camera->id.substr(0, camera->id.find('.'));
    });
    found.id = DeviceId(camera->id);
    chosen.cameras.push_back(std::move(found));
    return chosen;
  }
  if (candidates.empty()) return wrong("Rhombus lists no camera");
  chosen.cameras = std::move(candidates);
  return chosen;
}

}  // namespace responder::app
