// The [[rule]] and [[associate]] tables of the configuration, and what the rules say of one capture.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "responder/base/ids.hpp"
#include "responder/rhombus/api_client.hpp"

#include "config.hpp"
#include "names.hpp"

namespace responder::app {

// What a rule may go by.
struct RuleSubject {
  const DeviceId& camera;
  const LocationId& location;
  const std::vector<std::string>& activities;
};

bool matches(const Config::Rule& rule, const RuleSubject& subject);

// The rule that decides a setting: the first that matches and gives it. nullptr: none does.
template <class Value>
const Config::Rule* deciding_rule(const Config& config, const RuleSubject& subject,
                                  std::optional<Value> Config::Rule::*setting) {
  for (const auto& rule : config.rules) {
    if (rule.*setting && matches(rule, subject)) return &rule;
  }
  return nullptr;
}

// A setting as the rules give it, if one does.
template <class Value>
std::optional<Value> rule_setting(const Config& config, const RuleSubject& subject,
                                  std::optional<Value> Config::Rule::*setting) {
  const auto* rule = deciding_rule(config, subject, setting);
  return rule == nullptr ? std::nullopt : rule->*setting;
}

// `otherwise` where none does: rule_setting(config, subject, &Config::Rule::layout, config.archive.layout).
template <class Value>
Value rule_setting(const Config& config, const RuleSubject& subject, std::optional<Value> Config::Rule::*setting,
                   Value otherwise) {
  return rule_setting(config, subject, setting).value_or(otherwise);
}

// Of the rules that match, those of the first that names any.
std::vector<std::string> extra_cameras(const Config& config, const RuleSubject& subject);

// Tables of both kinds that do nothing, and ids in them that are none. Each Error names the table and the mend.
std::vector<Error> table_problems(const Config& config);

// What filters, rules and associations name that is no camera among `cameras`, the organization's; and what they take
// for a door or a sensor and is one. One line each, with what may be meant.
std::vector<std::string> misnamed_cameras(const Config& config, const std::vector<rhombus::Camera>& cameras);

// The same of locations.
std::vector<std::string> misnamed_locations(const Config& config, const std::vector<Named>& locations);

// A device of an association that is none of those that Rhombus lists.
struct UnlistedDevice {
  std::string line;
  bool is_slip = false;  // it is nearly one of them, or its name; else it may be of a kind that is not listed
};
// `listed`: cameras, doors and whatever else may raise alerts. What is a camera is told by misnamed_cameras().
std::vector<UnlistedDevice> unlisted_devices(const Config& config, const std::vector<Named>& listed);

// Activities of filter and rules that Rhombus's documents do not have. It may have added them since: for a warning.
std::vector<std::string> unknown_activities(const Config& config);

// Of `filter.activities`, if it lets through none of the activities that recent alerts had: a line that names both.
// Empty: it lets some through, or there is nothing to compare.
std::string idle_filter(const Config& config, const std::set<std::string>& recent);

}  // namespace responder::app
