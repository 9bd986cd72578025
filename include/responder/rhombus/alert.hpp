// A policy alert as Rhombus tells it, whichever way it came.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/base/ids.hpp"

namespace responder::rhombus {

// One camera that an alert has footage on.
struct AlertCamera {
  DeviceId camera;
  std::optional<WallTime> at;                    // when it began there; the alert does not always say
  std::optional<WallTime> last_at = {};          // when its last event there began, if there are several
  std::optional<std::chrono::seconds> duration;  // absent: the alert gives none
  std::vector<std::string> activities;           // ActivityEnum values
  std::string clip_region = {};                  // where its own clip is stored; empty: not said
};

struct Alert {
  AlertId id;
  DeviceId device;  // what raised it; not always a camera
  LocationId location;
  std::vector<std::string> activities;
  bool diagnostic = false;  // a camera went offline, say: no footage to pull
  std::vector<AlertCamera> cameras;
  // Of what the device saw, where it is said at once for the whole alert.
  std::optional<WallTime> at = {};
  std::optional<std::chrono::seconds> duration = {};
  // What was odd and was passed over, one printable line each: for the log.
  std::vector<std::string> remarks = {};
};

// A webhook's body: the organization webhook's form (`alertUuid`) or the rule action's (`uuid`, `deviceEvents`).
// Unknown fields, nulls and unknown enum values are normal. An Error names what makes it unusable: not a JSON object,
// a key twice, an id missing or not 1-64 of A-Za-z0-9._-. What only helps never makes it unusable: an odd time,
// duration or location counts as not told, an entry of a list that is odd is passed over, and a character or number
// that JSON does not allow is replaced (json::repair). The alert's remarks name what was.
//
// Not thread-safe: it keeps a parser's memory. One object for each thread.
class WebhookParser {
 public:
  WebhookParser();
  ~WebhookParser();
  Result<Alert> parse(std::string_view body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::rhombus
