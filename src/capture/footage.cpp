#include "responder/capture/footage.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::capture {
namespace {

using rhombus::MediaPath;
using rhombus::Route;

constexpr std::chrono::seconds unreachable_for{60};
constexpr std::chrono::minutes connections_kept_for{2};
// A device on the LAN answers at once or is not there; auto falls back to the WAN meanwhile.
constexpr net::ClientTimeouts lan_timeouts{.connect = std::chrono::milliseconds(3000),
                                           .read = std::chrono::milliseconds(10000)};
constexpr net::ClientTimeouts wan_timeouts{.connect = std::chrono::milliseconds(5000),
                                           .read = std::chrono::milliseconds(15000)};

// media asks for headers; the vendor's rules give them.
class DeviceCredentials final : public media::Credentials {
 public:
  explicit DeviceCredentials(std::unique_ptr<rhombus::MediaCredentials> rules) : rules_(std::move(rules)) {}
  Result<net::Headers> headers_for(const net::Url& url, std::stop_token stop) override {
    return rules_->headers_for(url, stop);
  }
  bool renew() override { return rules_->renew(); }

 private:
  std::unique_ptr<rhombus::MediaCredentials> rules_;
};

}  // namespace

FootageAccess::FootageAccess(FootageOptions options, rhombus::ApiClient& api, rhombus::TokenCache& tokens,
                             rhombus::MediaLocator& locator, CheckPin check_pin, CountBytes count, Clock& clock)
    : options_(options),
      api_(api),
      tokens_(tokens),
      locator_(locator),
      check_pin_(std::move(check_pin)),
      count_(std::move(count)),
      clock_(clock) {}

Result<std::vector<MediaPath>> FootageAccess::ways_to(rhombus::DeviceKind kind, const DeviceId& device,
                                                      std::stop_token stop) {
  auto paths = locator_.locate(kind, device, stop);
  if (!paths) return paths.error();
  std::erase_if(*paths, [&](const MediaPath& path) {
    return (options_.connection == ConnectionMode::lan && path.route != Route::lan) ||
           (options_.connection == ConnectionMode::wan && path.route != Route::wan);
  });
  if (paths->empty()) {
    constexpr std::string_view why[] = {"Rhombus names no way to its footage (the device may be offline)",
                                        "Rhombus names no LAN way to its footage (capture.connection is lan)",
                                        "Rhombus names no WAN way to its footage (capture.connection is wan)"};
    return Error{ErrorKind::transient, std::string(why[static_cast<std::size_t>(options_.connection)])};
  }
  // Off the LAN every attempt would begin with a timeout: a way that just failed goes to the end.
  auto unreachable = lan_unreachable_until_.lock();
  const auto until = unreachable->find(device);
  if (until != unreachable->end() && clock_.steady_now() < until->second) {
    std::stable_partition(paths->begin(), paths->end(),
                          [](const MediaPath& path) { return path.route != Route::lan; });
  }
  return paths;
}

void FootageAccess::note_unreachable(const DeviceId& device, Route route) {
  if (route == Route::lan) (*lan_unreachable_until_.lock())[device] = clock_.steady_now() + unreachable_for;
}

net::Trust FootageAccess::trust(const DeviceId& device, Route route) const {
  net::Trust trust;
  trust.ca_file = api_.options().ca_file;
  if (route == Route::wan) {
    trust.client_cert = api_.options().client_cert;
    trust.client_key = api_.options().client_key;
    return trust;
  }
  switch (options_.lan_tls) {
    case LanTls::verify: break;
    case LanTls::insecure: trust.mode = net::Trust::Mode::insecure; break;
    case LanTls::pin:
      trust.mode = net::Trust::Mode::pinned;
      trust.accept_key = [check = check_pin_, device](const net::KeyHash& key) { return check(device, to_hex(key)); };
      break;
  }
  return trust;
}

std::shared_ptr<net::Connections> FootageAccess::connections(const DeviceId& device, Route route,
                                                             const net::Url& mpd) {
  const auto now = clock_.steady_now();
  auto kept = kept_.lock();
  std::erase_if(*kept, [&](const auto& entry) {
    return entry.second.connections.use_count() == 1 && now - entry.second.used_at > connections_kept_for;
  });
  Kept& entry = (*kept)[fmt::format("{} {}", device.str(), mpd.origin())];
  entry.used_at = now;
  if (!entry.connections) {
    net::Trust strangers;
    strangers.ca_file = api_.options().ca_file;
    entry.connections = std::make_shared<net::Connections>(mpd, trust(device, route), std::move(strangers),
                                                           route == Route::lan ? lan_timeouts : wan_timeouts,
                                                           options_.segment_connections);
  }
  return entry.connections;
}

std::unique_ptr<media::Source> FootageAccess::source(const DeviceId& device, Route route, const net::Url& mpd) {
  auto rules = std::make_unique<rhombus::MediaCredentials>(route, device, mpd, api_, tokens_);
  return std::make_unique<media::HttpSource>(connections(device, route, mpd),
                                             std::make_unique<DeviceCredentials>(std::move(rules)),
                                             [count = count_, route](std::size_t bytes) { count(route, bytes); });
}

Result<void> Footage::open_next(std::stop_token stop) {
  if (!ways_) {
    auto ways = access_.ways_to(request_.kind, request_.device, stop);
    if (!ways) return ways.error();
    ways_ = std::move(*ways);
  }
  const MediaPath& way = ways_->at(next_way_++);
  auto mpd = way.mpd(request_.start, request_.duration);
  if (!mpd) return mpd.error();
  // Each way has its own folder: the segments of two sessions need not be cut alike.
  const auto same_route = std::count_if(ways_->begin(), ways_->begin() + static_cast<std::ptrdiff_t>(next_way_),
                                        [&](const MediaPath& path) { return path.route == way.route; });
  const auto folder = request_.folder / fmt::format("{}-{}", rhombus::to_string(way.route), same_route);
  if (auto made = make_directories(folder); !made) return made.error();

  media::SessionOptions options;
  options.mpd = *mpd;
  options.start = request_.start;
  options.duration = request_.duration;
  options.want_video = request_.want_video;
  options.want_audio = request_.want_audio;
  options.directory = folder;
  options.on_foreseen = request_.on_foreseen;
  auto source = access_.source(request_.device, way.route, *mpd);
  auto session = std::make_unique<media::Session>(std::move(options), *source, access_.clock());
  attempts_.push_back({way.route, std::move(source), std::move(session)});
  current_works_ = true;
  return {};
}

Result<media::Session::Progress> Footage::advance(std::stop_token stop) {
  while (true) {
    Error error;
    if (!current_works_) {
      if (auto opened = open_next(stop); !opened) error = opened.error();
    }
    if (current_works_) {
      auto progress = attempts_.back().session->advance(stop);
      if (progress) return progress;
      error = std::move(progress.error());
      if (error.kind == ErrorKind::cancelled || error.kind == ErrorKind::no_space) return error;
      attempts_.back().session->recall();
      current_works_ = false;
      const Route route = attempts_.back().route;
      if (error.kind == ErrorKind::transient) access_.note_unreachable(request_.device, route);
      spdlog::info("{} of device {}: {}", rhombus::to_string(route), request_.device.str(), error.message);
    }
    if (!failures_.empty()) failures_ += "; ";
    failures_ += error.message;
    // One way that may work later is reason enough to try again.
    if (!failure_kind_ || *failure_kind_ == ErrorKind::permanent) failure_kind_ = error.kind;
    if (!ways_ || next_way_ >= ways_->size()) return Error{*failure_kind_, failures_, error.retry_after};
  }
}

Footage::Taken Footage::taken() const {
  Taken best;
  std::size_t best_samples = 0;
  for (const auto& attempt : attempts_) {
    auto tracks = attempt.session->taken();
    std::size_t samples = 0;
    for (const auto& track : tracks) samples += track.samples;
    if (samples > best_samples) {
      best_samples = samples;
      best = {attempt.route, std::move(tracks), attempt.session->problem()};
    }
  }
  return best;
}

}  // namespace responder::capture
