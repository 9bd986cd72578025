// One device's footage of one span of time, whichever way it can be reached: the ladder. LAN, then the WAN for what
// the LAN did not give.
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
  LanTls lan_tls = LanTls::pin;
  std::size_t segment_connections = 4;
  std::chrono::milliseconds recording_lag{300};
};

// Whether a LAN device may be talked to: it shows the key it was first seen with, or is now. Thread-safe.
using CheckPin = std::function<Result<void>(const DeviceId& device, const std::string& key_sha256)>;

// What a request for footage needs of the outside, and what is remembered of devices. Thread-safe.
class FootageAccess {
 public:
  using CountBytes = std::function<void(rhombus::Route, std::size_t)>;

  FootageAccess(FootageOptions options, rhombus::ApiClient& api, rhombus::TokenCache& tokens,
                rhombus::MediaLocator& locator, CheckPin check_pin, CountBytes count, Clock& clock);

  // The ways to the device that `connection` allows; those that just failed come last.
  Result<std::vector<rhombus::MediaPath>> ways_to(rhombus::DeviceKind kind, const DeviceId& device,
                                                  ConnectionMode connection, std::stop_token stop);

  // Whether a LAN device answers at the URLs that are for asking so; asked again after a while.
  bool is_reachable(const DeviceId& device, const rhombus::MediaPath& way, std::stop_token stop);

  std::unique_ptr<media::Source> source(const DeviceId& device, rhombus::Route route, const net::Url& mpd,
                                        std::function<void(std::size_t)> on_bytes);

  // The way does not lead there just now: it is not the first choice for a while.
  void note_unreachable(const DeviceId& device, rhombus::Route route);

  // A device that failed several times by all the ways that `connection` allows rests, longer each time, for all who
  // may go by no others.
  void note_worked(const DeviceId& device, ConnectionMode connection);
  void note_failed(const DeviceId& device, ConnectionMode connection, const Error& error);
  // The last failure, with retry_after, while it rests.
  std::optional<Error> resting(const DeviceId& device, ConnectionMode connection);

  // The right to take footage from a device; few have it at once, so that a device that stalls stalls few.
  class Turn {
   public:
    Turn(FootageAccess& access, DeviceId device) : access_(&access), device_(std::move(device)) {}
    Turn(Turn&& other) noexcept : access_(std::exchange(other.access_, nullptr)), device_(std::move(other.device_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    FootageAccess* access_;
    DeviceId device_;
  };
  std::optional<Turn> take_turn(const DeviceId& device);

  std::shared_ptr<media::RecordingLag> recording_lag(const DeviceId& device);
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
  struct Rest {
    int failures = 0;
    SteadyTime until;
    std::optional<Error> last_failure;
  };
  struct Known {
    std::optional<SteadyTime> unreachable_until;  // on the LAN
    std::optional<SteadyTime> reachable_until;
    std::map<ConnectionMode, Rest> rests;
    int turns = 0;
    std::shared_ptr<media::RecordingLag> lag;
  };
  Synchronized<std::map<DeviceId, Known>> known_;
};

struct FootageRequest {
  rhombus::DeviceKind kind = rhombus::DeviceKind::camera;
  DeviceId device;
  ConnectionMode connection = ConnectionMode::automatic;
  std::chrono::sys_seconds start;
  std::chrono::seconds duration{0};
  bool want_video = true;
  bool want_audio = true;
  std::filesystem::path folder;
  std::optional<rhombus::MediaPath> only_way = {};  // instead of those that Rhombus names for the device
  std::function<void(std::size_t)> on_bytes = {};
  std::function<Result<void>()> room = {};                               // media::SessionOptions::room
  std::function<void(double)> on_progress = {};                          // media::SessionOptions::on_progress
  std::function<void(std::vector<media::TakenTrack>)> on_foreseen = {};  // media::SessionOptions::on_foreseen
};

class Footage {
 public:
  Footage(FootageRequest request, FootageAccess& access) : request_(std::move(request)), access_(access) {}

  // As media::Session::advance(), over all the ways: an Error means that none of them leads on.
  Result<media::Session::Progress> advance(std::stop_token stop);

  struct Share {
    rhombus::Route route = rhombus::Route::lan;
    media::Taken taken;
    std::string problem;  // why a track of it is missing altogether
  };
  // What each way has brought, the best first.
  std::vector<Share> taken() const;
  // Whether that is all there was to have.
  bool complete() const;

 private:
  struct Attempt {
    rhombus::Route route;
    std::filesystem::path folder;
    std::unique_ptr<media::Source> source;
    std::unique_ptr<media::Session> session;
  };
  Result<void> find_ways(std::stop_token stop);
  media::SessionOptions session_options(std::filesystem::path folder) const;
  void recall();
  Result<media::Session::Progress> end();
  Result<void> open_next(std::stop_token stop);
  void note_failure(rhombus::Route route, const Error& error);
  std::function<bool(media::TrackKind, const media::SegmentTime&)> still_wanted() const;

  const FootageRequest request_;
  FootageAccess& access_;
  std::optional<std::vector<rhombus::MediaPath>> ways_;
  std::size_t next_way_ = 0;
  std::vector<Attempt> attempts_;
  bool current_works_ = false;
  bool some_way_ended_well_ = false;
  std::map<rhombus::Route, std::string> failures_;
  std::optional<ErrorKind> failure_kind_;
  std::optional<std::chrono::seconds> retry_after_;
};

}  // namespace responder::capture
