// Where a device's footage is and what a request for it may carry.
//
// Credentials belong to an origin: a LAN device gets a federated token that opens that one device, never the API key;
// the WAN edge gets the API's headers and an organization-wide token, the store of alert clips the API's headers; any
// other host gets nothing, however it came to be named. Source for the forms: Rhombus's public guides (headers) and
// its older public clients (cookie); both are sent.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/net/http_client.hpp"
#include "responder/rhombus/api_client.hpp"

namespace responder::rhombus {

enum class Route { lan, wan, cloud };
std::string_view to_string(Route route);

// One way to reach a device's footage.
struct MediaPath {
  Route route = Route::lan;
  std::string mpd_template;
  std::vector<std::string> checks = {};  // LAN: URLs that answer when the device can be reached

  // The MPD of a window. Both the template's placeholders are whole seconds.
  Result<net::Url> mpd(std::chrono::sys_seconds start, std::chrono::seconds duration) const;
};

// The alert's own clip, as Rhombus stores it in `region`: shorter and of lower quality than the camera's footage.
MediaPath stored_clip(const net::Url& media_url, const DeviceId& camera, const std::string& region,
                      const AlertId& alert);

// Federated tokens: asked for once, renewed before they expire. Thread-safe.
class TokenCache {
 public:
  TokenCache(ApiClient& api, Clock& clock) : api_(api), clock_(clock) {}

  // The token of one device, or (nullopt) of the organization.
  Result<Secret> get(const std::optional<DeviceId>& device, std::stop_token stop);

  // The token was refused: the next get() asks for another, unless that has happened since.
  void discard(const std::optional<DeviceId>& device, const Secret& refused);

 private:
  struct Entry {
    Secret token;
    SteadyTime renew_at;
  };
  ApiClient& api_;
  Clock& clock_;
  Synchronized<std::map<std::string, Entry>> entries_;
};

// Media URIs, cached for a while. Thread-safe.
class MediaLocator {
 public:
  MediaLocator(ApiClient& api, Clock& clock) : api_(api), clock_(clock) {}

  // The ways to the device in the order to try them: LAN first.
  Result<std::vector<MediaPath>> locate(DeviceKind kind, const DeviceId& device, std::stop_token stop);

 private:
  struct Entry {
    std::vector<MediaPath> paths;
    SteadyTime asked_at;
  };
  ApiClient& api_;
  Clock& clock_;
  Synchronized<std::map<DeviceId, Entry>> entries_;
};

// What the requests of one media session may carry. Thread-safe.
class MediaCredentials {
 public:
  // `mpd` names the one origin that gets anything.
  MediaCredentials(Route route, DeviceId device, const net::Url& mpd, ApiClient& api, TokenCache& tokens);

  struct Grant {
    net::Headers headers;
    Secret token;  // the one in the headers; empty: none
  };
  Result<Grant> grant_for(const net::Url& url, std::stop_token stop);

  // After a 401 or 403 to a request that carried the token `refused`: true when the next grant_for() may help. A
  // token that has replaced it meanwhile stays.
  bool renew(const Secret& refused);

 private:
  std::optional<DeviceId> token_scope() const;

  const Route route_;
  const DeviceId device_;
  const std::string origin_;
  ApiClient& api_;
  TokenCache& tokens_;
};

}  // namespace responder::rhombus
