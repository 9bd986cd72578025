// Asking Rhombus which alerts there were: pages, newest first, through a cursor.
// Source: getPolicyAlertsV2 and getPolicyAlerts of the OpenAPI document, and older client code.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/rhombus/alert.hpp"

namespace responder::rhombus {

inline constexpr std::size_t page_size = 100;  // the documented one

// An alert of a page: the next one goes on after it.
struct AlertCursor {
  WallTime at;
  AlertId id;
  bool operator==(const AlertCursor&) const = default;
};

struct AlertQuery {
  std::optional<WallTime> after = {};
  std::optional<WallTime> before = {};
  std::optional<LocationId> location = {};
  std::optional<AlertCursor> cursor = {};
};

struct ListedAlert {
  Alert alert;
  WallTime at;             // when it began
  bool at_is_told = true;  // false: the alert tells no time, and `at` is near those that are listed beside it
};

struct AlertPage {
  std::vector<ListedAlert> alerts;
  std::vector<std::string> unusable;  // why, one for each entry that cannot be used
  std::vector<AlertCursor> told;      // the entries that tell their id and time, usable or not, in their order
};

// One page; ApiClient::policy_alerts.
using AskForAlerts = std::function<Result<AlertPage>(const AlertQuery&, std::stop_token)>;

struct Listing {
  std::size_t alerts = 0;
  std::size_t pages = 0;
  std::size_t unusable = 0;
  // False: `visit` has ended it, or Rhombus did not get on.
  bool complete = true;
};

// Goes through all alerts of `query`, the newest first, page by page; unusable entries and remarks are logged.
// `visit` may end it by returning false. An Error of a page or of `visit` ends it too.
Result<Listing> list_alerts(const AskForAlerts& ask, AlertQuery query, std::stop_token stop,
                            const std::function<Result<bool>(std::vector<ListedAlert>)>& visit);

}  // namespace responder::rhombus
