#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/rhombus/alert.hpp"

#include "alert_json.hpp"

namespace responder::rhombus {
namespace {

constexpr std::size_t max_body_bytes = 4U << 20U;
constexpr std::size_t max_depth = 64;

Result<Alert> parse_organization_webhook(const json::Object& body) {
  Alert alert;
  auto id = required_id(body, "alertUuid");
  if (!id) return id.error();
  alert.id = AlertId(std::move(*id));
  auto device = optional_id(body, "deviceUuid");
  if (!device) return device.error();
  alert.device = DeviceId(std::move(*device));
  auto location = optional_id(body, "location");
  if (!location) return location.error();
  alert.location = LocationId(std::move(*location));

  alert.activities = enum_values(split(json::text(body, "activityTrigger").value_or(""), ','));
  const auto diagnostics = split(json::text(body, "diagnosticTrigger").value_or(""), ',');
  alert.diagnostic = alert.activities.empty() && !diagnostics.empty();
  if (alert.diagnostic) alert.activities = enum_values(diagnostics);

  const auto at = time_ms(body, "timestampMs");
  if (!at) return at.error();
  const auto duration = duration_s(body, "durationSec");
  if (!duration) return duration.error();
  const auto type = json::text(body, "deviceType").value_or("");

  if (auto added = add_cameras(alert, body, type, *at, *duration); !added) return added.error();
  if (alert.device.empty() && alert.cameras.empty()) return bad("deviceUuid is missing");
  if (alert.diagnostic) alert.cameras.clear();
  return alert;
}

Result<Alert> parse_rule_action(const json::Object& body) {
  Alert alert;
  auto id = required_id(body, "uuid");
  if (!id) return id.error();
  alert.id = AlertId(std::move(*id));
  const auto triggered = time_ms(body, "triggeredTimestampMs");
  if (!triggered) return triggered.error();
  const auto events = json::array(body, "deviceEvents");
  if (!events) return alert;
  if (events->size() > max_cameras) return bad("deviceEvents has too many entries");

  for (const auto item : *events) {
    json::Object event;
    if (item.is_null()) continue;
    if (item.get(event) != simdjson::SUCCESS) return bad("deviceEvents has an entry that is not an object");
    auto device = optional_id(event, "deviceUuid");
    if (!device) return device.error();
    if (device->empty()) continue;
    const auto at = time_ms(event, "timestampMs");
    if (!at) return at.error();
    const auto duration = duration_s(event, "durationSec");
    if (!duration) return duration.error();
    if (alert.device.empty()) alert.device = DeviceId(*device);
    if (alert.location.empty()) {
      auto location = optional_id(event, "locationUuid");
      if (!location) return location.error();
      alert.location = LocationId(std::move(*location));
    }
    auto activities = text_list(event, "activities");
    for (const auto& activity : activities) {
      if (std::find(alert.activities.begin(), alert.activities.end(), activity) == alert.activities.end()) {
        alert.activities.push_back(activity);
      }
    }
    add_camera(alert, {.camera = DeviceId(std::move(*device)),
                       .at = *at ? *at : *triggered,
                       .duration = *duration,
                       .activities = std::move(activities)});
  }
  return alert;
}

}  // namespace

struct WebhookParser::Impl {
  simdjson::dom::parser parser{max_body_bytes};
};

WebhookParser::WebhookParser() : impl_(std::make_unique<Impl>()) {
  // Cannot fail but for want of memory, which the first parse would then report.
  [[maybe_unused]] const auto allocated = impl_->parser.allocate(64 * 1024, max_depth);
}
WebhookParser::~WebhookParser() = default;

Result<Alert> WebhookParser::parse(std::string_view body) {
  json::Element root;
  if (const auto error = impl_->parser.parse(body.data(), body.size()).get(root); error != simdjson::SUCCESS) {
    return bad(fmt::format("the body is not JSON: {}", simdjson::error_message(error)));
  }
  json::Object object;
  if (root.get(object) != simdjson::SUCCESS) return bad("the body is not a JSON object");
  if (json::has_duplicate_key(root)) return bad("the body has a key twice");
  if (json::field(object, "alertUuid")) return parse_organization_webhook(object);
  if (json::field(object, "uuid")) return parse_rule_action(object);
  return bad("the body has neither alertUuid nor uuid");
}

}  // namespace responder::rhombus
