#include "responder/rhombus/alert_listing.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"

#include "alert_json.hpp"
#include "own_secrets.hpp"
#include "say_once.hpp"

namespace responder::rhombus {
namespace {

using std::chrono::seconds;

// The older shape tells an alert's end instead of its length.
std::optional<seconds> length(Alert& alert, const json::Object& entry, std::optional<WallTime> at) {
  const auto duration = duration_s(alert, entry, "durationSec");
  if (duration || !at) return duration;
  const auto end = time_ms(alert, entry, "eventEndMs");
  if (!end || *end < *at) return std::nullopt;
  return std::chrono::ceil<seconds>(*end - *at);
}

// The field by its name in the present shape, or in the older one.
Result<std::string> id_of(const json::Object& entry, std::string_view name, std::string_view older_name) {
  auto id = optional_id(entry, name);
  if (id && id->empty()) id = optional_id(entry, older_name);
  return id;
}

std::optional<WallTime> time_of(Alert& alert, const json::Object& entry) {
  const auto at = time_ms(alert, entry, "timestampMs");
  return at ? at : time_ms(alert, entry, "eventStartMs");
}

// Without `at` where the alert tells no time: the page knows better.
Result<ListedAlert> read_alert(const json::Object& entry) {
  ListedAlert listed;
  Alert& alert = listed.alert;
  auto id = id_of(entry, "uuid", "alertId");
  if (!id) return id.error();
  if (id->empty()) return bad("uuid is missing");
  alert.id = AlertId(std::move(*id));
  auto device = id_of(entry, "deviceUuid", "cameraUuid");
  if (device) alert.device = DeviceId(std::move(*device));
  alert.location = location_id(alert, entry, "locationUuid");
  alert.activities = text_list(entry, "policyAlertTriggers");
  if (alert.activities.empty())
    alert.activities = enum_values(split(json::text(entry, "alertType").value_or(""), ','));

  const auto at = time_of(alert, entry);
  listed.at_is_told = at.has_value();
  listed.at = at.value_or(WallTime());
  const auto duration = length(alert, entry, at);
  add_cameras(alert, entry, json::text(entry, "deviceType").value_or(""), at, duration);
  if (!device) {
    if (alert.cameras.empty()) return device.error();
    remark(alert, device.error().message + ": the cameras of its clipLocationMap are taken");
  }
  return listed;
}

// Where the next page goes on, also after an entry that is of no use otherwise.
std::optional<AlertCursor> cursor_at(const json::Object& entry) {
  const auto id = id_of(entry, "uuid", "alertId");
  Alert unused;
  const auto at = time_of(unused, entry);
  if (!id || id->empty() || !at) return std::nullopt;
  return AlertCursor{*at, AlertId(*id)};
}

// An alert that tells no time gets that of the one listed before it, else of the next that tells one, else `now`.
void guess_times(std::vector<ListedAlert>& alerts, WallTime now) {
  const auto told = std::find_if(alerts.begin(), alerts.end(), [](const ListedAlert& one) { return one.at_is_told; });
  WallTime near = told == alerts.end() ? now : told->at;
  for (auto& listed : alerts) {
    if (listed.at_is_told) {
      near = listed.at;
      continue;
    }
    listed.at = near;
    listed.alert.at = near;
    for (auto& camera : listed.alert.cameras) camera.at = near;
    remark(listed.alert, "it tells no time: that of the alerts listed beside it is taken");
  }
}

std::string name_of(const json::Object& entry, std::size_t index) {
  auto id = json::text(entry, "uuid");
  if (!id) id = json::text(entry, "alertId");
  return id ? "alert " + printable(without_secrets(*id), 64) : fmt::format("entry {}", index);
}

// The list by its name in the present shape, or in the older one; nullopt when it is null. An answer without a list
// does not say that there were no alerts.
Result<std::optional<json::Array>> entries_of(const json::Object& answer) {
  bool is_null = false;
  for (const auto* name : {"policyAlerts", "alerts"}) {
    json::Element list;
    json::Array entries;
    if (answer.at_key(name).get(list) != simdjson::SUCCESS) continue;
    if (list.get(entries) == simdjson::SUCCESS) return std::optional(entries);
    if (!list.is_null()) return Error{ErrorKind::transient, fmt::format("the answer lacks a list {}", name)};
    is_null = true;
  }
  if (is_null) return std::optional<json::Array>{};
  return Error{ErrorKind::transient, "the answer lacks policyAlerts"};
}

}  // namespace

Result<AlertPage> read_alert_page(const json::Object& answer, WallTime now) {
  AlertPage page;
  const auto entries = entries_of(answer);
  if (!entries) return entries.error();
  if (!*entries) return page;
  std::size_t index = 0;
  for (const auto item : **entries) {
    const auto number = index++;
    json::Object entry;
    if (item.get(entry) != simdjson::SUCCESS) {
      page.unusable.push_back(fmt::format("entry {} is not an object", number));
      continue;
    }
    if (auto cursor = cursor_at(entry)) page.told.push_back(std::move(*cursor));
    auto listed = read_alert(entry);
    if (listed) {
      page.alerts.push_back(std::move(*listed));
    } else {
      page.unusable.push_back(fmt::format("{}: {}", name_of(entry, number), listed.error().message));
    }
  }
  guess_times(page.alerts, now);
  return page;
}

namespace {

// Where the next page goes on: after the oldest alert that is not before `after`, the last one of that time. The last
// entry alone may tell an odd time. nullopt: no entry tells a time that is wanted.
std::optional<AlertCursor> oldest_wanted(const AlertPage& page, WallTime after) {
  std::optional<AlertCursor> oldest;
  for (const auto& one : page.told) {
    if (one.at >= after && (!oldest || one.at <= oldest->at)) oldest = one;
  }
  return oldest;
}

// Whether the page goes back to before `after`: it is in order, and its last alert is from before.
bool reaches_back(const AlertPage& page, WallTime after) {
  const auto is_newer = [](const AlertCursor& a, const AlertCursor& b) { return a.at > b.at; };
  return !page.told.empty() && page.told.back().at < after &&
         std::is_sorted(page.told.begin(), page.told.end(), is_newer);
}

void say_what_is_odd(const AlertPage& page) {
  for (const auto& why : page.unusable) spdlog::warn("listed by Rhombus, but of no use: {}", why);
  for (const auto& listed : page.alerts) {
    for (const auto& remark : listed.alert.remarks)
      say_once(fmt::format("alert {}, listed by Rhombus: {}", listed.alert.id.str(), remark));
  }
}

}  // namespace

Result<Listing> list_alerts(const AskForAlerts& ask, AlertQuery query, std::stop_token stop,
                            const std::function<Result<bool>(std::vector<ListedAlert>)>& visit) {
  const auto after = query.after.value_or(WallTime::min());
  const auto before = query.before.value_or(WallTime::max());
  Listing listing;
  while (true) {
    auto page = ask(query, stop);
    if (!page) return page.error();
    ++listing.pages;
    listing.unusable += page->unusable.size();
    say_what_is_odd(*page);
    const bool is_full = page->alerts.size() + page->unusable.size() >= page_size;
    const auto last = oldest_wanted(*page, after);
    if (last && query.cursor && (last->at > query.cursor->at || *last == *query.cursor)) {
      // One that minds times alone ends with the alert that it ended with before.
      const bool minds_time = std::all_of(page->alerts.begin(), page->alerts.end(),
                                          [&](const ListedAlert& listed) { return listed.at <= *query.before; });
      listing.complete = reaches_back(*page, after) || (minds_time && page->alerts.size() < page_size);
      if (!listing.complete)
        spdlog::error("Rhombus lists the same alerts again and again; what was before alert {} is not known",
                      last->id.str());
      return listing;
    }
    // The server may mind fewer bounds than it was given.
    std::erase_if(page->alerts, [&](const ListedAlert& listed) {
      return listed.at < after || listed.at > before || (query.location && listed.alert.location != *query.location);
    });
    listing.alerts += page->alerts.size();
    if (!page->alerts.empty()) {
      const auto go_on = visit(std::move(page->alerts));
      if (!go_on) return go_on.error();
      listing.complete = *go_on;
    }
    if (page->told.empty()) {
      if (is_full) spdlog::error("Rhombus lists a full page of alerts without their times; older ones are not known");
      listing.complete = listing.complete && page->unusable.empty() && !is_full;
      return listing;
    }
    if (!last || !listing.complete) return listing;
    // Said in two ways: one that knows only times gets on as well. One millisecond more, so that alerts of the same
    // one are not passed over, however the server takes `before`.
    query.before = std::min(before, last->at + std::chrono::milliseconds(1));
    query.cursor = last;
  }
}

}  // namespace responder::rhombus
