#include "ranges.hpp"

#include <algorithm>
#include <ctime>
#include <functional>

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

std::string describe(const rhombus::Camera& camera) {
  return fmt::format("{} ({})", printable(camera.name, 40), camera.id.str());
}

constexpr std::size_t most_candidates = 12;

std::string list(const std::vector<rhombus::Camera>& cameras) {
  std::vector<std::string> names;
  for (const auto& camera : cameras) {
    if (names.size() == most_candidates) {
      names.push_back(fmt::format("and {} more", cameras.size() - most_candidates));
      break;
    }
    names.push_back(describe(camera));
  }
  return join(names, ", ");
}

// By its UUID, its name, or a part of its name, whichever fits first and fits one.
Result<rhombus::Camera> find_camera(const std::vector<rhombus::Camera>& all, const std::string& wanted,
                                    std::string_view option) {
  const auto lower = ascii_lower(wanted);
  const std::vector<std::function<bool(const rhombus::Camera&)>> fits{
      [&](const auto& camera) { return camera.id.str() == wanted; },
      [&](const auto& camera) { return camera.name == wanted; },
      [&](const auto& camera) { return ascii_lower(camera.name) == lower; },
      [&](const auto& camera) { return ascii_lower(camera.name).find(lower) != std::string::npos; }};
  for (const auto& fit : fits) {
    std::vector<rhombus::Camera> found;
    std::copy_if(all.begin(), all.end(), std::back_inserter(found), fit);
    if (found.size() == 1) return found.front();
    if (found.size() > 1)
      return wrong(fmt::format("{}: '{}' is the name of {} cameras, give the UUID of one: {}", option,
                               printable(wanted, 60), found.size(), list(found)));
  }
  return wrong(
      fmt::format("{}: Rhombus lists no camera '{}'; there are: {}", option, printable(wanted, 60), list(all)));
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

Result<ChosenCameras> choose(const std::vector<rhombus::Camera>& all, const CameraChoice& choice,
                             const ChoiceOptions& options) {
  ChosenCameras chosen;
  auto candidates = all;
  if (choice.location) {
    std::erase_if(candidates, [&](const auto& camera) { return camera.location.str() != *choice.location; });
    if (candidates.empty())
      return wrong(
          fmt::format("{}: Rhombus lists no camera at '{}'", options.location, printable(*choice.location, 60)));
  }
  if (choice.camera) {
    auto camera = find_camera(candidates, *choice.camera, options.camera);
    if (!camera) return camera.error();
    chosen.cameras.push_back(std::move(*camera));
    return chosen;
  }
  if (candidates.empty()) return wrong("Rhombus lists no camera");
  chosen.cameras = std::move(candidates);
  return chosen;
}

}  // namespace responder::app
