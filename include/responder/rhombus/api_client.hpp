// Calls to Rhombus's API. Every call is a POST with a JSON body; a failure can also be HTTP 200 with "error": true.
// Source: Rhombus's OpenAPI document. All callers share one RateLimiter and a few kept-alive connections.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/ids.hpp"
#include "responder/base/secret.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/net/http_client.hpp"
#include "responder/rhombus/alert_listing.hpp"
#include "responder/rhombus/rate_limit.hpp"
#include "responder/rhombus/webhook_settings.hpp"

namespace responder::rhombus {

struct ApiOptions {
  net::Url url;
  net::Url media_url;  // where alerts' own clips are stored
  Secret api_key;
  std::string client_cert = {};  // both set: mTLS authentication
  std::string client_key = {};
  std::string partner_org = {};  // set: partner authentication for this organization
  std::string ca_file = {};
  double requests_per_second = 10;
  std::vector<Secret> webhook_secrets = {};  // masked in what Rhombus says of errors, as the key is
  // How long all calls together wait when Rhombus says "too many requests"; then they fail. None: as long as it says.
  std::optional<std::chrono::seconds> longest_wait = {};
};

// The headers that authenticate an API request, and a WAN media request. Never for a LAN device.
net::Headers api_auth_headers(const ApiOptions& options);

// One of a device's pictures or sounds: v0, v1, … are lenses or channels, a0, … microphones.
struct Facet {
  std::string id;    // "v0"
  std::string name;  // as its owner named it; may be empty
  bool operator==(const Facet&) const = default;
};

struct Camera {
  DeviceId id;
  std::string name;
  LocationId location;
  bool online = true;                           // connectionStatus other than RED
  std::vector<Facet> facets = {};               // where Rhombus tells them
  std::vector<std::string> lan_addresses = {};  // as Rhombus writes them
};

struct Location {
  LocationId id;
  std::string name;
};

// A door with a reader, or one with a sensor.
struct Door {
  enum class Kind { access_controlled, sensor };
  Kind kind = Kind::sensor;
  DeviceId id;
  std::string name;
  LocationId location;
  std::vector<DeviceId> cameras = {};  // that see it, as its owner set them at Rhombus; with or without facet
};

struct DoorList {
  std::vector<Door> doors;
  std::optional<Error> error = {};  // why there may be more of them
};

struct AudioGateway {
  DeviceId id;
  std::string name;
  std::vector<DeviceId> cameras;  // whose sound it records
  bool online = true;
};

// URI templates with {START_TIME} (epoch seconds) and {DURATION} (seconds).
struct MediaUris {
  std::vector<std::string> lan;
  std::vector<std::string> lan_checks;  // URLs that answer when the device can be reached on the LAN
  std::optional<std::string> wan;
};

// A time for which footage exists.
struct Presence {
  std::chrono::sys_seconds start;
  std::chrono::sys_seconds end;
};

// What of an alert may change after its webhook was sent.
struct AlertDetails {
  std::optional<std::chrono::seconds> duration;
  bool finalized = true;  // false: it is still going on
  std::map<DeviceId, std::string> clip_regions;
};

// What Rhombus recorded of webhooks that could not be delivered.
struct FailedDeliveries {
  std::size_t count = 0;
  std::optional<std::string> last = {};  // when, as Rhombus writes it
};

enum class DeviceKind { camera, audio_gateway };

class ApiClient {
 public:
  // Told of each answer, for the metrics: the call's name and the HTTP status, 0 when there was no answer.
  using Observer = std::function<void(std::string_view call, int status)>;

  ApiClient(ApiOptions options, Clock& clock, Observer observer);

  Result<std::vector<Camera>> cameras(std::stop_token stop);
  Result<std::vector<AudioGateway>> audio_gateways(std::stop_token stop);
  // With those that lie in others.
  Result<std::vector<Location>> locations(std::stop_token stop);
  // All of that kind, over all pages. What was listed before an error is kept.
  DoorList doors(Door::Kind kind, std::stop_token stop);
  Result<MediaUris> media_uris(DeviceKind kind, const DeviceId& device, std::stop_token stop);

  // The footage that exists of a camera, in the cloud or on it; of all its lenses together. nullopt: the answer does
  // not say. In the background. Source: protocol.md, section 2, getPresenceWindows.
  Result<std::optional<std::vector<Presence>>> presence(const DeviceId& camera, std::chrono::sys_seconds start,
                                                        std::chrono::seconds duration, std::stop_token stop);
  Result<AlertDetails> alert_details(const AlertId& alert, std::stop_token stop);
  // One page; for list_alerts(). In the background.
  Result<AlertPage> policy_alerts(const AlertQuery& query, std::stop_token stop);
  Result<WebhookSettings> webhook_settings(std::stop_token stop);
  // Registers the URL, or renews its registration: registration_body() of the present settings. The secret that its
  // webhooks are signed with from then on.
  Result<Secret> register_webhook(const WebhookSettings& now, const std::string& url, bool diagnostic,
                                  std::stop_token stop);
  // Takes the URL out of the settings, or turns it off where Rhombus keeps it: unregistration_body() of the present
  // settings. An Error of kind permanent: Rhombus goes on calling it.
  Result<void> unregister_webhook(const WebhookSettings& now, const std::string& url, bool diagnostic,
                                  std::stop_token stop);
  // An account may not be allowed to read them: an Error, then.
  Result<FailedDeliveries> failed_deliveries(WallTime since, std::stop_token stop);

  // A token for media requests. With `device` it opens that one device and nothing else (what a LAN device may see).
  Result<Secret> federated_token(std::chrono::seconds duration, const std::optional<DeviceId>& device,
                                 std::stop_token stop);

  // What Rhombus's clock shows now, by its last answer and our monotonic clock; nothing when no answer has told. To
  // about a second. Our wall clock, and its jumps, have no part in it.
  std::optional<WallTime> their_time() const;
  // How far our clock is ahead of Rhombus's (negative: behind); 0 when it is about the same, or not known.
  WallTime::duration clock_ahead() const;

  const ApiOptions& options() const { return options_; }

 private:
  std::chrono::seconds wait_after_429(const Error& error);
  struct CallOptions {
    Urgency urgency = Urgency::urgent;
    net::Repeat repeat = net::Repeat::allowed;  // most calls only read, or make one token more
    int* status = nullptr;                      // set to the answer's, and left alone when there was none
  };
  // The body of a successful answer. 429 is waited out, a few times.
  Result<std::string> call(const std::string& path, const std::string& body, std::stop_token stop,
                           const CallOptions& options);
  Result<std::string> call(const std::string& path, const std::string& body, std::stop_token stop) {
    return call(path, body, std::move(stop), CallOptions{});
  }
  // The waits that options_.longest_wait bounds: an Error when there is to be none more, or one of `wait`.
  Result<void> may_wait(std::chrono::seconds wait);
  Result<AlertPage> ask_for_alerts(const std::string& path, const std::string& body, std::stop_token stop,
                                   int* status);

  void note_their_time(const net::Response& response);

  const ApiOptions options_;
  Clock& clock_;
  const Observer observer_;
  RateLimiter limiter_;
  // Alone: how often in a row Rhombus has said "too many requests", over all callers.
  std::atomic<int> refused_in_a_row_{0};
  struct Waits {
    std::chrono::seconds total{0};
    bool is_over = false;  // a wait was too long: Rhombus is asked nothing more
  };
  Synchronized<Waits> waits_;
  struct ToldTime {
    WallTime time;
    SteadyTime at;
  };
  mutable Synchronized<std::optional<ToldTime>> told_time_;
  // Alone: getPolicyAlertsV2 is deprecated; whether its elder has to serve.
  std::atomic<bool> older_listing_{false};
  net::ConnectionPool connections_;
};

}  // namespace responder::rhombus
