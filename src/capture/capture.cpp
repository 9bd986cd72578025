#include "responder/capture/capture.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"

#include "sidecar.hpp"

namespace responder::capture {
namespace {

// A clip's size is not known before it is taken; a minute of 4K serves as a first measure.
constexpr std::uint64_t room_to_begin = 150ULL << 20U;

constexpr int least_attempts = 2;                // before the last one
constexpr int attempts_for_unknown_cameras = 6;  // with growing waits, some minutes

std::vector<journal::Gap> wall_clock_gaps(const std::vector<media::TakenTrack>& tracks,
                                          std::chrono::sys_seconds start) {
  std::vector<journal::Gap> gaps;
  const auto wall = [&](media::Micros offset) {
    return WallTime(start) + std::chrono::floor<std::chrono::milliseconds>(offset);
  };
  for (const auto& track : tracks) {
    for (const auto& gap : track.gaps) {
      const journal::Gap one{wall(gap.start), wall(gap.end)};
      if (std::find(gaps.begin(), gaps.end(), one) == gaps.end()) gaps.push_back(one);
    }
  }
  std::sort(gaps.begin(), gaps.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  return gaps;
}

}  // namespace

Capture::Capture(journal::Capture row, Environment& environment) : row_(std::move(row)), environment_(environment) {}
Capture::~Capture() = default;

Result<void> Capture::prepare(std::stop_token stop) {
  if (auto room = environment_.archive.check_space(room_to_begin); !room) return room.error();
  auto camera = environment_.directory.find(row_.camera, stop);
  if (!camera) return camera.error();
  if (!*camera) {
    // A list may be incomplete for a while; a device that is no camera never gets on it.
    const auto kind = row_.attempts < attempts_for_unknown_cameras ? ErrorKind::not_found : ErrorKind::permanent;
    return Error{kind, fmt::format("Rhombus lists no camera {}", row_.camera.str())};
  }
  camera_ = std::move(*camera);
  auto folder = environment_.spool.folder_of(row_.id);
  if (!folder) return folder.error();
  folder_ = std::move(*folder);

  const auto& gateway = camera_->gateway;
  FootageRequest request;
  request.device = camera_->camera.id;
  request.start = row_.window_start;
  request.duration = row_.window_end - row_.window_start;
  request.want_audio = !gateway;
  request.folder = folder_ / "camera";
  if (!gateway)
    request.on_foreseen = [this, stop](media::TakenTrack foreseen) { begin_early(std::move(foreseen), stop); };
  video_.emplace(request, environment_.footage);
  if (gateway) {
    request.kind = rhombus::DeviceKind::audio_gateway;
    request.device = gateway->id;
    request.want_video = false;
    request.want_audio = true;
    request.folder = folder_ / "gateway";
    request.on_foreseen = nullptr;
    audio_request_ = request;
    audio_.emplace(request, environment_.footage);
    audio_next_at_ = environment_.clock.wall_now();
  }
  spdlog::info("alert {} on {} ({}): taking {} s{}", row_.alert.str(), printable(camera_->camera.name, 60),
               row_.camera.str(), request.duration.count(),
               gateway ? " with the sound of " + printable(gateway->name, 60) : "");
  return {};
}

// Sound never keeps a picture from being published: what goes wrong with it is said in the clip's reason.
void Capture::advance_audio(std::stop_token stop) {
  if (!audio_next_at_ || *audio_next_at_ > environment_.clock.wall_now()) return;
  const auto progress = audio_->advance(stop);
  if (progress && !progress->finished) {
    audio_next_at_ = progress->next_at;
    return;
  }
  constexpr int tries_for_sound = 4;
  const auto kind = progress ? ErrorKind::permanent : progress.error().kind;
  if ((kind == ErrorKind::transient || kind == ErrorKind::not_found || kind == ErrorKind::auth) &&
      ++audio_failures_ < tries_for_sound) {
    audio_.emplace(audio_request_, environment_.footage);  // goes on from what is on disk
    audio_next_at_ = environment_.clock.wall_now() + std::chrono::seconds(audio_failures_);
    return;
  }
  audio_next_at_.reset();
  if (!progress && kind != ErrorKind::cancelled) {
    audio_problem_ =
        fmt::format("no complete sound from {}: {}", printable(camera_->gateway->name, 60), progress.error().message);
    spdlog::warn("alert {}: {}", row_.alert.str(), audio_problem_);
  }
}

media::ClipMetadata Capture::metadata() const {
  return {fmt::format("{} {} {}", printable(camera_->camera.name, 80), join(row_.activities, ","), row_.alert.str()),
          row_.window_start};
}

// While a finished window is fetched, its clip is put together: the two take about as long as the fetching alone.
void Capture::begin_early(media::TakenTrack foreseen, std::stop_token stop) {
  constexpr auto longest = std::chrono::minutes(15);  // for the sake of memory
  if (early_ || row_.window_end - row_.window_start > longest || !environment_.remuxing_early.try_acquire()) return;
  early_ = std::make_unique<EarlyClip>(environment_.remuxing_early, std::move(foreseen));
  early_->thread = std::thread([this, clip = early_.get(), stop] {
    clip->summary = media::remux(std::span(&clip->foreseen, 1), folder_ / "clip.mp4", metadata(), stop);
  });
}

// The clip that was begun early, if it has become just what was taken.
std::optional<media::ClipSummary> Capture::end_early(const std::vector<media::TakenTrack>& tracks) {
  if (!early_) return std::nullopt;
  early_->thread.join();
  const auto clip = std::move(early_);
  const bool as_foreseen = tracks.size() == 1 && tracks[0].gaps.empty() && tracks[0].parts.size() == 1 &&
                           tracks[0].parts[0].segments == clip->foreseen.parts[0].segments &&
                           tracks[0].parts[0].origin == clip->foreseen.parts[0].origin &&
                           tracks[0].init.sha256 == clip->foreseen.init.sha256;
  if (!as_foreseen || !*clip->summary) return std::nullopt;
  return **clip->summary;
}

Step Capture::step(std::stop_token stop) {
  if (!video_) {
    if (auto ready = prepare(stop); !ready) return conclude(ready.error(), stop);
  }
  const auto progress = video_->advance(stop);
  if (!progress) return conclude(progress.error(), stop);
  advance_audio(stop);
  if (stop.stop_requested()) return Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  if (progress->finished && !audio_next_at_) return conclude(std::nullopt, stop);
  if (progress->finished) return Waiting{*audio_next_at_};
  return Waiting{audio_next_at_ ? std::min(*audio_next_at_, progress->next_at) : progress->next_at};
}

// A capture that only waited (the program was off, the archive full) has not been tried yet.
bool Capture::out_of_time() const {
  return row_.attempts >= least_attempts &&
         environment_.clock.wall_now() >= row_.received_at + environment_.retry_for;
}

// Decides what an attempt that came to its end (or was ended by `error`) amounts to.
Step Capture::conclude(std::optional<Error> error, std::stop_token stop) {
  if (error && (error->kind == ErrorKind::cancelled || error->kind == ErrorKind::no_space)) return Postponed{*error};
  const bool last_attempt = out_of_time() || (error && error->kind == ErrorKind::permanent);
  Footage::Taken taken = video_ ? video_->taken() : Footage::Taken{};
  if (error && !last_attempt) return Postponed{*error};
  // Missing sound does not hold the picture back.
  const auto improvable = std::find_if(taken.tracks.begin(), taken.tracks.end(), [](const auto& track) {
    return track.may_improve && track.kind == media::TrackKind::video;
  });
  if (improvable != taken.tracks.end() && !last_attempt) {
    return Postponed{Error{ErrorKind::transient, improvable->reason}};
  }
  const bool has_video = std::any_of(taken.tracks.begin(), taken.tracks.end(),
                                     [](const auto& t) { return t.kind == media::TrackKind::video; });
  const std::string camera_name = camera_ ? camera_->camera.name : "";
  if (!has_video) {
    const std::string why = error ? error->message : "the camera has no footage of this window";
    return Finished{journal::State::failed, why, camera_name, std::nullopt};
  }
  if (audio_) {
    auto sound = audio_->taken();
    for (auto& track : sound.tracks) taken.tracks.push_back(std::move(track));
  }
  if (audio_problem_.empty()) audio_problem_ = taken.problem;
  if (error && audio_problem_.empty()) audio_problem_ = error->message;
  auto published = publish(std::move(taken.tracks), taken.route, stop);
  if (!published && published.error().kind == ErrorKind::permanent) {
    return Finished{journal::State::failed, published.error().message, camera_name, std::nullopt};
  }
  if (!published) return Postponed{published.error()};
  return *published;
}

Result<Finished> Capture::publish(std::vector<media::TakenTrack> tracks, rhombus::Route route, std::stop_token stop) {
  const auto gaps = wall_clock_gaps(tracks, row_.window_start);
  const bool has_audio =
      std::any_of(tracks.begin(), tracks.end(), [](const auto& t) { return t.kind == media::TrackKind::audio; });
  std::string reason;
  for (const auto& track : tracks) {
    if (!track.reason.empty())
      reason += fmt::format("{}{}: {}", reason.empty() ? "" : "; ", to_string(track.kind), track.reason);
  }
  if (!audio_problem_.empty()) reason += (reason.empty() ? "" : "; ") + audio_problem_;
  const auto state = reason.empty() ? journal::State::done : journal::State::partial;

  const archive::ClipIdentity identity{camera_->camera.name, row_.camera,       row_.alert,
                                       row_.activities,      row_.window_start, has_audio};
  const auto clip_file = folder_ / "clip.mp4";
  auto summary = [&]() -> Result<media::ClipSummary> {
    if (auto early = end_early(tracks)) return *early;
    const std::lock_guard lock(environment_.remuxing);
    return media::remux(tracks, clip_file, metadata(), stop);
  }();
  if (!summary) return summary.error();
  if (auto room = environment_.archive.check_space(0); !room) return room.error();
  const SidecarFacts facts{
      row_, identity, *summary, state, reason, rhombus::to_string(route), gaps, environment_.clock.wall_now()};
  auto archived = environment_.archive.publish(
      clip_file, identity, [&](const archive::ArchivedClip& clip) { return sidecar_text(facts, clip); });
  if (!archived) return archived.error();
  Finished finished{state, reason, camera_->camera.name, journal::Published{}};
  finished.published = journal::Published{archived->path, std::string(rhombus::to_string(route)), archived->bytes,
                                          archived->sha256, gaps};
  return finished;
}

}  // namespace responder::capture
