#include "alert_json.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "own_secrets.hpp"

namespace responder::rhombus {

using std::chrono::seconds;

namespace {

// Rhombus had no alerts before. It is also how times in seconds are told from those in milliseconds.
constexpr double year_2015_ms = 1'420'070'400'000;
constexpr double year_2200_ms = 7'258'118'400'000;
constexpr double longest_duration_s = 365.0 * 86400;
constexpr std::size_t max_remarks = 16;

Result<std::string> checked_id(std::string_view id, std::string_view name) {
  if (!is_safe_id(id)) return bad(fmt::format("{} is not 1-64 characters of A-Za-z0-9._-", name));
  return std::string(id);
}

}  // namespace

Error bad(std::string message) { return Error{ErrorKind::permanent, std::move(message)}; }

void remark(Alert& alert, std::string line) {
  if (alert.remarks.size() < max_remarks) alert.remarks.push_back(std::move(line));
}

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

LocationId location_id(Alert& alert, const json::Object& object, std::string_view name) {
  auto id = optional_id(object, name);
  if (id) return LocationId(std::move(*id));
  remark(alert, id.error().message + ": the alert counts as one without a location");
  return LocationId();
}

std::optional<WallTime> time_ms(Alert& alert, const json::Object& object, std::string_view name) {
  const auto value = json::number(object, name);
  if (value && !*value) return std::nullopt;
  if (value && **value >= year_2015_ms && **value < year_2200_ms)
    return WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(**value)));
  remark(alert, fmt::format("{} is not a time in epoch milliseconds and counts as not told", name));
  return std::nullopt;
}

std::optional<seconds> duration_s(Alert& alert, const json::Object& object, std::string_view name) {
  const auto value = json::number(object, name);
  if (value && !*value) return std::nullopt;
  if (value && **value >= 0)
    return seconds(static_cast<std::int64_t>(std::ceil(std::min(**value, longest_duration_s))));
  remark(alert, fmt::format("{} is not a number of seconds and counts as not told", name));
  return std::nullopt;
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

namespace {

struct ClipMap {
  std::vector<std::string> cameras;  // in the order in which they are named
  std::map<std::string, std::string> regions;
};

void read_clip_map(Alert& alert, const json::Object& object, std::string_view name, ClipMap& read) {
  const auto clips = json::object(object, name);
  if (!clips) return;
  for (const auto [camera, region] : *clips) {
    if (!is_safe_id(camera)) {
      remark(alert, fmt::format("{}: {} is no camera's id and is passed over", name,
                                printable(without_secrets(std::string(camera)), 64)));
      continue;
    }
    std::string id(camera);
    if (auto where = json::clip_region(region)) read.regions[id] = std::move(*where);
    if (std::find(read.cameras.begin(), read.cameras.end(), id) != read.cameras.end()) continue;
    if (read.cameras.size() >= max_cameras)
      return remark(alert, fmt::format("{}: cameras after the first {} are passed over", name, max_cameras));
    read.cameras.push_back(std::move(id));
  }
}

}  // namespace

void add_cameras(Alert& alert, const json::Object& object, std::string_view device_type, std::optional<WallTime> at,
                 std::optional<seconds> duration) {
  alert.at = at;
  alert.duration = duration;
  ClipMap map;
  read_clip_map(alert, object, "clipLocationMap", map);
  read_clip_map(alert, object, "clipLocationMapV2", map);
  auto& clip_cameras = map.cameras;

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
                       .clip_region = map.regions[camera]});
  }
}

}  // namespace responder::rhombus
