// One device's footage, whichever way it can be reached: the ways are tried in order (LAN, then WAN) until one works.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/media/session.hpp"
#include "responder/rhombus/media_access.hpp"

namespace responder::capture {

enum class ConnectionMode { automatic, lan, wan };
enum class LanTls { pin, verify, insecure };

struct FootageOptions {
  ConnectionMode connection = ConnectionMode::automatic;
  LanTls lan_tls = LanTls::pin;
  std::size_t segment_connections = 4;
};

// Whether a LAN device may be talked to: true for the key it was first seen with (or now is). Thread-safe.
using CheckPin = std::function<bool(const DeviceId& device, const std::string& key_sha256)>;

// What a request for footage needs of the outside. Thread-safe.
class FootageAccess {
 public:
  using CountBytes = std::function<void(rhombus::Route, std::size_t)>;

  FootageAccess(FootageOptions options, rhombus::ApiClient& api, rhombus::TokenCache& tokens,
                rhombus::MediaLocator& locator, CheckPin check_pin, CountBytes count, Clock& clock);

  // The ways to the device that the configuration allows; those that just failed come last.
  Result<std::vector<rhombus::MediaPath>> ways_to(rhombus::DeviceKind kind, const DeviceId& device,
                                                  std::stop_token stop);

  std::unique_ptr<media::Source> source(const DeviceId& device, rhombus::Route route, const net::Url& mpd);

  // The way does not lead there just now: it is not the first choice for a while.
  void note_unreachable(const DeviceId& device, rhombus::Route route);

  Clock& clock() { return clock_; }

 private:
  std::shared_ptr<net::Connections> connections(const DeviceId& device, rhombus::Route route, const net::Url& mpd);
  net::Trust trust(const DeviceId& device, rhombus::Route route) const;

  const FootageOptions options_;
  rhombus::ApiClient& api_;
  rhombus::TokenCache& tokens_;
  rhombus::MediaLocator& locator_;
  const CheckPin check_pin_;
  const CountBytes count_;
  Clock& clock_;

  // Kept alive between captures: alerts come in bursts on the same cameras.
  struct Kept {
    std::shared_ptr<net::Connections> connections;
    SteadyTime used_at;
  };
  Synchronized<std::map<std::string, Kept>> kept_;
  Synchronized<std::map<DeviceId, SteadyTime>> lan_unreachable_until_;
};

struct FootageRequest {
  rhombus::DeviceKind kind = rhombus::DeviceKind::camera;
  DeviceId device;
  std::chrono::sys_seconds start;
  std::chrono::seconds duration{0};
  bool want_video = true;
  bool want_audio = true;
  std::filesystem::path folder;
  std::function<void(media::TakenTrack)> on_foreseen = {};  // media::SessionOptions::on_foreseen
};

class Footage {
 public:
  Footage(FootageRequest request, FootageAccess& access) : request_(std::move(request)), access_(access) {}

  // As media::Session::advance(), over all the ways: an Error means that none of them leads on.
  Result<media::Session::Progress> advance(std::stop_token stop);

  struct Taken {
    rhombus::Route route = rhombus::Route::lan;
    std::vector<media::TakenTrack> tracks;
    std::string problem;  // why a track of it is missing altogether
  };
  // What the best of the ways has brought.
  Taken taken() const;

 private:
  struct Attempt {
    rhombus::Route route;
    std::unique_ptr<media::Source> source;
    std::unique_ptr<media::Session> session;
  };
  Result<void> open_next(std::stop_token stop);

  const FootageRequest request_;
  FootageAccess& access_;
  std::optional<std::vector<rhombus::MediaPath>> ways_;
  std::size_t next_way_ = 0;
  std::vector<Attempt> attempts_;
  bool current_works_ = false;
  std::string failures_;
  std::optional<ErrorKind> failure_kind_;
};

}  // namespace responder::capture
