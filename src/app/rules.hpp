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

// A setting as the rules give it, `otherwise` where none does: rule_setting(config, subject, &Config::Rule::layout,
// config.archive.layout).
template <class Value>
Value rule_setting(const Config& config, const RuleSubject& subject, std::optional<Value> Config::Rule::*setting,
                   Value otherwise) {
  for (const auto& rule : config.rules) {
    if (rule.*setting && matches(rule, subject)) return *(rule.*setting);
  }
  return otherwise;
}

}  // namespace responder::app
