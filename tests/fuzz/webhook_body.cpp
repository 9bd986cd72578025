// A webhook's body, after its signature was found to be right, and what is to be captured of it.
#include "responder/ingest/intake.hpp"
#include "responder/rhombus/alert.hpp"

#include "fuzz.hpp"

using namespace responder;
using fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static rhombus::WebhookParser parser;
  static const WallTime now{std::chrono::seconds(1'700'000'000)};
  const auto alert = parser.parse(fuzz::as_text(data, size));
  if (!alert) {
    fuzz::require_one_line(alert.error().message);
    return 0;
  }
  require(is_safe_id(alert->id.str()), "an alert's id is safe");
  require(alert->device.empty() || is_safe_id(alert->device.str()), "a device's id is safe");
  require(alert->location.empty() || is_safe_id(alert->location.str()), "a location's id is safe");
  require(alert->cameras.size() <= 257, "an alert has a bounded number of cameras");
  for (const auto& activity : alert->activities) require(is_safe_id(activity), "an activity is safe");
  for (const auto& camera : alert->cameras) {
    require(is_safe_id(camera.camera.str()), "a camera's id is safe");
    require(camera.clip_region.empty() || is_safe_id(camera.clip_region), "a region is safe");
    require(!camera.at || !camera.last_at || *camera.at <= *camera.last_at, "what began ends later");
  }
  const auto captures = ingest::plan_captures(*alert, {}, journal::Via::webhook, now);
  require(!captures.empty(), "an alert is captured or ignored");
  for (const auto& capture : captures) {
    const auto length = capture.window_end - capture.window_start;
    require(length >= std::chrono::seconds(1) && length <= std::chrono::hours(25), "a window has a bounded length");
  }
  return 0;
}
