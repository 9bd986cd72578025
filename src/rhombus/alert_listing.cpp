#include "responder/rhombus/alert_listing.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"

#include "alert_json.hpp"

namespace responder::rhombus {
namespace {

using std::chrono::seconds;

// The older shape tells an alert's end instead of its length.
Result<std::optional<seconds>> length(const json::Object& entry, WallTime at) {
  auto duration = duration_s(entry, "durationSec");
  if (!duration || *duration) return duration;
  const auto end = time_ms(entry, "eventEndMs");
  if (!end) return end.error();
  if (!*end || **end < at) return std::optional<seconds>{};
  return std::optional(std::chrono::ceil<seconds>(**end - at));
}

// The field by its name in the present shape, or in the older one.
Result<std::string> id_of(const json::Object& entry, std::string_view name, std::string_view older_name) {
  auto id = optional_id(entry, name);
  if (id && id->empty()) id = optional_id(entry, older_name);
  return id;
}

Result<ListedAlert> read_alert(const json::Object& entry) {
  ListedAlert listed;
  Alert& alert = listed.alert;
  auto id = id_of(entry, "uuid", "alertId");
  if (!id) return id.error();
  if (id->empty()) return bad("uuid is missing");
  alert.id = AlertId(std::move(*id));
  auto device = id_of(entry, "deviceUuid", "cameraUuid");
  if (!device) return device.error();
  alert.device = DeviceId(std::move(*device));
  auto location = optional_id(entry, "locationUuid");
  if (!location) return location.error();
  alert.location = LocationId(std::move(*location));
  alert.activities = text_list(entry, "policyAlertTriggers");
  if (alert.activities.empty())
    alert.activities = enum_values(split(json::text(entry, "alertType").value_or(""), ','));

  auto at = time_ms(entry, "timestampMs");
  if (at && !*at) at = time_ms(entry, "eventStartMs");
  if (!at) return at.error();
  if (!*at) return bad("timestampMs is missing");
  listed.at = **at;
  const auto duration = length(entry, listed.at);
  if (!duration) return duration.error();
  const auto type = json::text(entry, "deviceType").value_or("");
  if (auto added = add_cameras(alert, entry, type, *at, *duration); !added) return added.error();
  return listed;
}

// Where the next page goes on, also after an entry that is of no use otherwise.
std::optional<AlertCursor> cursor_at(const json::Object& entry) {
  const auto id = id_of(entry, "uuid", "alertId");
  auto at = time_ms(entry, "timestampMs");
  if (at && !*at) at = time_ms(entry, "eventStartMs");
  if (!id || id->empty() || !at || !*at) return std::nullopt;
  return AlertCursor{**at, AlertId(*id)};
}

}  // namespace

AlertPage read_alert_page(const json::Object& answer) {
  AlertPage page;
  auto entries = json::array(answer, "policyAlerts");
  if (!entries) entries = json::array(answer, "alerts");
  if (!entries) return page;
  for (const auto item : *entries) {
    json::Object entry;
    if (item.get(entry) != simdjson::SUCCESS) {
      page.unusable.emplace_back("an entry is not an object");
      continue;
    }
    if (auto cursor = cursor_at(entry)) page.last = std::move(cursor);
    auto listed = read_alert(entry);
    if (listed) {
      page.alerts.push_back(std::move(*listed));
    } else {
      const auto id = json::text(entry, "uuid").value_or("without a uuid");
      page.unusable.push_back(fmt::format("alert {}: {}", printable(id, 64), listed.error().message));
    }
  }
  return page;
}

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
    for (const auto& why : page->unusable) spdlog::warn("listed by Rhombus, but of no use: {}", why);
    if (!page->last) {
      listing.complete = page->unusable.empty();
      return listing;
    }
    const auto& last = *page->last;
    if (query.cursor && (last.at > query.cursor->at || last == *query.cursor)) {
      // One that minds times alone ends with the alert that it ended with before.
      const bool minds_time = std::all_of(page->alerts.begin(), page->alerts.end(),
                                          [&](const ListedAlert& listed) { return listed.at <= *query.before; });
      listing.complete = minds_time && page->alerts.size() < page_size;
      if (!listing.complete)
        spdlog::error("Rhombus lists the same alerts again and again; what was before alert {} is not known",
                      last.id.str());
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
    if (last.at < after || !listing.complete) return listing;
    // Said in two ways: one that knows only times gets on as well. One millisecond more, so that alerts of the same
    // one are not passed over, however the server takes `before`.
    query.before = std::min(before, last.at + std::chrono::milliseconds(1));
    query.cursor = last;
  }
}

}  // namespace responder::rhombus
