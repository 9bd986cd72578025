#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/rhombus/alert.hpp"

#include "json.hpp"

namespace responder::rhombus {
namespace {

using std::chrono::seconds;

constexpr std::size_t max_body_bytes = 4U << 20U;
constexpr std::size_t max_depth = 64;
constexpr std::size_t max_cameras = 256;
constexpr std::int64_t year_2200_ms = 7'258'118'400'000;

Error bad(std::string message) { return Error{ErrorKind::permanent, std::move(message)}; }

Result<std::string> checked_id(std::string_view id, std::string_view name) {
  if (!is_safe_id(id)) return bad(fmt::format("{} is not 1-64 characters of A-Za-z0-9._-", name));
  return std::string(id);
}

// An id that may be absent: empty then.
Result<std::string> optional_id(const json::Object& object, std::string_view name) {
  const auto found = json::field(object, name);
  if (!found) return std::string();
  std::string_view text;
  if (found->get(text) != simdjson::SUCCESS) return bad(fmt::format("{} is not a string", name));
  if (text.empty()) return std::string();
  return checked_id(text, name);
}

Result<std::string> required_id(const json::Object& object, std::string_view name) {
  auto id = optional_id(object, name);
  if (id && id->empty()) return bad(fmt::format("{} is missing", name));
  return id;
}

Result<std::optional<WallTime>> time_ms(const json::Object& object, std::string_view name) {
  const auto value = json::integer(object, name);
  if (!value) return value.error();
  if (!*value) return std::optional<WallTime>{};
  if (**value <= 0 || **value >= year_2200_ms)
    return bad(fmt::format("{} is not a time in epoch milliseconds", name));
  return std::optional(WallTime(std::chrono::milliseconds(**value)));
}

Result<std::optional<seconds>> duration_s(const json::Object& object, std::string_view name) {
  const auto value = json::integer(object, name);
  if (!value) return value.error();
  if (!*value) return std::optional<seconds>{};
  if (**value < 0) return bad(fmt::format("{} is negative", name));
  return std::optional(seconds(std::min<std::int64_t>(**value, 365LL * 86400)));
}

// Enum values end up in file names' neighbourhood and in logs: what does not look like one is dropped.
std::vector<std::string> enum_values(std::vector<std::string> values) {
  std::erase_if(values, [](const std::string& value) { return !is_safe_id(value); });
  return values;
}

std::vector<std::string> text_list(const json::Object& object, std::string_view name) {
  std::vector<std::string> values;
  if (const auto list = json::array(object, name)) {
    for (const auto item : *list) {
      std::string_view text;
      if (item.get(text) == simdjson::SUCCESS) values.emplace_back(text);
    }
  }
  return enum_values(std::move(values));
}

void add_camera(Alert& alert, AlertCamera camera) {
  const auto same = std::find_if(alert.cameras.begin(), alert.cameras.end(),
                                 [&](const AlertCamera& other) { return other.camera == camera.camera; });
  if (same == alert.cameras.end()) {
    alert.cameras.push_back(std::move(camera));
    return;
  }
  // One capture for each camera: it spans everything the alert has there.
  for (auto& activity : camera.activities) {
    if (std::find(same->activities.begin(), same->activities.end(), activity) == same->activities.end()) {
      same->activities.push_back(std::move(activity));
    }
  }
  if (camera.duration) same->duration = std::max(same->duration.value_or(seconds(0)), *camera.duration);
  if (!camera.at) return;
  const auto first = same->at.value_or(*camera.at);
  same->last_at = std::max(same->last_at.value_or(first), *camera.at);
  same->at = std::min(first, *camera.at);
}

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

  std::vector<std::string> clip_cameras;
  std::map<std::string, std::string> regions;
  if (const auto clips = json::object(body, "clipLocationMap")) {
    for (const auto [camera, region] : *clips) {
      auto checked = checked_id(camera, "a camera of clipLocationMap");
      if (!checked) return checked.error();
      if (auto where = json::clip_region(region)) regions[*checked] = std::move(*where);
      clip_cameras.push_back(std::move(*checked));
      if (clip_cameras.size() > max_cameras) return bad("clipLocationMap names too many cameras");
    }
  }
  if (alert.device.empty() && clip_cameras.empty()) return bad("deviceUuid is missing");
  if (alert.diagnostic) return alert;

  // A sensor's alert names in its map the cameras that saw it; without a type, a map that leaves the device out says
  // so too.
  const bool in_map = std::find(clip_cameras.begin(), clip_cameras.end(), alert.device.str()) != clip_cameras.end();
  const bool is_camera = type == "CAMERA" || (type.empty() && (clip_cameras.empty() || in_map));
  if (is_camera && !alert.device.empty())
    add_camera(alert, {.camera = alert.device,
                       .at = *at,
                       .duration = *duration,
                       .activities = alert.activities,
                       .clip_region = regions[alert.device.str()]});
  for (const auto& camera : clip_cameras) {
    add_camera(alert, {.camera = DeviceId(camera),
                       .at = *at,
                       .duration = *duration,
                       .activities = alert.activities,
                       .clip_region = regions[camera]});
  }
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
