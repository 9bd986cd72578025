// The [[rule]] tables of the configuration, as they apply to one capture.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "responder/base/ids.hpp"

#include "config.hpp"

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

// A setting as the rules give it, `otherwise` where none does: rule_setting(config, subject, &Config::Rule::layout,
// config.archive.layout).
template <class Value>
Value rule_setting(const Config& config, const RuleSubject& subject, std::optional<Value> Config::Rule::*setting,
                   Value otherwise) {
  const auto* rule = deciding_rule(config, subject, setting);
  return rule == nullptr ? otherwise : *(rule->*setting);
}

}  // namespace responder::app
