#include "rules.hpp"

#include <algorithm>

namespace responder::app {
namespace {

bool names(const std::vector<std::string>& list, const std::string& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

bool matches(const Config::Rule& rule, const RuleSubject& subject) {
  const auto& activities = rule.activities;
  return names(rule.cameras, subject.camera.str()) && names(rule.locations, subject.location.str()) &&
         (activities.empty() || std::any_of(subject.activities.begin(), subject.activities.end(),
                                            [&](const auto& one) { return names(activities, one); }));
}

}  // namespace responder::app
