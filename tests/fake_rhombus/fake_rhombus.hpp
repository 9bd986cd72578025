// A stand-in for Rhombus: its API, its WAN edge and LAN devices, over real HTTPS on loopback. It follows the vendor's
// protocol; every request is logged with the credentials it carried, so that tests can assert on them.
//
//   FakeRhombus rhombus;
//   auto camera = rhombus.add_camera({.name = "Front Door"});
//   rhombus.start();
//   // rhombus.api_url(), rhombus.ca_file() …
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "certificates.hpp"
#include "media_loop.hpp"

namespace fake_rhombus {

// Where a SegmentTemplate stands in the MPD, and how it addresses.
enum class MpdForm { adaptation_set, representation, period, timeline, prefixed };

struct CameraSpec {
  std::string name = "Camera";
  std::string uuid = {};  // made up when empty
  std::string location = "LocationAAAAAAAAAAAAAA";
  VideoProfile video = {};
  bool own_sound = false;
  bool lan = true;
  bool wan = true;
  bool absolute_times = false;  // decode times count from the epoch instead of the session's start
  bool clamp_to_now = false;    // the MPD ends at the present instead of naming what is not there yet
  MpdForm form = MpdForm::adaptation_set;
  std::string status = "GREEN";
  std::map<std::string, std::string> facets = {};  // "v1" -> its name
  std::vector<std::string> lan_addresses = {};     // told beside the real one of `lan`
};

struct DoorSpec {
  std::string name = "Door";
  std::string uuid = {};
  std::string location = "LocationAAAAAAAAAAAAAA";
  std::vector<std::string> cameras = {};
  bool is_sensor = false;  // a door sensor, no access-controlled door
};

struct GatewaySpec {
  std::string name = "Gateway";
  std::string uuid = {};
  std::vector<std::string> cameras = {};
  bool lan = true;
  bool wan = true;
  bool absolute_times = false;
  std::string status = "GREEN";
};

struct StoredAlert {
  std::string uuid = {};
  std::string device;
  std::int64_t timestamp_ms = 0;
  std::optional<int> duration_s;
  std::vector<std::string> triggers = {};
  bool finalized = true;
  bool of_sensor = false;  // the device is none of the cameras', and no camera is said to have seen it
};

struct Request {
  std::string server;  // "api", "wan", or the LAN device's uuid
  std::string method;
  std::string path;  // without the query
  std::string query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool client_certificate = false;  // one was shown
  int status = 0;                   // of the answer
  std::size_t bytes = 0;            // of its body
  std::int64_t at_ms = 0;
};

struct Reply {
  int status = 200;
  std::string body;
  std::string type = "application/octet-stream";
  std::map<std::string, std::string> headers = {};
  std::optional<std::size_t> cut_at = {};  // the connection breaks after so many bytes of the body
  std::size_t bytes_per_second = 0;        // 0: as fast as it goes
};

struct Options {
  std::string api_key = "stand-in-api-key-0123456789";
  std::filesystem::path directory = {};          // for the CA file; a temporary one when empty
  std::chrono::milliseconds recording_lag{300};  // a segment is there this long after its end
  double requests_per_second = 10;
  double burst = 100;
  std::chrono::milliseconds latency{0};  // added to every media answer
  int api_port = 0;                      // 0: any
  std::size_t wan_connections = 48;      // at once; each holds a thread, idle or not
  bool keep_segments =
      false;  // make each segment once and keep it, for benchmarks: memory grows with what is asked for
};

class FakeRhombus {
 public:
  explicit FakeRhombus(Options options = {});
  ~FakeRhombus();
  FakeRhombus(const FakeRhombus&) = delete;
  FakeRhombus& operator=(const FakeRhombus&) = delete;

  // Before start(). They return the device's UUID.
  std::string add_camera(CameraSpec spec);
  std::string add_gateway(GatewaySpec spec);
  std::string add_door(DoorSpec spec);
  void add_location(const std::string& uuid, const std::string& name);

  // What the lists of alerts have. At any time.
  void add_alert(StoredAlert alert);
  // A webhook of somebody else, as if registered long ago; `secret` empty: Rhombus tells none.
  void add_webhook(const std::string& url, const std::string& secret, bool diagnostic = false);
  // Whether a URL that is left out of the settings goes, or is kept and turned off.
  void keep_removed_webhooks(bool keep);
  // What the diagnostics say of a webhook that could not be delivered; `at` in RFC 3339.
  void record_failed_delivery(const std::string& at);

  void start();
  void stop();

  std::string api_url() const;
  std::string ca_file() const;
  const std::string& api_key() const { return options_.api_key; }

  // Looks at each request first; what it returns is answered instead. May be set at any time.
  using Intercept = std::function<std::optional<Reply>(const Request&)>;
  void intercept(Intercept intercept);

  // Changes what is about to be answered. May be set at any time.
  using Mangle = std::function<void(const Request&, Reply&)>;
  void mangle(Mangle mangle);

  // A time (epoch seconds) of which no footage exists: Rhombus does not list it, and for segments that lie in it even in
  // part, placeholder pictures are served, encoded as the others. At any time.
  void add_hole(const std::string& camera, std::int64_t start, std::int64_t end);
  // The footage of all holes has come after all.
  void fill_holes(const std::string& camera);

  // The clip that Rhombus stores of an alert, in the region the webhooks name.
  void store_clip(const std::string& camera, const std::string& alert, std::int64_t start, std::int64_t duration,
                  const VideoProfile& video);
  // Where stored clips are: for rhombus.media_url.
  std::string media_url() const { return api_url(); }

  // What getPolicyAlertDetails says of an alert.
  void set_alert(StoredAlert alert);

  std::vector<Request> requests() const;
  // What intercept() and mangle() were used for has happened before this returns, if its answer has been seen. For
  // ThreadSanitizer, which does not follow sockets and processes.
  void settle() const;
  void forget_requests();
  void revoke_tokens();  // those given so far are no longer good

  // What a session over [start, start + duration) serves of a device, in decode order; the truth to hold a clip
  // against.
  std::vector<Sample> truth(const std::string& device, bool audio, std::int64_t start, std::int64_t duration) const;

 private:
  struct Impl;
  Options options_;
  std::unique_ptr<Impl> impl_;
};

// --- webhooks out
// -----------------------------------------------------------------------------------------------------------

std::string organization_body(const std::string& alert, const std::string& camera, std::int64_t timestamp_ms,
                              std::optional<int> duration_s, const std::string& activities = "MOTION_HUMAN");
// Of a door sensor, without a word of cameras.
std::string sensor_body(const std::string& alert, const std::string& sensor, std::int64_t timestamp_ms,
                        int duration_s);
std::string rule_body(const std::string& alert, const std::vector<std::string>& cameras, std::int64_t timestamp_ms);

std::string hmac_hex(const std::string& body, const std::string& secret, bool sha256);

struct WebhookAnswer {
  int status = 0;  // 0: no answer
  std::string body;
};
// Signs as Rhombus does: SHA-1 for organization webhooks, SHA-256 for rule actions.
WebhookAnswer send_webhook(const std::string& url, const std::string& body, const std::string& secret, bool sha256);

// A UUID in Rhombus's form: 22 characters of url-safe base64.
std::string random_uuid();

}  // namespace fake_rhombus
