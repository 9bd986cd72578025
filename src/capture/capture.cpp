#include "responder/capture/capture.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/capture/sidecar.hpp"
#include "responder/media/assemble.hpp"
#include "responder/media/coverage.hpp"

namespace responder::capture {
namespace {

using journal::Gap;
using journal::State;
using media::Micros;
using media::TrackKind;
using std::chrono::seconds;

constexpr int least_attempts = 2;                // before a result counts that another attempt may better
constexpr int attempts_for_unknown_cameras = 6;  // with growing waits, some minutes
constexpr seconds recorded_by{5};                // after its end, a window is as good as it will be just now
constexpr int attempts_at_what_seems_wrong = 3;  // for good: a manifest nobody can use, say
constexpr seconds asked_again_after{5};
constexpr std::chrono::minutes gone_after{15};       // what Rhombus has no footage of, and what may still come
constexpr std::chrono::minutes goes_on_at_most{10};  // an alert that is never said to be final

WallTime::duration total(const std::vector<Gap>& gaps) {
  WallTime::duration sum{0};
  for (const auto& gap : gaps) sum += gap.end - gap.start;
  return sum;
}

// About as much as the clip that is made of them.
std::uint64_t bytes_of(const std::vector<media::TakenTrack>& tracks) {
  std::uint64_t sum = 0;
  std::error_code gone;
  for (const auto& track : tracks) {
    for (const auto& part : track.parts) {
      for (const auto& segment : part.segments) {
        const auto size = std::filesystem::file_size(segment, gone);
        if (!gone) sum += size;
      }
    }
  }
  return sum;
}

// What was taken of a placeholder's time goes, so that the next attempt asks for it again.
void reject(const Gap& gap, Stretch& stretch) {
  if (gap.reason != journal::GapReason::placeholder) return;
  stretch.reject({std::chrono::floor<seconds>(gap.start), std::chrono::ceil<seconds>(gap.end)});
}

std::string placeholder_reason(const std::vector<media::Interval>& absent) {
  Micros sum{0};
  for (const auto& one : absent) sum += one.end - one.start;
  return fmt::format("Rhombus has no footage of {} s of the window, and serves placeholder pictures for them",
                     std::chrono::round<seconds>(sum).count());
}

bool is_complete(const std::vector<media::TakenTrack>& tracks) {
  return std::all_of(tracks.begin(), tracks.end(), [](const auto& track) { return track.gaps.empty(); });
}

}  // namespace

Capture::Capture(journal::Capture row, Environment& environment)
    : row_(std::move(row)), environment_(environment), connection_(environment.connection_of(row_)) {}
Capture::~Capture() {
  early_.reset();
  if (!stored_clip_) return;
  std::error_code ignored;
  std::filesystem::remove_all(stored_clip_folder(), ignored);
}

std::filesystem::path Capture::stored_clip_folder() const {
  return environment_.spool.work() / fmt::format("alert-{}", row_.id);
}

// Room for what is not in the spool yet, and for the clip.
Result<void> Capture::claim_room() {
  archive::SpoolNeed need{.is_live = was_live()};
  for (const auto* stretches : {&stretches_, &sound_}) {
    for (const auto& stretch : *stretches) {
      const auto one = stretch->need({row_.window_start, row_.window_end});
      need.missing += one.missing;
      need.present += one.present;
      need.clip += one.clip;
    }
  }
  auto claimed = environment_.spool.claim(row_.id, need);
  if (auto* refused = std::get_if<archive::Spool::Refused>(&claimed)) {
    refused_for_ = refused->cause;
    return std::move(refused->error);
  }
  claim_.emplace(std::get<archive::Spool::Claim>(std::move(claimed)));
  return {};
}

// So that people find the capture by its camera's name while it waits or runs. It only helps: nobody waits for it.
void Capture::write_camera_name() {
  const auto& name = camera_->camera.name;
  if (name.empty() || name == row_.camera_name) return;
  row_.camera_name = name;
  environment_.writer.submit(
      [id = row_.id, name](journal::Journal& journal) { return journal.name_camera(id, name); },
      [what = label(row_)](const Result<void>& written) {
        if (!written) spdlog::debug("{}: its camera's name is not written down: {}", what, written.error().message);
      });
}

Result<void> Capture::prepare(std::stop_token stop) {
  auto camera = environment_.directory.find(row_.camera, stop);
  if (!camera) {
    // An odd answer to the list of devices says nothing of this camera.
    Error error = camera.error();
    if (error.kind == ErrorKind::permanent) error.kind = ErrorKind::transient;
    return error;
  }
  if (!*camera) {
    // A list may be incomplete for a while; a device that is no camera never gets on it.
    const auto kind = row_.attempts < attempts_for_unknown_cameras ? ErrorKind::not_found : ErrorKind::permanent;
    return Error{kind, fmt::format("Rhombus lists no camera {}", row_.camera.str())};
  }
  camera_ = std::move(*camera);
  write_camera_name();
  cover();
  if (auto claimed = claim_room(); !claimed) return claimed;
  const auto& gateway = camera_->gateway;
  // Said once: not again of each attempt.
  spdlog::log(row_.attempts == 0 ? spdlog::level::info : spdlog::level::debug, "{} on {} ({}): taking {} s{}",
              label(row_), printable(camera_->camera.name, 60), row_.camera.str(), window().count(),
              gateway ? " with the sound of " + printable(gateway->name, 60) : "");
  return {};
}

// Finds the stretches of the window; those that are new to this attempt begin it.
void Capture::cover() {
  const Span span{row_.window_start, row_.window_end};
  const auto gaps = row_.published ? row_.published->gaps : std::vector<Gap>{};
  const auto join = [&](std::vector<std::shared_ptr<Stretch>>& known, const Recorder& recorder) {
    auto all = environment_.stretches.cover(recorder, span);
    for (const auto& stretch : all) {
      if (std::find(known.begin(), known.end(), stretch) != known.end()) continue;
      for (const auto& gap : gaps) reject(gap, *stretch);
      stretch->begin_attempt();
    }
    known = std::move(all);
  };
  const auto& gateway = camera_->gateway;
  join(stretches_, {.device = camera_->camera.id, .audio = !gateway, .connection = connection_});
  if (gateway) {
    join(sound_, {.kind = rhombus::DeviceKind::audio_gateway,
                  .device = gateway->id,
                  .video = false,
                  .connection = connection_});
  }
}

void Capture::extend(std::chrono::sys_seconds window_end) {
  if (window_end <= row_.window_end) return;
  spdlog::info("{} went on: {} s more", label(row_), (window_end - row_.window_end).count());
  row_.duration += window_end - row_.window_end;
  row_.window_end = window_end;
  early_.reset();
  ask_again_at_.reset();
  if (camera_) cover();
}

media::ClipMetadata Capture::metadata() const {
  const auto name = printable(camera_->camera.name, 80);
  const auto title = row_.kind == journal::Kind::alert
                         ? fmt::format("{} {} {}", name, join(row_.activities, ","), row_.alert.str())
                         : name;
  return {title, row_.window_start};
}

// While a finished window is fetched, its clip is put together: the two take about as long as the fetching alone.
void Capture::begin_early(std::vector<media::TakenTrack> foreseen, std::stop_token stop) {
  constexpr auto longest = std::chrono::minutes(65);  // for the sake of memory
  const bool alone = stretches_.size() == 1 && sound_.empty() && stretches_[0]->span().start == row_.window_start &&
                     stretches_[0]->span().end == row_.window_end;
  if (!alone || early_ || window() > longest || !claim_->has_room_beside() ||
      !environment_.remuxing_early.try_acquire())
    return;
  early_ = std::make_unique<EarlyClip>(environment_.remuxing_early, environment_.spool.ready_clip(row_.id),
                                       std::move(foreseen));
  remove_old_clip();
  early_->thread = std::thread([this, clip = early_.get(), stop] {
    const std::stop_callback stop_too(stop, [&] { clip->stop.request_stop(); });
    clip->summary = media::remux(clip->foreseen, clip->file, metadata(), clip->stop.get_token());
  });
}

// What an earlier attempt left there may be the published clip itself, by another name: never written to.
void Capture::remove_old_clip() const {
  std::error_code ignored;
  std::filesystem::remove(environment_.spool.ready_clip(row_.id), ignored);
}

// The clip that was begun early, if it has become just what was taken.
std::optional<media::ClipSummary> Capture::end_early(const std::vector<media::TakenTrack>& tracks) {
  if (!early_) return std::nullopt;
  const auto clip = std::move(early_);
  const auto is_as_foreseen = [](const media::TakenTrack& track, const media::TakenTrack& foreseen) {
    if (track.kind != foreseen.kind || !track.gaps.empty() || track.parts.size() != 1) return false;
    const auto& part = track.parts[0];
    const auto& expected = foreseen.parts[0];
    return part.segments == expected.segments && part.origin == expected.origin && !part.from && !part.to &&
           media::read_samples_alike(part.init, expected.init);
  };
  if (!std::equal(tracks.begin(), tracks.end(), clip->foreseen.begin(), clip->foreseen.end(), is_as_foreseen))
    return std::nullopt;
  clip->thread.join();
  if (!*clip->summary) return std::nullopt;
  clip->is_taken_over = true;
  return **clip->summary;
}

Step Capture::step(std::stop_token stop) {
  if (!camera_) {
    if (auto ready = prepare(stop); !ready) return conclude(ready.error(), stop);
  }
  if (stored_clip_ && !stored_clip_over_) {
    const auto progress = stored_clip_->advance(stop);
    if (progress && !progress->finished) return Waiting{progress->next_at};
    if (!progress && progress.error().kind == ErrorKind::cancelled) return Postponed{progress.error()};
    if (!progress) stored_clip_problem_ = progress.error().message;
    stored_clip_over_ = true;
    return conclude(taking_error_, stop);
  }
  return take(stop);
}

// Whether the alert has turned out longer than its webhook said; asked while the time after it is still recorded, so
// that the answer is waited for by nobody. True: it is known to go on.
Result<bool> Capture::goes_on(std::stop_token stop) {
  const auto details = environment_.api.alert_details(row_.alert, stop);
  if (!details) return details.error();
  if (details->duration && *details->duration > row_.duration) {
    const auto longer = *details->duration - row_.duration;
    const auto grown =
        environment_.writer.run([&](journal::Journal& journal) { return journal.grow(row_.id, *details->duration); });
    if (!grown) return grown.error();
    extend(row_.window_end + longer);
  }
  return !details->finalized;
}

Step Capture::take(std::stop_token stop) {
  auto& clock = environment_.clock;
  if (was_live() &&
      clock.wall_now() >= std::max(ask_again_at_.value_or(WallTime::min()), row_.alert_at + row_.duration)) {
    const auto more = goes_on(stop);
    if (!more) spdlog::debug("{}: not known whether it goes on: {}", label(row_), more.error().message);
    known_to_go_on_ = more && *more && clock.wall_now() < WallTime(row_.window_end) + goes_on_at_most;
    const bool ask_once_more = !more && !asked_in_vain_;
    asked_in_vain_ = !more;
    ask_again_at_ = known_to_go_on_ || ask_once_more ? clock.wall_now() + asked_again_after : WallTime::max();
    if (stop.stop_requested()) return Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  }

  bool over = true;
  WallTime next_at = WallTime::max();
  std::optional<Error> error;
  const auto advance = [&](const std::vector<std::shared_ptr<Stretch>>& stretches, bool is_sound) {
    for (const auto& stretch : stretches) {
      const auto progress = stretch->advance(
          {.bytes = bytes_,
           .claim = *claim_,
           .window = {row_.window_start, row_.window_end},
           .on_foreseen = [&](std::vector<media::TakenTrack> tracks) { begin_early(std::move(tracks), stop); },
           .on_progress =
               [&](double settled) {
                 const auto number = static_cast<double>(&stretch - stretches.data());
                 if (!is_sound) taken_share_ = (number + settled) / static_cast<double>(stretches.size());
               }},
          stop);
      if (!progress.over) {
        over = false;
        next_at = std::min(next_at, progress.next_at);
      }
      if (!progress.error) continue;
      const auto kind = progress.error->kind;
      if (!is_sound || kind == ErrorKind::cancelled || kind == ErrorKind::no_space) {
        if (!error) error = progress.error;
      } else {
        // Sound never keeps a picture from being published: what goes wrong with it is said in the clip's reason.
        why_no_sound_ = kind;
        sound_problem_ = fmt::format("{}: {}", printable(camera_->gateway->name, 60), progress.error->message);
      }
    }
  };
  advance(stretches_, false);
  if (!error) advance(sound_, true);
  if (stop.stop_requested()) return Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  if (!error && !over) return Waiting{next_at};
  return conclude(error, stop);
}

// From the window's timeline to the wall clock.
Gap Capture::to_gap(const media::Interval& interval) const {
  const auto wall = [&](Micros offset) {
    return WallTime(row_.window_start) + std::chrono::floor<std::chrono::milliseconds>(offset);
  };
  const bool is_placeholder = std::any_of(absent_.begin(), absent_.end(), [&](const media::Interval& absent) {
    return std::min(absent.end, interval.end) - std::max(absent.start, interval.start) > media::rounding;
  });
  return {wall(interval.start), wall(interval.end),
          is_placeholder ? journal::GapReason::placeholder : journal::GapReason::missing};
}

void Capture::collect_tracks(const std::vector<std::shared_ptr<Stretch>>& stretches,
                             const std::vector<media::Interval>& absent, Collected& collected) const {
  std::vector<Footage::Share> shares;
  std::vector<std::pair<Micros, Micros>> places;  // of each share: shift and span
  for (const auto& stretch : stretches) {
    const auto span = stretch->span();
    for (auto& share : stretch->taken()) {
      shares.push_back(std::move(share));
      places.emplace_back(span.start - row_.window_start, span.end - span.start);
    }
  }
  std::vector<media::Contribution> contributions;
  std::map<rhombus::Route, std::size_t> segments;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    contributions.push_back({&shares[i].taken, places[i].first, places[i].second});
    for (const auto& run : shares[i].taken.runs) segments[shares[i].route] += run.segments.size();
    if (collected.sound_problem.empty()) collected.sound_problem = shares[i].problem;
  }
  for (const auto& [route, count] : segments) {
    if (!collected.has_video && count > segments[collected.route]) collected.route = route;
    if (count > 0 && route != rhombus::Route::lan) collected.is_all_lan = false;
  }
  for (auto& track : media::assemble(contributions, window(), absent)) {
    std::vector<Gap> gaps;
    for (const auto& gap : track.gaps) gaps.push_back(to_gap(gap));
    if (!track.reason.empty()) {
      collected.reason += fmt::format("{}{}: {}", collected.reason.empty() ? "" : "; ",
                                      track.kind == TrackKind::video ? "video" : "sound", track.reason);
      if (track.why_missing != ErrorKind::not_found) collected.why_missing = track.why_missing;
    }
    collected.track_gaps.emplace_back(track.kind, gaps);
    if (track.parts.empty()) continue;
    (track.kind == TrackKind::video ? collected.has_video : collected.has_audio) = true;
    if (track.kind == TrackKind::video) collected.missing = total(gaps);
    for (const auto& gap : gaps) {
      if (std::find(collected.gaps.begin(), collected.gaps.end(), gap) == collected.gaps.end())
        collected.gaps.push_back(gap);
    }
    collected.tracks.push_back(std::move(track));
  }
  std::sort(collected.gaps.begin(), collected.gaps.end(),
            [](const Gap& a, const Gap& b) { return a.start < b.start; });
}

Capture::Collected Capture::collect(const std::optional<Error>& error) const {
  Collected collected;
  collect_tracks(stretches_, absent_, collected);
  if (!sound_.empty()) {
    // Whether a gateway recorded is no matter of the camera's.
    collect_tracks(sound_, {}, collected);
    if (collected.sound_problem.empty()) {
      collected.sound_problem =
          "no sound from " + (sound_problem_.empty() ? printable(camera_->gateway->name, 60) : sound_problem_);
    }
    // A gateway that is away for a moment has not lost what it recorded.
    if (!collected.has_audio && !sound_problem_.empty() && why_no_sound_ != ErrorKind::not_found)
      collected.why_missing = ErrorKind::transient;
  }
  if (camera_ && !camera_->gateway_is_known && !collected.has_audio && collected.sound_problem.empty()) {
    collected.sound_problem = "no sound: it is not known yet whether an audio gateway records it";
    collected.why_missing = ErrorKind::transient;
  }
  if (!collected.has_audio && !collected.sound_problem.empty())
    collected.reason += (collected.reason.empty() ? "" : "; ") + collected.sound_problem;
  const bool picture_is_whole =
      collected.has_video && std::none_of(collected.tracks.begin(), collected.tracks.end(), [](const auto& track) {
        return track.kind == TrackKind::video && !track.gaps.empty();
      });
  if (error && !picture_is_whole) {
    collected.reason = error->message;
    collected.why_missing = error->kind;
  } else if (collected.reason.empty() && (!collected.has_video || !is_complete(collected.tracks))) {
    collected.reason = "the camera has no footage of this window";
  }
  if (absent_.empty()) return collected;
  collected.reason = placeholder_reason(absent_);
  if (!collected.has_audio && !collected.sound_problem.empty()) collected.reason += "; " + collected.sound_problem;
  return collected;
}

// Asks Rhombus which of what was taken is footage, and has it collected without the rest.
void Capture::leave_out_placeholders(Collected& collected, std::stop_token stop,
                                     const std::function<Collected()>& collect_anew) {
  const auto picture = std::find_if(collected.tracks.begin(), collected.tracks.end(),
                                    [](const auto& track) { return track.kind == TrackKind::video; });
  const bool has_picture = picture != collected.tracks.end();
  const bool is_pending = row_.published && row_.published->presence == journal::PresenceState::pending;
  if (!has_picture && !is_pending) return;
  const auto route = collected.is_all_lan ? rhombus::Route::lan : rhombus::Route::wan;
  const auto verdict =
      environment_.confirmer.judge(row_.camera, route, {row_.window_start, row_.window_end}, std::move(stop));
  judged_ = verdict.presence;
  not_footage_.clear();
  absent_.clear();
  for (const auto& missing : verdict.missing)
    not_footage_.push_back({missing.start - row_.window_start, missing.end - row_.window_start});
  if (!has_picture) return;
  // What is a gap already was not taken.
  media::Coverage gaps;
  for (const auto& gap : picture->gaps) gaps.add(gap);
  for (const auto& one : not_footage_) {
    if (gaps.uncovered(one) > media::rounding) absent_.push_back(one);
  }
  if (!absent_.empty()) collected = collect_anew();
  collected.presence = verdict.presence;
}

// Times of what is published of which we know now that they are no footage, but for what it calls gaps already.
std::vector<media::Interval> Capture::placeholders_of(const journal::Published& published) const {
  constexpr Micros a_second{1'000'000};
  media::Coverage gaps;
  for (const auto& gap : published.gaps)
    gaps.add({gap.start - WallTime(row_.window_start), gap.end - WallTime(row_.window_start)});
  std::vector<media::Interval> found;
  std::copy_if(not_footage_.begin(), not_footage_.end(), std::back_inserter(found),
               [&](const media::Interval& one) { return gaps.uncovered(one) > a_second; });
  return found;
}

// The last rung: the alert's own clip, as Rhombus stores it. True when it is to be waited for.
bool Capture::try_stored_clip(const Collected& collected, std::stop_token stop) {
  const auto& clock = environment_.clock;
  if (row_.kind != journal::Kind::alert || collected.has_video || stored_clip_ ||
      connection_ != ConnectionMode::automatic || clock.wall_now() < row_.alert_at + row_.duration ||
      (row_.published && row_.published->is_sound()))
    return false;
  if (row_.clip_region.empty()) {
    const auto details = environment_.api.alert_details(row_.alert, stop);
    const auto found = details ? details->clip_regions.find(row_.camera) : decltype(details->clip_regions.end()){};
    if (!details || found == details->clip_regions.end()) return false;
    row_.clip_region = found->second;
  }
  if (!claim_ && !claim_room()) return false;
  FootageRequest request;
  request.device = row_.camera;
  request.start = std::chrono::floor<seconds>(row_.alert_at);
  request.duration = std::max(seconds(1), std::chrono::ceil<seconds>(WallTime(row_.window_end) - row_.alert_at));
  request.folder = stored_clip_folder();
  request.only_way =
      rhombus::stored_clip(environment_.api.options().media_url, row_.camera, row_.clip_region, row_.alert);
  request.on_bytes = [this](std::size_t bytes) {
    bytes_ += bytes;
    claim_->add(bytes);
  };
  request.room = [this] { return claim_->check(); };
  stored_clip_.emplace(std::move(request), environment_.footage);
  return true;
}

Capture::Collected Capture::collect_stored_clip(std::string why_not_better) const {
  Collected collected;
  const auto shares = stored_clip_->taken();
  std::vector<media::Contribution> contributions;
  const auto shift = std::chrono::duration_cast<Micros>(row_.alert_at - WallTime(row_.window_start));
  for (const auto& share : shares) contributions.push_back({&share.taken, shift, window() - shift});
  for (auto& track : media::assemble(contributions, window(), absent_)) {
    std::vector<Gap> gaps;
    for (const auto& gap : track.gaps) gaps.push_back(to_gap(gap));
    collected.track_gaps.emplace_back(track.kind, gaps);
    if (track.parts.empty()) continue;
    (track.kind == TrackKind::video ? collected.has_video : collected.has_audio) = true;
    if (track.kind == TrackKind::video) {
      collected.gaps = gaps;
      collected.missing = total(gaps);
    }
    collected.tracks.push_back(std::move(track));
  }
  collected.route = rhombus::Route::cloud;
  collected.is_all_lan = false;
  collected.reason = "only the alert's stored clip, shorter and of lower quality: " + std::move(why_not_better);
  collected.why_missing = ErrorKind::transient;
  return collected;
}

// Whether what is missing will not come any more: the device says that it does not have it, and so does Rhombus's
// list, a while later. A camera that is offline may hold more than Rhombus knows.
bool Capture::is_gone(const Collected& collected, std::stop_token stop) const {
  if (collected.why_missing != ErrorKind::not_found || !camera_ || !camera_->camera.online) return false;
  // By the clock of who says so, too: to ours, when it has jumped ahead, what is still to be recorded looks gone.
  const auto now = environment_.clock.wall_now();
  if (std::min(now, environment_.api.their_time().value_or(now)) < WallTime(row_.window_end) + gone_after)
    return false;
  std::vector<Gap> missing;
  for (const auto& [kind, gaps] : collected.track_gaps) missing.insert(missing.end(), gaps.begin(), gaps.end());
  if (!collected.has_video) missing = {{WallTime(row_.window_start), WallTime(row_.window_end)}};
  if (missing.empty()) return false;
  const auto absent =
      environment_.confirmer.missing_by_now(row_.camera, {row_.window_start, row_.window_end}, std::move(stop));
  if (!absent) return false;
  media::Coverage known;
  for (const auto& one : *absent) known.add({one.start - row_.window_start, one.end - row_.window_start});
  return std::all_of(missing.begin(), missing.end(), [&](const Gap& gap) {
    constexpr Micros edges{1'000'000};  // the list is of whole seconds
    return known.uncovered({gap.start - WallTime(row_.window_start), gap.end - WallTime(row_.window_start)}) <= edges;
  });
}

// A clip of nothing but placeholders is none.
void Capture::drop_clip_of_placeholders(const Collected& collected) {
  if (collected.has_video || !row_.published || not_footage_.empty()) return;
  const auto& published = *row_.published;
  media::Coverage without_footage;
  for (const auto& one : not_footage_) without_footage.add(one);
  for (const auto& gap : published.gaps)
    without_footage.add({gap.start - WallTime(row_.window_start), gap.end - WallTime(row_.window_start)});
  constexpr Micros a_second{1'000'000};
  if (without_footage.uncovered({Micros(0), window()}) > a_second) return;
  bool dropped = false;
  const auto written = environment_.writer.run([&](journal::Journal& journal) -> Result<void> {
    const auto done = journal.drop_clip(row_.id, published.sha256);
    dropped = done && *done;
    return done ? Result<void>{} : done.error();
  });
  if (!written) spdlog::warn("{}: {}", label(row_), written.error().message);
  if (dropped) row_.published.reset();
}

bool Capture::is_better(const Collected& collected) const {
  if (!row_.published || !row_.published->is_sound()) return true;
  const auto& before = *row_.published;
  const auto covered_before = WallTime(before.window_end) - WallTime(row_.window_start) - total(before.gaps);
  const auto covered = WallTime(row_.window_end) - WallTime(row_.window_start) - collected.missing;
  // First how much of the picture there is, then how good it is, then the sound.
  constexpr std::chrono::milliseconds noticeable{250};
  if (const auto placeholders = placeholders_of(before); !placeholders.empty()) {
    // They are no footage, and whoever has the same without them is better.
    Micros sum{0};
    for (const auto& one : placeholders) sum += one.end - one.start;
    return covered + noticeable >= covered_before - std::chrono::floor<std::chrono::milliseconds>(sum);
  }
  const bool from_camera = collected.route != rhombus::Route::cloud;
  const bool was_from_camera = before.source != "cloud";
  if (covered > covered_before + noticeable) return from_camera || !was_from_camera;
  if (covered + noticeable < covered_before) return false;
  if (from_camera != was_from_camera) return from_camera;
  const bool had_audio = archive::name_says_audio(before.clip);
  if (collected.has_audio != had_audio) return collected.has_audio;
  return collected.reason.empty();
}

// Whether what is published is all there is of the window.
bool Capture::has_whole_clip() const {
  return row_.published && row_.published->is_sound() && row_.published->gaps.empty() &&
         row_.published->source != "cloud" && row_.published->window_end >= row_.window_end;
}

// The end of an attempt that brought nothing better: the clip there is stays, and says what it lacks. So does one
// that was to be repaired, in vain: what is known of it may still be of use, and so may a damaged file.
Step Capture::keep_what_is_published(std::string reason, std::optional<Error> try_again) const {
  journal::Outcome outcome{.state = State::failed,
                           .reason = std::move(reason),
                           .camera_name = camera_ ? camera_->camera.name : "",
                           .published = row_.published,
                           .next_attempt_at = {},
                           .window_end = row_.window_end};
  if (row_.published) {
    const auto placeholders = placeholders_of(*row_.published);
    outcome.state = has_whole_clip() && placeholders.empty() && !try_again ? State::done : State::partial;
    if (outcome.state == State::done) outcome.reason.clear();
    auto& published = *outcome.published;
    if (!published.is_sound())
      outcome.reason =
          fmt::format("its clip is {}, and there is no better one: {}", to_string(published.damage), outcome.reason);
    if (published.damage == journal::Damage::missing && !try_again) outcome.state = State::failed;
    // There is no better one: it stays, and says what of it is no footage.
    for (const auto& one : placeholders) {
      auto gap = to_gap(one);
      gap.reason = journal::GapReason::placeholder;
      published.gaps.push_back(gap);
    }
    if (published.presence == journal::PresenceState::pending && judged_ != journal::PresenceState::pending)
      published.presence = placeholders.empty() ? judged_ : journal::PresenceState::unknown;
    if (published.window_end < row_.window_end) {
      published.gaps.push_back({WallTime(published.window_end), WallTime(row_.window_end)});
      published.window_end = row_.window_end;
    }
  }
  return Finished{std::move(outcome), std::move(try_again)};
}

// Not by the clock alone, which may have jumped: the program may have been off, the spool full, and a capture that
// only waited has not been tried. As many attempts as fit into the time at the longest pauses count for it, up to
// what takes half an hour and more.
bool Capture::out_of_time() const {
  constexpr std::chrono::minutes longest_pause{10};
  constexpr std::int64_t most_needed = 12;
  const auto enough = std::clamp<std::int64_t>(environment_.retry_for / longest_pause, least_attempts, most_needed);
  return row_.attempts + 1 >= enough && environment_.clock.wall_now() >= row_.received_at + environment_.retry_for;
}

// The spool has no room, or its disk refuses what is written. That is no attempt, unless this capture alone fills the
// disk: then waiting does not help, and it ends as others do that fail.
Step Capture::wait_for_room(Error error) const {
  const auto cause = claim_ ? claim_->refused_for() : refused_for_;
  if (cause != archive::SpoolRefusal::Cause::too_large) return Postponed{std::move(error), cause};
  if (out_of_time()) {
    return keep_what_is_published(fmt::format("{}; final after {} attempts", error.message, row_.attempts + 1),
                                  std::nullopt);
  }
  error.kind = ErrorKind::transient;
  return Postponed{std::move(error), cause};
}

// Decides what an attempt that came to its end (or was ended by `error`) amounts to.
Step Capture::conclude(std::optional<Error> error, std::stop_token stop) {
  if (error && error->kind == ErrorKind::cancelled) return Postponed{*error};
  if (error && error->kind == ErrorKind::no_space) return wait_for_room(*error);
  absent_.clear();
  not_footage_.clear();
  judged_ = journal::PresenceState::pending;
  auto collected = collect(error);
  leave_out_placeholders(collected, stop, [&] { return collect(error); });
  if (stop.stop_requested()) return Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  drop_clip_of_placeholders(collected);
  const bool complete = collected.has_video && collected.reason.empty();
  if (complete && known_to_go_on_) {
    // What there is now is kept meanwhile.
    Error goes_on{ErrorKind::transient, "the alert is still going on"};
    if (has_whole_clip()) return keep_what_is_published(goes_on.message, goes_on);
    return make_ready(std::move(collected), std::move(goes_on), stop);
  }
  if (complete) return make_ready(std::move(collected), std::nullopt, stop);

  if (try_stored_clip(collected, stop)) {
    taking_error_ = error;
    return Waiting{environment_.clock.wall_now()};
  }
  const bool gone = is_gone(collected, stop);
  if (stop.stop_requested()) return Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  if (!collected.has_video && stored_clip_) {
    const auto why_not_better = collected.reason;
    auto stored = collect_stored_clip(why_not_better);
    leave_out_placeholders(stored, stop, [&] { return collect_stored_clip(why_not_better); });
    if (stored.has_video) {
      collected = std::move(stored);
    } else if (!stored_clip_problem_.empty()) {
      collected.reason += "; nor is there a stored clip: " + stored_clip_problem_;
    }
  }
  const bool seems_wrong = error && error->kind == ErrorKind::permanent;
  const bool is_no_camera = seems_wrong && !camera_;
  const bool final =
      gone || out_of_time() || is_no_camera || (seems_wrong && row_.attempts + 1 >= attempts_at_what_seems_wrong);
  const auto kind = error ? error->kind : collected.why_missing;
  const Error why{kind == ErrorKind::permanent ? ErrorKind::not_found : kind, collected.reason,
                  error ? error->retry_after : std::nullopt};
  const bool may_come_soon =
      row_.attempts + 1 < least_attempts || environment_.clock.wall_now() < WallTime(row_.window_end) + recorded_by;
  if (!final && (may_come_soon || !collected.has_video)) {
    for (const auto& absent : absent_) {
      for (const auto& stretch : stretches_) reject(to_gap(absent), *stretch);
    }
    return Postponed{why};
  }
  if (final) {
    collected.reason += gone ? "; final: the camera no longer holds footage of it"
                             : fmt::format("; final after {} attempts", row_.attempts + 1);
  }
  const auto try_again = final ? std::nullopt : std::optional(why);
  if (collected.has_video && is_better(collected)) return make_ready(std::move(collected), try_again, stop);
  return keep_what_is_published(collected.reason, try_again);
}

// Puts the clip together in the spool.
Step Capture::make_ready(Collected collected, std::optional<Error> try_again, std::stop_token stop) {
  const auto file = environment_.spool.ready_clip(row_.id);
  auto summary = [&]() -> Result<media::ClipSummary> {
    if (auto early = end_early(collected.tracks)) return *early;
    remove_old_clip();
    const std::lock_guard lock(environment_.remuxing);
    return media::remux(collected.tracks, file, metadata(), stop);
  }();
  if (!summary) {
    remove_old_clip();
    if (summary.error().kind == ErrorKind::cancelled) return Postponed{summary.error()};
    if (summary.error().kind == ErrorKind::no_space) {
      claim_->note_disk_full(bytes_of(collected.tracks));
      return wait_for_room(summary.error());
    }
    // Something on disk is not what it was: the next attempt looks at all of it again.
    for (const auto* stretches : {&stretches_, &sound_}) {
      for (const auto& stretch : *stretches) stretch->invalidate();
    }
    if (out_of_time()) return keep_what_is_published(summary.error().message, std::nullopt);
    return Postponed{Error{ErrorKind::transient, summary.error().message}};
  }
  // The journal is about to say that it is there: after a power cut it must be.
  auto synced = sync_file(file);
  if (synced) synced = sync_directory(file.parent_path());
  if (!synced) {
    // What a failed sync has left is not trusted again, not even when the next one succeeds.
    remove_old_clip();
    return Postponed{Error{ErrorKind::no_space, synced.error().message}};
  }
  environment_.spool.add_clip(summary->bytes);
  if (try_again && collected.reason.empty()) collected.reason = try_again->message;
  if (!collected.reason.empty() && row_.published && row_.published->damage == journal::Damage::damaged)
    collected.reason += "; it is in the place of a damaged clip, which is kept beside it";
  journal::ReadyClip clip{.state = collected.reason.empty() ? State::done : State::partial,
                          .reason = collected.reason,
                          .camera_name = camera_->camera.name,
                          .source = std::string(rhombus::to_string(collected.route)),
                          .gaps = collected.gaps,
                          .has_audio = collected.has_audio,
                          .starts_at = summary->starts_at,
                          .window_end = row_.window_end,
                          .next_attempt_at = {},
                          .presence = collected.presence,
                          .sidecar = {}};
  const auto identity = identity_of(row_, clip.camera_name, clip.has_audio);
  clip.sidecar = sidecar_beginning({row_, identity, *summary, clip.state, clip.reason, clip.source, clip.gaps,
                                    collected.track_gaps,
                                    !try_again && clip.presence != journal::PresenceState::pending, clip.presence});
  return Ready{std::move(clip), std::move(try_again)};
}

}  // namespace responder::capture
