#include "rules.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/rhombus/activities.hpp"

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

namespace {

using Ids = std::vector<std::string>;

// Calls `look` with each list of ids of one kind, and where it stands.
template <class Look>
void each_list(const Config& config, const Ids& filter, Ids Config::Rule::*in_rule, std::string_view key, Look look) {
  look(fmt::format("filter.{}", key), filter);
  for (std::size_t i = 0; i < config.rules.size(); ++i)
    look(fmt::format("[[rule]] number {}: {}", i + 1, key), config.rules[i].*in_rule);
}

const Named* find_id(const std::vector<Named>& all, const std::string& id) {
  const auto bare = id.substr(0, id.find('.'));
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.id == id || one.id == bare; });
  return found == all.end() ? nullptr : &*found;
}

// What is meant by an id that is none of `all`, as the end of a line; empty: nothing is close.
std::string meant_by(const std::string& id, const std::vector<Named>& all) {
  const auto by_name = find_named(all, id, {"", "", ""});
  return by_name ? fmt::format(": give the UUID of {}", describe(*by_name)) : close_match(all, id);
}

// Adds a line for each of the ids that is none of `all`.
void add_misnamed(std::vector<std::string>& lines, std::string_view where, const Ids& ids,
                  const std::vector<Named>& all, std::string_view kind) {
  for (const auto& id : ids) {
    if (find_id(all, id) != nullptr) continue;
    const auto hint = meant_by(id, all);
    lines.push_back(fmt::format("{} names {}, which is no {} of the organization{}", where, printable(id, 64), kind,
                                hint.empty() ? ": mend it, or take it out" : hint));
  }
}

}  // namespace

std::vector<std::string> misnamed_cameras(const Config& config, const std::vector<rhombus::Camera>& cameras) {
  std::vector<Named> all;
  for (const auto& camera : cameras) all.push_back({camera.id.str(), camera.name});
  std::vector<std::string> lines;
  const auto look = [&](std::string_view where, const Ids& ids) { add_misnamed(lines, where, ids, all, "camera"); };
  look("filter.cameras", config.filter.cameras);
  for (std::size_t i = 0; i < config.rules.size(); ++i) {
    look(fmt::format("[[rule]] number {}: cameras", i + 1), config.rules[i].cameras);
    look(fmt::format("[[rule]] number {}: extra_cameras", i + 1), config.rules[i].extra_cameras);
  }
  for (std::size_t i = 0; i < config.associates.size(); ++i) {
    const auto& associate = config.associates[i];
    look(fmt::format("[[associate]] number {}: cameras", i + 1), associate.cameras);
    for (const auto& device : associate.devices) {
      if (find_id(all, device) != nullptr)
        lines.push_back(
            fmt::format("[[associate]] number {}: devices names {}, a camera, whose own footage is then "
                        "not taken: for cameras beside it use extra_cameras of a [[rule]]",
                        i + 1, device));
    }
  }
  return lines;
}

std::vector<std::string> misnamed_locations(const Config& config, const std::vector<Named>& locations) {
  std::vector<std::string> lines;
  const auto look = [&](std::string_view where, const Ids& ids) {
    add_misnamed(lines, where, ids, locations, "location");
  };
  each_list(config, config.filter.locations, &Config::Rule::locations, "locations", look);
  for (std::size_t i = 0; i < config.associates.size(); ++i)
    look(fmt::format("[[associate]] number {}: locations", i + 1), config.associates[i].locations);
  return lines;
}

std::vector<UnlistedDevice> unlisted_devices(const Config& config, const std::vector<Named>& listed) {
  std::vector<UnlistedDevice> unlisted;
  for (std::size_t i = 0; i < config.associates.size(); ++i) {
    for (const auto& device : config.associates[i].devices) {
      if (find_id(listed, device) != nullptr) continue;
      const auto meant = meant_by(device, listed);
      const auto end = meant.empty() ? ": mend it, unless it is a sensor of another kind, which check cannot look up"
                                     : std::string_view(meant);
      unlisted.push_back({fmt::format("[[associate]] number {}: devices names {}, which is no door, door sensor or "
                                      "audio gateway of the organization{}",
                                      i + 1, printable(device, 64), end),
                          !meant.empty()});
    }
  }
  return unlisted;
}

std::vector<std::string> unknown_activities(const Config& config) {
  std::vector<std::string> lines;
  const auto look = [&](std::string_view where, const Ids& activities) {
    for (const auto& activity : activities) {
      // Names count as they are written.
      const auto known = rhombus::known_activities();
      if (std::find(known.begin(), known.end(), activity) != known.end()) continue;
      const auto close = rhombus::nearest_activity(activity);
      lines.push_back(fmt::format("{}: '{}' is no activity of Rhombus that is known here{}", where,
                                  printable(activity, 64),
                                  close ? fmt::format("; did you mean {}?", *close) : std::string()));
    }
  };
  each_list(config, config.filter.activities, &Config::Rule::activities, "activities", look);
  return lines;
}

std::string idle_filter(const Config& config, const std::set<std::string>& recent) {
  const auto& wanted = config.filter.activities;
  const bool lets_some_through =
      std::any_of(wanted.begin(), wanted.end(), [&](const auto& one) { return recent.contains(one); });
  if (wanted.empty() || recent.empty() || lets_some_through) return {};
  constexpr std::size_t most = 12;
  std::vector<std::string> had;
  for (const auto& activity : recent) {
    if (had.size() < most) had.push_back(printable(activity, 64));
  }
  return fmt::format("filter.activities: no alert of the last days had {}; there were {}", join(wanted, " or "),
                     join(had, ", "));
}

std::vector<Error> table_problems(const Config& config) {
  std::vector<Error> problems;
  for (std::size_t i = 0; i < config.rules.size(); ++i) {
    if (auto checked = check_rule(fmt::format("[[rule]] number {}", i + 1), config.rules[i]); !checked)
      problems.push_back(checked.error());
  }
  for (std::size_t i = 0; i < config.associates.size(); ++i) {
    if (auto checked = check_associate(fmt::format("[[associate]] number {}", i + 1), config.associates[i]); !checked)
      problems.push_back(checked.error());
  }
  return problems;
}

}  // namespace responder::app
