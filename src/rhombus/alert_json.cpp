#include "alert_json.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace responder::rhombus {

using std::chrono::seconds;

namespace {

constexpr std::int64_t year_2200_ms = 7'258'118'400'000;

Result<std::string> checked_id(std::string_view id, std::string_view name) {
  if (!is_safe_id(id)) return bad(fmt::format("{} is not 1-64 characters of A-Za-z0-9._-", name));
  return std::string(id);
}

}  // namespace

Error bad(std::string message) { return Error{ErrorKind::permanent, std::move(message)}; }

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

Result<void> add_cameras(Alert& alert, const json::Object& object, std::string_view device_type,
                         std::optional<WallTime> at, std::optional<seconds> duration) {
  alert.at = at;
  alert.duration = duration;
  std::vector<std::string> clip_cameras;
  std::map<std::string, std::string> regions;
  for (const auto* name : {"clipLocationMap", "clipLocationMapV2"}) {
    const auto clips = json::object(object, name);
    if (!clips) continue;
    for (const auto [camera, region] : *clips) {
      auto checked = checked_id(camera, fmt::format("a camera of {}", name));
      if (!checked) return checked.error();
      if (auto where = json::clip_region(region)) regions[*checked] = std::move(*where);
      if (std::find(clip_cameras.begin(), clip_cameras.end(), *checked) == clip_cameras.end())
        clip_cameras.push_back(std::move(*checked));
      if (clip_cameras.size() > max_cameras) return bad(fmt::format("{} names too many cameras", name));
    }
  }

  // A sensor's alert names in its map the cameras that saw it; without a type, a map that leaves the device out says
  // so too.
  const bool in_map = std::find(clip_cameras.begin(), clip_cameras.end(), alert.device.str()) != clip_cameras.end();
  const bool is_camera = device_type == "CAMERA" || (device_type.empty() && (clip_cameras.empty() || in_map));
  if (is_camera && !alert.device.empty() && !in_map) clip_cameras.insert(clip_cameras.begin(), alert.device.str());
  for (const auto& camera : clip_cameras) {
    add_camera(alert, {.camera = DeviceId(camera),
                       .at = at,
                       .duration = duration,
                       .activities = alert.activities,
                       .clip_region = regions[camera]});
  }
  return {};
}

}  // namespace responder::rhombus
