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
  alert.location = location_id(alert, body, "location");

  alert.activities = enum_values(split(json::text(body, "activityTrigger").value_or(""), ','));
  const auto diagnostics = split(json::text(body, "diagnosticTrigger").value_or(""), ',');
  alert.diagnostic = alert.activities.empty() && !diagnostics.empty();
  if (alert.diagnostic) alert.activities = enum_values(diagnostics);

  const auto at = time_ms(alert, body, "timestampMs");
  const auto duration = duration_s(alert, body, "durationSec");
  add_cameras(alert, body, json::text(body, "deviceType").value_or(""), at, duration);
  if (alert.device.empty() && alert.cameras.empty()) return bad("deviceUuid is missing");
  if (alert.diagnostic) alert.cameras.clear();
  return alert;
}

// Adds what one entry of deviceEvents tells. `triggered`: when the rule was, for an event that tells no time.
Result<void> add_event(Alert& alert, const json::Element& item, std::optional<WallTime> triggered) {
  json::Object event;
  if (item.is_null()) return {};
  if (item.get(event) != simdjson::SUCCESS) return bad("it is not an object");
  auto device = optional_id(event, "deviceUuid");
  if (!device) return device.error();
  if (device->empty()) return {};
  const auto at = time_ms(alert, event, "timestampMs");
  const auto duration = duration_s(alert, event, "durationSec");
  if (alert.device.empty()) alert.device = DeviceId(*device);
  if (alert.location.empty()) alert.location = location_id(alert, event, "locationUuid");
  auto activities = text_list(event, "activities");
  for (const auto& activity : activities) {
    if (std::find(alert.activities.begin(), alert.activities.end(), activity) == alert.activities.end()) {
      alert.activities.push_back(activity);
    }
  }
  add_camera(alert, {.camera = DeviceId(std::move(*device)),
                     .at = at ? at : triggered,
                     .duration = duration,
                     .activities = std::move(activities)});
  return {};
}

// An event that is of no use costs itself only. An Error when there are such and none that is of use.
Result<Alert> parse_rule_action(const json::Object& body) {
  Alert alert;
  auto id = required_id(body, "uuid");
  if (!id) return id.error();
  alert.id = AlertId(std::move(*id));
  const auto triggered = time_ms(alert, body, "triggeredTimestampMs");
  const auto events = json::array(body, "deviceEvents");
  if (!events) return alert;
  std::optional<Error> first_error;
  std::size_t index = 0;
  for (const auto item : *events) {
    if (index == max_cameras) {
      remark(alert, fmt::format("deviceEvents: those after the first {} are passed over", max_cameras));
      break;
    }
    if (auto added = add_event(alert, item, triggered); !added) {
      auto error = with_context(added.error(), fmt::format("deviceEvents[{}]", index));
      remark(alert, error.message + " (passed over)");
      if (!first_error) first_error = std::move(error);
    }
    ++index;
  }
  if (alert.cameras.empty() && first_error) return *first_error;
  return alert;
}

}  // namespace

struct WebhookParser::Impl {
  simdjson::dom::parser parser{3 * max_body_bytes};  // as long as a repaired one may be
};

WebhookParser::WebhookParser() : impl_(std::make_unique<Impl>()) {
  // Cannot fail but for want of memory, which the first parse would then report.
  [[maybe_unused]] const auto allocated = impl_->parser.allocate(64 * 1024, max_depth);
}
WebhookParser::~WebhookParser() = default;

Result<Alert> WebhookParser::parse(std::string_view body) {
  json::Element root;
  bool repaired = false;
  if (body.size() > max_body_bytes) return bad("the body is too large");
  if (const auto error = json::parse(impl_->parser, body, root, &repaired); error != simdjson::SUCCESS) {
    return bad(fmt::format("the body is not JSON: {}", simdjson::error_message(error)));
  }
  json::Object object;
  if (root.get(object) != simdjson::SUCCESS) return bad("the body is not a JSON object");
  if (json::has_duplicate_key(root, repaired)) return bad("the body has a key twice");
  if (json::field(object, "alertUuid")) return parse_organization_webhook(object);
  if (json::field(object, "uuid")) return parse_rule_action(object);
  return bad("the body has neither alertUuid nor uuid");
}

}  // namespace responder::rhombus
