#include "responder/capture/footage.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/media/assemble.hpp"
#include "responder/media/coverage.hpp"

namespace responder::capture {
namespace {

using rhombus::MediaPath;
using rhombus::Route;

constexpr std::chrono::seconds unreachable_for{60};
constexpr std::chrono::seconds reachable_for{60};
constexpr net::ClientLimits probe_limits{.connect = std::chrono::milliseconds(2000),
                                         .first_byte = std::chrono::milliseconds(3000),
                                         .interval = std::chrono::milliseconds(3000)};
constexpr int turns_at_once = 2;  // of one device
// More than this for one window is no footage: 100 Mbit/s, and something for the beginning.
constexpr std::uint64_t most_bytes_a_second = 12'500'000;
constexpr std::uint64_t most_bytes_to_begin = 64U << 20U;
constexpr std::chrono::minutes connections_kept_for{2};
// A device on the LAN answers at once or is not there; auto falls back to the WAN meanwhile.
constexpr net::ClientLimits lan_limits{.connect = std::chrono::milliseconds(3000),
                                       .first_byte = std::chrono::milliseconds(10000)};
constexpr net::ClientLimits wan_limits{.connect = std::chrono::milliseconds(15000),  // a slow resolver included
                                       .first_byte = std::chrono::milliseconds(15000)};

// media asks for headers; the vendor's rules give them.
class DeviceCredentials final : public media::Credentials {
 public:
  explicit DeviceCredentials(std::unique_ptr<rhombus::MediaCredentials> rules) : rules_(std::move(rules)) {}
  Result<Grant> grant_for(const net::Url& url, std::stop_token stop) override {
    auto grant = rules_->grant_for(url, stop);
    if (!grant) return grant.error();
    return Grant{std::move(grant->headers), std::move(grant->token)};
  }
  bool renew(const Secret& refused) override { return rules_->renew(refused); }

 private:
  std::unique_ptr<rhombus::MediaCredentials> rules_;
};

// For a session that only remembers.
class NoSource final : public media::Source {
 public:
  Result<media::Document> text(const net::Url&, std::size_t, std::stop_token) override { return gone(); }
  Result<void> file(const net::Url&, const std::filesystem::path&, std::size_t, std::stop_token) override {
    return gone();
  }
  std::size_t parallel() const override { return 1; }

 private:
  static Error gone() { return {ErrorKind::permanent, "nothing is asked for"}; }
};

// "https://HOST:PORT/PATH: it failed" as "https://HOST:PORT: it failed": for people, who know the rest.
std::string without_path(const std::string& message) {
  constexpr std::string_view scheme = "https://";
  if (!message.starts_with(scheme)) return message;
  const auto path = message.find('/', scheme.size());
  const auto end = message.find(": ", scheme.size());
  if (path == std::string::npos || end == std::string::npos || path > end) return message;
  return message.substr(0, path) + message.substr(end);
}

std::optional<Route> route_of(std::string_view folder) {
  for (const auto route : {Route::lan, Route::wan, Route::cloud}) {
    if (folder.starts_with(rhombus::to_string(route))) return route;
  }
  return std::nullopt;
}

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
                                                      ConnectionMode connection, std::stop_token stop) {
  auto paths = locator_.locate(kind, device, stop);
  if (!paths) return paths.error();
  std::erase_if(*paths, [&](const MediaPath& path) {
    return (connection == ConnectionMode::lan && path.route != Route::lan) ||
           (connection == ConnectionMode::wan && path.route != Route::wan);
  });
  if (paths->empty()) {
    constexpr std::string_view why[] = {
        "Rhombus names no way to its footage (the device may be offline)",
        "Rhombus names no LAN way to its footage (capture.connection, or a rule's, is lan)",
        "Rhombus names no WAN way to its footage (capture.connection, or a rule's, is wan)"};
    return Error{ErrorKind::transient, std::string(why[static_cast<std::size_t>(connection)])};
  }
  // Off the LAN every attempt would begin with a timeout: a way that just failed goes to the end.
  const auto until = (*known_.lock())[device].unreachable_until;
  if (until && clock_.steady_now() < *until) {
    std::stable_partition(paths->begin(), paths->end(),
                          [](const MediaPath& path) { return path.route != Route::lan; });
  }
  return paths;
}

bool FootageAccess::is_reachable(const DeviceId& device, const MediaPath& way, std::stop_token stop) {
  if (way.checks.empty()) return true;
  if (const auto until = (*known_.lock())[device].reachable_until; until && clock_.steady_now() < *until) return true;
  for (const auto& check : way.checks) {
    const auto url = net::Url::parse(check);
    if (!url) continue;
    // Any answer will do. Nothing is shown to the device, and whom to believe is decided when footage is asked for:
    // the key that it shows here need not be that of its footage.
    net::Trust anybody;
    anybody.mode = net::Trust::Mode::insecure;
    anybody.allow_1024_bits = true;
    net::HttpConnection connection(*url, std::move(anybody), probe_limits);
    constexpr std::size_t most_of_answer = 64 * 1024;
    if (!connection.get(url->target(), {}, most_of_answer, stop)) continue;
    (*known_.lock())[device].reachable_until = clock_.steady_now() + reachable_for;
    return true;
  }
  return false;
}

void FootageAccess::note_unreachable(const DeviceId& device, Route route) {
  if (route != Route::lan) return;
  auto known = known_.lock();
  (*known)[device].unreachable_until = clock_.steady_now() + unreachable_for;
  (*known)[device].reachable_until.reset();
}

void FootageAccess::note_worked(const DeviceId& device, ConnectionMode connection) {
  (*known_.lock())[device].rests.erase(connection);
}

void FootageAccess::note_failed(const DeviceId& device, ConnectionMode connection, const Error& error) {
  constexpr int longest_after = 6;
  auto known = known_.lock();
  auto& rest = (*known)[device].rests[connection];
  rest.failures = std::min(rest.failures + 1, longest_after);
  rest.last_failure = error;
  // The first failures are left to the captures' own tries.
  if (rest.failures > 2) rest.until = clock_.steady_now() + std::chrono::seconds(1 << (rest.failures - 1));
}

std::optional<Error> FootageAccess::resting(const DeviceId& device, ConnectionMode connection) {
  auto known = known_.lock();
  const auto& rest = (*known)[device].rests[connection];
  const auto left = rest.until - clock_.steady_now();
  if (!rest.last_failure || left <= SteadyTime::duration(0)) return std::nullopt;
  Error error = *rest.last_failure;
  error.retry_after = std::chrono::ceil<std::chrono::seconds>(left);
  return error;
}

FootageAccess::Turn::~Turn() {
  if (access_ != nullptr) --(*access_->known_.lock())[device_].turns;
}

std::optional<FootageAccess::Turn> FootageAccess::take_turn(const DeviceId& device) {
  auto known = known_.lock();
  auto& one = (*known)[device];
  if (one.turns >= turns_at_once) return std::nullopt;
  ++one.turns;
  return Turn(*this, device);
}

std::shared_ptr<media::RecordingLag> FootageAccess::recording_lag(const DeviceId& device) {
  auto known = known_.lock();
  auto& lag = (*known)[device].lag;
  if (!lag) lag = std::make_shared<media::RecordingLag>(options_.recording_lag);
  return lag;
}

net::Trust FootageAccess::trust(const DeviceId& device, Route route) const {
  net::Trust trust;
  trust.ca_file = api_.options().ca_file;
  if (route != Route::lan) {
    trust.client_cert = api_.options().client_cert;
    trust.client_key = api_.options().client_key;
    return trust;
  }
  switch (options_.lan_tls) {
    case LanTls::verify: break;
    case LanTls::insecure:
      trust.mode = net::Trust::Mode::insecure;
      trust.allow_1024_bits = true;
      break;
    case LanTls::pin:
      trust.allow_1024_bits = true;
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
                                                           route == Route::lan ? lan_limits : wan_limits,
                                                           options_.segment_connections);
  }
  return entry.connections;
}

std::unique_ptr<media::Source> FootageAccess::source(const DeviceId& device, Route route, const net::Url& mpd,
                                                     std::function<void(std::size_t)> on_bytes) {
  auto rules = std::make_unique<rhombus::MediaCredentials>(route, device, mpd, api_, tokens_);
  return std::make_unique<media::HttpSource>(
      connections(device, route, mpd), std::make_unique<DeviceCredentials>(std::move(rules)),
      [count = count_, route, on_bytes = std::move(on_bytes)](std::size_t bytes) {
        count(route, bytes);
        if (on_bytes) on_bytes(bytes);
      });
}

Result<void> Footage::find_ways(std::stop_token stop) {
  if (request_.only_way) {
    ways_ = {*request_.only_way};
    return {};
  }
  if (auto failure = access_.resting(request_.device, request_.connection)) return *failure;
  auto ways = access_.ways_to(request_.kind, request_.device, request_.connection, stop);
  if (!ways) return ways.error();
  ways_ = std::move(*ways);
  return {};
}

// Worth asking for: what no session has brought yet.
std::function<bool(media::TrackKind, const media::SegmentTime&)> Footage::still_wanted() const {
  if (attempts_.empty()) return {};
  std::map<media::TrackKind, media::Coverage> taken;
  for (const auto& attempt : attempts_) {
    const auto brought = attempt.session->taken();
    for (const auto kind : {media::TrackKind::video, media::TrackKind::audio}) taken[kind].add(brought, kind);
  }
  return [taken = std::move(taken), end = media::Micros(request_.duration)](media::TrackKind kind,
                                                                            const media::SegmentTime& time) {
    return taken.at(kind).uncovered({time.start, std::min(time.end(), end)}) > media::rounding;
  };
}

Result<void> Footage::open_next(std::stop_token stop) {
  const MediaPath& way = ways_->at(next_way_++);
  auto mpd = way.mpd(request_.start, request_.duration);
  if (!mpd) return mpd.error();
  if (!access_.is_reachable(request_.device, way, stop)) {
    access_.note_unreachable(request_.device, way.route);
    return Error{ErrorKind::transient, fmt::format("the device does not answer at {}", mpd->origin())};
  }
  // Each way has its own folder: the segments of two sessions need not be cut alike.
  const auto same_route = std::count_if(ways_->begin(), ways_->begin() + static_cast<std::ptrdiff_t>(next_way_),
                                        [&](const MediaPath& path) { return path.route == way.route; });
  const auto folder = request_.folder / fmt::format("{}-{}", rhombus::to_string(way.route), same_route);
  if (auto made = make_directories(folder); !made) return made.error();

  auto options = session_options(folder);
  options.mpd = *mpd;
  options.wanted = still_wanted();
  options.max_bytes =
      most_bytes_a_second * static_cast<std::uint64_t>(request_.duration.count()) + most_bytes_to_begin;
  options.room = request_.room;
  options.on_progress = request_.on_progress;
  if (attempts_.empty()) options.on_foreseen = request_.on_foreseen;
  auto source = access_.source(request_.device, way.route, *mpd, request_.on_bytes);
  auto session = std::make_unique<media::Session>(std::move(options), *source, access_.clock());
  attempts_.push_back({way.route, folder, std::move(source), std::move(session)});
  current_works_ = true;
  return {};
}

void Footage::note_failure(Route route, const Error& error) {
  if (error.kind == ErrorKind::transient || error.kind == ErrorKind::auth)
    access_.note_unreachable(request_.device, route);
  spdlog::debug("device {} by {}: {}", request_.device.str(), rhombus::to_string(route), error.message);
  // In the order of the routes, not of the tries: what is said is the same each time.
  auto& said = failures_[route];
  said += fmt::format("{}{}: {}", said.empty() ? "" : "; ", rhombus::to_string(route), without_path(error.message));
  // One way that may work later is reason enough to try again.
  if (!failure_kind_ || *failure_kind_ == ErrorKind::permanent) failure_kind_ = error.kind;
}

Result<media::Session::Progress> Footage::advance(std::stop_token stop) {
  const auto ends_it = [](const Error& error) {
    return error.kind == ErrorKind::cancelled || error.kind == ErrorKind::no_space;
  };
  if (!ways_) {
    if (auto found = find_ways(stop); !found) {
      if (!ends_it(found.error())) recall();
      return found.error();
    }
  }
  while (true) {
    if (current_works_) {
      auto progress = attempts_.back().session->advance(stop);
      if (progress && !progress->finished) return progress;
      if (!progress && ends_it(progress.error())) return progress;
      current_works_ = false;
      if (progress) {
        some_way_ended_well_ = true;
        if (complete()) return end();
      } else {
        attempts_.back().session->recall();
        note_failure(attempts_.back().route, progress.error());
        retry_after_ = progress.error().retry_after;
      }
    }
    if (next_way_ < ways_->size()) {
      const auto route = ways_->at(next_way_).route;
      const auto opened = open_next(stop);
      if (opened) continue;
      if (ends_it(opened.error())) return opened.error();
      note_failure(route, opened.error());
      continue;
    }
    return end();
  }
}

media::SessionOptions Footage::session_options(std::filesystem::path folder) const {
  media::SessionOptions options;
  options.start = request_.start;
  options.duration = request_.duration;
  options.want_video = request_.want_video;
  options.want_audio = request_.want_audio;
  options.directory = std::move(folder);
  options.lag = access_.recording_lag(request_.device);
  return options;
}

// What earlier runs took by ways that this one could not go.
void Footage::recall() {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(request_.folder, failed)) {
    const auto name = entry.path().filename().string();
    const auto route = route_of(name);
    const bool opened = std::any_of(attempts_.begin(), attempts_.end(),
                                    [&](const Attempt& attempt) { return attempt.folder == entry.path(); });
    if (!route || opened) continue;
    auto source = std::make_unique<NoSource>();
    auto session = std::make_unique<media::Session>(session_options(entry.path()), *source, access_.clock());
    session->recall();
    attempts_.push_back({*route, entry.path(), std::move(source), std::move(session)});
  }
}

// All ways have been gone.
Result<media::Session::Progress> Footage::end() {
  if (!complete()) recall();
  if (some_way_ended_well_ || complete()) {
    if (!request_.only_way) access_.note_worked(request_.device, request_.connection);
    return media::Session::Progress{.finished = true, .next_at = {}};
  }
  std::vector<std::string> failures;
  for (const auto& [route, said] : failures_) failures.push_back(said);
  Error error{failure_kind_.value_or(ErrorKind::transient), join(failures, "; "), retry_after_};
  // What it does not have, or refuses to show, is no reason to leave it alone.
  if (!request_.only_way && error.kind == ErrorKind::transient)
    access_.note_failed(request_.device, request_.connection, error);
  return error;
}

std::vector<Footage::Share> Footage::taken() const {
  std::vector<Share> shares;
  for (const auto& attempt : attempts_)
    shares.push_back({attempt.route, attempt.session->taken(), attempt.session->problem()});
  return shares;
}

bool Footage::complete() const {
  const auto shares = taken();
  std::vector<media::Contribution> contributions;
  for (const auto& share : shares) contributions.push_back({&share.taken, media::Micros(0), request_.duration});
  const auto tracks = media::assemble(contributions, request_.duration);
  const bool problems =
      std::any_of(shares.begin(), shares.end(), [](const Share& share) { return !share.problem.empty(); });
  return !tracks.empty() && !problems &&
         std::all_of(tracks.begin(), tracks.end(), [](const auto& track) { return track.gaps.empty(); });
}

}  // namespace responder::capture
