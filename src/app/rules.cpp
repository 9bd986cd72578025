#include "rules.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

bool names(const std::vector<std::string>& list, const std::string& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool sets_something(const Config::Rule& rule) {
  return rule.buffer_seconds || rule.connection || rule.layout || rule.retention_days || rule.max_bytes ||
         !rule.extra_cameras.empty();
}

Error wrong(const std::string& table, std::string_view message) {
  return {ErrorKind::permanent, fmt::format("{}: {}", table, message)};
}

// `what`: of which kind, for people.
Result<void> check_ids(const std::string& table, std::string_view key, const std::vector<std::string>& ids,
                       std::string_view what) {
  const auto bad = std::find_if_not(ids.begin(), ids.end(), [](const auto& id) { return is_safe_id(id); });
  if (bad == ids.end()) return {};
  return wrong(table, fmt::format("{} has '{}', which is no {}: give it as Rhombus writes it", key,
                                  printable(*bad, 60), what));
}

Result<void> check_rule(const std::string& table, const Config::Rule& rule) {
  if (!sets_something(rule)) {
    return wrong(table,
                 "it sets nothing: give buffer_seconds, connection, layout, retention_days, max_bytes or "
                 "extra_cameras, or take it out");
  }
  auto checked = check_ids(table, "cameras", rule.cameras, "UUID");
  if (checked) checked = check_ids(table, "locations", rule.locations, "UUID");
  if (checked) checked = check_ids(table, "activities", rule.activities, "name of an activity");
  if (checked) checked = check_ids(table, "extra_cameras", rule.extra_cameras, "UUID");
  return checked;
}

Result<void> check_associate(const std::string& table, const Config::Associate& associate) {
  if (associate.cameras.empty()) return wrong(table, "it has no cameras: say which ones see the devices");
  if (associate.devices.empty() && associate.locations.empty())
    return wrong(table, "it has neither devices nor locations: say whose alerts its cameras see");
  auto checked = check_ids(table, "devices", associate.devices, "UUID");
  if (checked) checked = check_ids(table, "locations", associate.locations, "UUID");
  if (checked) checked = check_ids(table, "cameras", associate.cameras, "UUID");
  return checked;
}

}  // namespace

bool matches(const Config::Rule& rule, const RuleSubject& subject) {
  const auto& activities = rule.activities;
  return names(rule.cameras, subject.camera.str()) && names(rule.locations, subject.location.str()) &&
         (activities.empty() || std::any_of(subject.activities.begin(), subject.activities.end(),
                                            [&](const auto& one) { return names(activities, one); }));
}

std::vector<std::string> extra_cameras(const Config& config, const RuleSubject& subject) {
  const auto decides = [&](const Config::Rule& rule) {
    return !rule.extra_cameras.empty() && matches(rule, subject);
  };
  const auto found = std::find_if(config.rules.begin(), config.rules.end(), decides);
  return found == config.rules.end() ? std::vector<std::string>{} : found->extra_cameras;
}

std::vector<std::string> misnamed_cameras(const Config& config, const std::vector<rhombus::Camera>& cameras) {
  const auto is_camera = [&](const std::string& id) {
    return std::any_of(cameras.begin(), cameras.end(), [&](const auto& camera) { return camera.id.str() == id; });
  };
  std::vector<std::string> lines;
  const auto look = [&](std::string_view where, const std::vector<std::string>& ids) {
    for (const auto& id : ids) {
      if (!is_camera(id))
        lines.push_back(fmt::format("{} names {}, which is no camera of the organization: mend it, or take it out",
                                    where, printable(id, 64)));
    }
  };
  look("filter.cameras", config.filter.cameras);
  for (std::size_t i = 0; i < config.rules.size(); ++i) {
    look(fmt::format("[[rule]] number {}: cameras", i + 1), config.rules[i].cameras);
    look(fmt::format("[[rule]] number {}: extra_cameras", i + 1), config.rules[i].extra_cameras);
  }
  for (std::size_t i = 0; i < config.associates.size(); ++i) {
    const auto& associate = config.associates[i];
    look(fmt::format("[[associate]] number {}: cameras", i + 1), associate.cameras);
    for (const auto& device : associate.devices) {
      if (is_camera(device))
        lines.push_back(
            fmt::format("[[associate]] number {}: devices names {}, a camera, whose own footage is then "
                        "not taken: for cameras beside it use extra_cameras of a [[rule]]",
                        i + 1, device));
    }
  }
  return lines;
}

Result<void> check_tables(const Config& config) {
  for (std::size_t i = 0; i < config.rules.size(); ++i) {
    if (auto checked = check_rule(fmt::format("[[rule]] number {}", i + 1), config.rules[i]); !checked)
      return checked;
  }
  for (std::size_t i = 0; i < config.associates.size(); ++i) {
    if (auto checked = check_associate(fmt::format("[[associate]] number {}", i + 1), config.associates[i]); !checked)
      return checked;
  }
  return {};
}

}  // namespace responder::app
