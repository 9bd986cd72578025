// Time ranges that people ask for, as captures.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "responder/base/time_text.hpp"
#include "responder/journal/journal.hpp"
#include "responder/rhombus/api_client.hpp"

#include "names.hpp"

namespace responder::app {

struct TimeRange {
  std::chrono::sys_seconds start;
  std::chrono::sys_seconds end;
  bool operator==(const TimeRange&) const = default;
};

// What is asked for, checked: without a start the last hour, without a duration an hour. What is recorded in the
// next minutes is waited for; a range that ends later is cut at the present, and `remark` says so.
struct RangeRequest {
  TimeRange range;
  std::string remark = {};
};
Result<RangeRequest> read_range(std::optional<WallTime> start, std::optional<std::chrono::seconds> duration,
                                WallTime now);

// Seconds, or 90m, 2h, 3d.
Result<std::chrono::seconds> parse_duration(std::string_view text);

// An Error when that is more than one command may ask for.
Result<void> check_number(std::uint64_t files);

// Cut at whole multiples of `length` of a clock in that zone: files of an hour begin on the hour, those of a day at
// midnight, so that the days on which the clock changes have 23 or 25 hours.
std::vector<TimeRange> split(const TimeRange& range, std::chrono::seconds length, NameZone zone);

// The capture of a range on a camera. The same range is the same capture: asked for again, it goes on.
journal::NewCapture range_capture(const rhombus::Camera& camera, const TimeRange& range, WallTime now);

// Which of the organization's cameras are meant: by UUID or name.
struct CameraChoice {
  std::optional<std::string> camera;
  std::optional<std::string> location;
};
struct ChosenCameras {
  std::vector<rhombus::Camera> cameras;  // those as well that are offline just now
};
// As the command calls them.
struct ChoiceOptions {
  std::string_view camera = "--camera";
  std::string_view location = "--location";
};
// `locations`: as Rhombus names them; those of cameras that are not among them go by their UUID. An Error names the
// option and the candidates.
Result<ChosenCameras> choose(const std::vector<rhombus::Camera>& all, const std::vector<rhombus::Location>& locations,
                             const CameraChoice& choice, const ChoiceOptions& options = {});

// What names can stand for.
std::vector<Named> as_named(const std::vector<rhombus::Camera>& cameras);
std::vector<Named> as_named(const std::vector<rhombus::Location>& locations,
                            const std::vector<rhombus::Camera>& cameras);

}  // namespace responder::app
