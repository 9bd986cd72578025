#include "responder/media/session.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/media/coverage.hpp"

#include "segment_chain.hpp"

namespace responder::media {
namespace {

using std::chrono::milliseconds;

constexpr Micros sound_behind{60'000'000};  // at the most, when both can be had
constexpr int max_tries = 4;                // of one segment in one attempt
constexpr int max_tries_not_found = 2;      // of one that the device says it does not have
constexpr int max_tries_too_short = 2;
constexpr int unreachable_after = 6;  // failures in a row, of any segments: the device is gone
constexpr milliseconds ask_again_after{300};
constexpr milliseconds retry_delay{250};  // doubled with each try

double seconds_of(Micros span) { return static_cast<double>(span.count()) / 1e6; }

WallTime at(std::chrono::sys_seconds start, Micros offset) {
  return WallTime(start) + std::chrono::ceil<milliseconds>(offset);
}

// What a media timeline shows at the session's start.
struct Origin {
  Micros at{0};
  bool is_epoch = false;  // by the wall clock, as sure as the device's
  bool is_told = true;    // false: the media counts from anywhere
};

// The first segment of a media timeline, and what the manifest declares of that.
struct Beginning {
  TrackKind kind = TrackKind::video;
  std::size_t part = 0;
  Micros decode_time{0};
  SegmentTime nominal;
  Micros declared{0};
};

// The epoch's time, what the manifest declares, or (when it is neither) what the first segment shows. Devices do all
// three.
Origin find_origin(const Beginning& first, std::chrono::sys_seconds session_start) {
  const Micros shown = first.decode_time - first.nominal.start;
  const Micros tolerance = first.nominal.duration + Micros(500'000);
  const Micros epoch = session_start.time_since_epoch();
  const Micros from_epoch = std::chrono::abs(shown - epoch);
  // First, as a session that begins early may declare the time at which it begins, not the one asked for.
  if (from_epoch <= tolerance) return {epoch, true};
  if (std::chrono::abs(shown - first.declared) <= tolerance) return {first.declared};
  if (from_epoch <= Micros(30'000'000)) return {epoch, true};
  return {shown, false, false};
}

// Picture and sound of one session count alike where they agree within a few segments: the picture begins with a key
// frame, up to a segment before the start, the sound where it likes. The later one is nearer to the start.
std::vector<Micros> find_origins(const std::vector<Beginning>& beginnings, std::chrono::sys_seconds session_start) {
  constexpr int few_segments = 3;
  std::vector<Origin> found;
  for (const auto& one : beginnings) found.push_back(find_origin(one, session_start));
  std::vector<Micros> origins;
  for (std::size_t i = 0; i < found.size(); ++i) {
    Origin best = found[i];
    for (std::size_t other = 0; other < found.size() && !found[i].is_told; ++other) {
      if (beginnings[other].kind == beginnings[i].kind || beginnings[other].part != beginnings[i].part) continue;
      const Micros near = few_segments * std::max(beginnings[i].nominal.duration, beginnings[other].nominal.duration);
      if (std::chrono::abs(found[other].at - found[i].at) > near) continue;
      if (found[other].is_told || found[other].at > best.at) best = found[other];
    }
    origins.push_back(best.at);
  }
  return origins;
}

// Less of a segment than this in the window is not worth asking for.
Micros negligible(const SegmentTime& time) { return std::min(rounding, time.duration / 2); }

// Whether a segment's media is as long as the manifest names it: a camera's segments differ by some frames, no more.
// The last one may be cut at `end`: the window's, or the manifest's where that is sooner.
enum class Length { right, too_short, too_long };
Length length_of(const SegmentInfo& info, const SegmentTime& nominal, Micros end) {
  if (info.duration == Micros(0)) return Length::right;
  const Micros least = std::min(nominal.duration, end - nominal.start);
  if (info.duration < least * 3 / 4 - Micros(100'000)) return Length::too_short;
  return info.duration > nominal.duration * 2 + Micros(1'000'000) ? Length::too_long : Length::right;
}

}  // namespace

struct Session::TrackState {
  enum class Status { pending, fetched, missing, not_wanted };
  struct SegmentState {
    Status status = Status::pending;
    int tries = 0;
    SteadyTime paused_until;  // after a failure; the wall clock may be set meanwhile
    SegmentInfo info;
    ErrorKind missing_kind = ErrorKind::not_found;
    std::string reason;  // why it is missing
  };

  explicit TrackState(Track manifest_track) : track(std::move(manifest_track)) {}

  Track track;
  // Alone: which of the places that the manifest names had what was asked for last.
  mutable std::atomic<std::size_t> place{0};
  std::vector<std::optional<InitInfo>> inits;  // by part
  std::vector<SegmentState> segments;

  // How the media of a part lies to the manifest's times.
  struct Shift {
    Micros off{0};           // how much later it is than the manifest names it; negative: earlier
    bool is_certain = true;  // false: the media does not tell
  };
  std::vector<std::optional<Shift>> shifts;  // by part, once a segment of it is there

  bool given_up = false;   // nothing more is asked for
  std::size_t usable = 0;  // how many of the manifest's segments lie in the window and are whole

  Micros off(std::size_t part) const { return part < shifts.size() && shifts[part] ? shifts[part]->off : Micros(0); }
  bool is_certain(std::size_t part) const {
    return part >= shifts.size() || !shifts[part] || shifts[part]->is_certain;
  }
  // Where the media of a segment is, on the session's timeline.
  SegmentTime true_time(std::size_t index) const {
    const auto nominal = track.time_of(index);
    return {nominal.start + off(track.part_of(index)), nominal.duration};
  }
  // Where the media of all that the manifest names ends.
  Micros true_end() const { return track.parts() == 0 ? Micros(0) : track.end() + off(track.parts() - 1); }
  Micros early_by_at_most(std::size_t index, Micros window) const;
  Beginning beginning(std::size_t index) const {
    const auto part = track.part_of(index);
    return {track.kind(), part, segments[index].info.decode_time, track.time_of(index),
            track.presentation_offset(part)};
  }
  Length length(std::size_t index, const SegmentInfo& info, Micros window) const {
    return length_of(info, track.time_of(index), std::min(window, track.end()));
  }

  bool settled() const {
    return std::none_of(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(usable),
                        [](const SegmentState& s) { return s.status == Status::pending; });
  }
};

// By how much the media of a segment may be earlier than the manifest names it.
Micros Session::TrackState::early_by_at_most(std::size_t index, Micros window) const {
  const auto part = track.part_of(index);
  if (is_certain(part)) return std::max(Micros(0), -off(part));
  // It does not tell. A session that begins early with whole segments, and ends with them, lasts longer than asked by
  // less than two of them, and may name one that would begin after the window.
  const auto last = track.time_of(track.size() - 1);
  if (last.start + negligible(last) < window) return Micros(0);
  const Micros segment = track.time_of(index).duration;
  const Micros longer = track.end() - window;
  return longer <= segment * 2 + rounding ? std::clamp(longer, Micros(0), segment) : Micros(0);
}

Session::Session(SessionOptions options, Source& source, Clock& clock)
    : options_(std::move(options)), source_(source), clock_(clock) {}
Session::~Session() = default;

WallTime Session::available_at(Micros segment_end) const {
  return at(options_.start, std::min(segment_end, Micros(options_.duration))) + options_.lag->value();
}

// What the wall clock will say then, unless it is set.
WallTime Session::wall_time_of(SteadyTime time) const {
  return clock_.wall_now() + std::chrono::ceil<std::chrono::milliseconds>(time - clock_.steady_now());
}

// Whether a track's manifest ends before the window does: the device may have clamped it to the present.
bool Session::clamped(const TrackState& track) const {
  const Micros end = track.true_end();
  const Micros allowed = end < track.track.end() ? allowed_at_ends : rounding;
  return end + allowed < Micros(options_.duration);
}

bool Session::clamped() const {
  return std::any_of(tracks_.begin(), tracks_.end(), [&](const auto& track) { return clamped(*track); });
}

// Whether the device had recorded all of the window for long enough when the manifest was asked for.
bool Session::manifest_is_final() const {
  return manifest_asked_at_ >= available_at(options_.duration) + options_.patience;
}

// Whether asking for the manifest again may show more.
bool Session::may_grow() const { return !has_manifest_ || (clamped() && !manifest_is_final()); }

Result<void> Session::load_manifest(std::stop_token stop) {
  manifest_asked_at_ = clock_.wall_now();
  manifest_asked_steady_ = clock_.steady_now();
  const auto document = source_.text(options_.mpd, max_manifest_bytes, stop);
  if (!document) return document.error();
  if (auto applied = apply_manifest(document->text, document->url); !applied) return applied;
  // Kept for an attempt that finds the device gone: its URL, then the text.
  auto file = OutputFile::create(kept_manifest(), OutputFile::Mode::truncate);
  if (!file) return file.error();
  return file->write(document->url.str() + "\n" + document->text);
}

Result<void> Session::apply_manifest(std::string_view xml, const net::Url& url) {
  auto manifest = parse_manifest(xml, url, options_.start, options_.duration);
  if (!manifest) return with_context(manifest.error(), url.loggable());
  if (options_.want_video) update_track(TrackKind::video, manifest->video);
  if (options_.want_audio) update_track(TrackKind::audio, manifest->audio);
  if (tracks_.empty() || (options_.want_video && !manifest->video)) {
    return Error{ErrorKind::permanent, fmt::format("{}: the manifest cannot be used: it has no {}", url.loggable(),
                                                   options_.want_video ? "video" : "audio")};
  }
  has_manifest_ = true;
  return {};
}

void Session::recall() {
  if (has_manifest_) return;
  const auto kept = read_file(kept_manifest(), max_manifest_bytes + 16384);
  const auto line = kept ? kept->find('\n') : std::string::npos;
  if (line == std::string::npos) return;
  const auto url = net::Url::parse(std::string_view(*kept).substr(0, line));
  if (!url || !apply_manifest(std::string_view(*kept).substr(line + 1), *url)) return;
  for (const auto& track : tracks_) {
    for (std::size_t part = 0; part < track->track.parts(); ++part) {
      auto init = check_init(init_file(track->track.kind(), part), track->track.kind());
      if (!init) continue;
      track->inits[part] = std::move(*init);
      reuse_segments(*track, part, true);
    }
  }
}

void Session::update_track(TrackKind kind, const std::optional<Track>& found) {
  if (!found) return;
  auto same = std::find_if(tracks_.begin(), tracks_.end(), [&](const auto& t) { return t->track.kind() == kind; });
  if (same == tracks_.end()) same = tracks_.insert(same, std::make_unique<TrackState>(*found));
  TrackState& state = **same;
  state.track = *found;
  state.shifts.resize(state.track.parts());
  state.inits.resize(state.track.parts());
  set_usable(state);
}

void Session::set_usable(TrackState& state) {
  state.usable = 0;
  if (state.given_up) return;
  const bool may_grow = clamped(state) && !manifest_is_final();
  for (std::size_t i = 0; i < state.track.size(); ++i) {
    const auto time = state.track.time_of(i);
    const Micros early = state.early_by_at_most(i, options_.duration);
    if (time.start - early + negligible(time) >= Micros(options_.duration)) break;
    // The last segment of a clamped manifest may be cut at the present: it is asked for again, whole. Where the
    // manifest grows no more, the camera went off just then.
    if (may_grow && time.end() > state.track.end() + rounding) break;
    state.usable = i + 1;
  }
  if (state.segments.size() < state.usable) state.segments.resize(state.usable);
}

// A device stores segments with boundaries of its own. A session may begin with the one that contains the asked
// start, or with the next one: its first segments show it.
void Session::learn_shift(TrackState& state, std::size_t index) {
  const auto part = state.track.part_of(index);
  if (state.shifts[part]) return;
  const auto beginning = state.beginning(index);
  const auto origin = find_origin(beginning, options_.start);
  TrackState::Shift shift{beginning.decode_time - origin.at - beginning.nominal.start};
  // More than a segment is no such beginning.
  if (std::chrono::abs(shift.off) > beginning.nominal.duration + rounding) shift.off = Micros(0);
  // Media that counts from wherever it begins is where the manifest names it, whether it begins early or not.
  shift.is_certain = origin.is_epoch || std::chrono::abs(shift.off) > rounding;
  state.shifts[part] = shift;
  if (std::chrono::abs(shift.off) > rounding) {
    // Decided by the manifest's times.
    for (auto& segment : state.segments) {
      if (segment.status == TrackState::Status::not_wanted) segment.status = TrackState::Status::pending;
    }
  }
  set_usable(state);
}

std::filesystem::path Session::init_file(TrackKind kind, std::size_t part) const {
  return options_.directory / fmt::format("{}-init-{}", to_string(kind), part);
}

FileOfSegment Session::files_of(TrackKind kind) const {
  return [this, kind](std::size_t index) { return segment_file(kind, index); };
}

std::filesystem::path Session::segment_file(TrackKind kind, std::size_t index) const {
  return options_.directory / fmt::format("{}-{:06}", to_string(kind), index);
}

Result<void> Session::prepare_tracks(std::stop_token stop) {
  for (const auto& track : tracks_) {
    if (track->given_up) continue;
    const auto ready = prepare_track(*track, stop);
    if (ready) continue;
    const auto kind = ready.error().kind;
    const bool only_sound = options_.want_video && track->track.kind() == TrackKind::audio;
    if (!only_sound || kind == ErrorKind::cancelled || kind == ErrorKind::no_space) return ready.error();
    // The picture goes on without it.
    track->given_up = true;
    track->usable = 0;
    problem_ = "no sound: " + ready.error().message;
  }
  return {};
}

Result<void> Session::prepare_track(TrackState& track, std::stop_token stop) {
  for (std::size_t i = 0; i < track.usable; ++i) {
    const auto part = track.track.part_of(i);
    if (track.inits[part]) continue;
    if (auto fetched = fetch_init(track, i, stop); !fetched) return fetched.error();
  }
  return {};
}

// Asks the places that may have it in turn, beginning with the one that had the last. Where none has it, what the
// first one said counts.
Result<net::Url> Session::fetch(const TrackState& track, std::size_t index, What what,
                                const std::filesystem::path& file, std::stop_token stop) {
  const auto places = track.track.places(index);
  const std::size_t preferred = track.place;
  std::optional<Error> refused;
  for (std::size_t i = 0; i < places; ++i) {
    const auto place = (preferred + i) % places;
    const auto segment = track.track.at(index, place);
    if (!segment) return segment.error();
    const auto& url = what == What::init ? segment->init : segment->url;
    const auto max_bytes = what == What::init ? max_init_bytes : max_segment_bytes;
    const auto fetched = source_.file(url, file, max_bytes, stop);
    if (fetched) {
      track.place = place;
      return url;
    }
    const auto kind = fetched.error().kind;
    if (kind == ErrorKind::cancelled || kind == ErrorKind::no_space) return fetched.error();
    if (!refused) refused = fetched.error();
    if (refused->kind == ErrorKind::auth) break;
  }
  return *refused;
}

Result<void> Session::fetch_init(TrackState& track, std::size_t index, std::stop_token stop) {
  const auto kind = track.track.kind();
  const auto part = track.track.part_of(index);
  const auto file = init_file(kind, part);
  const auto earlier = check_init(file, kind);
  auto fresh = file;
  fresh += ".part";
  const auto url = fetch(track, index, What::init, fresh, std::move(stop));
  if (!url) return with_context(url.error(), fmt::format("{} initialization", to_string(kind)));
  auto checked = check_init(fresh, kind);
  if (!checked)
    return with_context(checked.error(),
                        fmt::format("{}: the {} initialization is unusable", url->loggable(), to_string(kind)));
  if (auto ended = end_last_box(fresh, checked->container); !ended) return ended;
  std::error_code failed;
  std::filesystem::rename(fresh, file, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot keep {}", file.string()));
  track.inits[part] = std::move(*checked);
  if (earlier && read_samples_alike(*earlier, *track.inits[part])) reuse_segments(track, part, false);
  return {};
}

void Session::reuse_segments(TrackState& track, std::size_t part, bool also_too_short) {
  std::vector<Placed> found;
  std::map<std::size_t, SegmentInfo> infos;
  for (std::size_t i = 0; i < track.usable; ++i) {
    if (track.track.part_of(i) != part) continue;
    const auto info = check_segment(segment_file(track.track.kind(), i), *track.inits[part]);
    if (!info) continue;
    if (!also_too_short && track.length(i, *info, options_.duration) != Length::right) continue;
    found.push_back({i, info->decode_time, info->duration, track.track.time_of(i)});
    infos[i] = *info;
  }
  if (!also_too_short) {
    const Micros end = std::min(Micros(options_.duration), track.track.end());
    std::erase_if(found, [&](const Placed& placed) { return was_cut(placed, infos, end); });
  }
  const auto known = track.usable;
  // One that lied about its time is asked for again.
  for (const auto& chain : chains_of(found, files_of(track.track.kind()))) {
    for (const auto& placed : chain) {
      auto& segment = track.segments[placed.index];
      if (segment.status == TrackState::Status::fetched) continue;
      segment = {TrackState::Status::fetched, 0, {}, infos[placed.index], {}, {}};
      std::error_code ignored;
      bytes_ += std::filesystem::file_size(segment_file(track.track.kind(), placed.index), ignored);
      learn_shift(track, placed.index);
    }
  }
  if (track.usable > known) reuse_segments(track, part, also_too_short);
}

Result<SegmentInfo> Session::fetch_segment(const TrackState& track, std::size_t index, std::stop_token stop) {
  if (options_.room) {
    if (auto room = options_.room(); !room) return room.error();
  }
  const auto file = segment_file(track.track.kind(), index);
  auto part = file;
  part += ".part";
  const auto url = fetch(track, index, What::segment, part, std::move(stop));
  if (!url) {
    if (url.error().kind == ErrorKind::transient) ++failures_in_a_row_;
    // What came of it is of no use, and counts all the same.
    std::error_code none;
    if (const auto size = std::filesystem::file_size(part, none); !none) bytes_ += size;
    std::filesystem::remove(part, none);
    return url.error();
  }
  failures_in_a_row_ = 0;
  const auto& init = *track.inits[track.track.part_of(index)];
  auto checked = check_segment(part, init);
  if (checked && track.length(index, *checked, options_.duration) == Length::too_long)
    checked = Error{ErrorKind::transient, fmt::format("its media is {:.1f} s long", seconds_of(checked->duration))};
  if (!checked) return with_context(checked.error(), fmt::format("{} is unusable", url->loggable()));
  if (auto ended = end_last_box(part, init.container); !ended) return ended.error();
  std::error_code failed;
  std::filesystem::rename(part, file, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot keep {}", file.string()));
  return checked;
}

void Session::tell_progress() {
  constexpr std::chrono::milliseconds often_enough{200};
  const auto now = clock_.steady_now();
  if (!options_.on_progress || now - told_progress_at_ < often_enough) return;
  told_progress_at_ = now;
  std::size_t settled = 0;
  std::size_t all = 0;
  for (const auto& track : tracks_) {
    all += track->usable;
    settled += static_cast<std::size_t>(
        std::count_if(track->segments.begin(), track->segments.begin() + static_cast<std::ptrdiff_t>(track->usable),
                      [](const auto& segment) { return segment.status != TrackState::Status::pending; }));
  }
  if (all > 0) options_.on_progress(static_cast<double>(settled) / static_cast<double>(all));
}

// Tracks that can already be put together while the rest of them is fetched.
void Session::foresee() {
  const bool window_is_over = available_at(options_.duration) <= clock_.wall_now();
  const auto has_begun = [](const auto& track) {
    return track->track.parts() == 1 && track->usable > 0 && track->segments[0].status == TrackState::Status::fetched;
  };
  if (foreseen_ || !options_.on_foreseen || clamped() || !window_is_over ||
      !std::all_of(tracks_.begin(), tracks_.end(), has_begun))
    return;
  foreseen_ = true;
  std::vector<Beginning> beginnings;
  for (const auto& track : tracks_) beginnings.push_back(track->beginning(0));
  const auto origins = find_origins(beginnings, options_.start);
  std::vector<TakenTrack> foreseen;
  for (std::size_t i = 0; i < tracks_.size(); ++i) foreseen.push_back(foresee(*tracks_[i], origins[i]));
  options_.on_foreseen(std::move(foreseen));
}

TakenTrack Session::foresee(const TrackState& track, Micros origin) {
  TakenTrack foreseen;
  foreseen.kind = track.track.kind();
  TakenPart part;
  part.init = *track.inits[0];
  part.init_file = init_file(foreseen.kind, 0);
  part.origin = origin;
  for (std::size_t i = 0; i < track.usable; ++i) part.segments.push_back(segment_file(foreseen.kind, i).string());
  foreseen.parts.push_back(std::move(part));
  // Segments of one device are much alike; where this is too little, the trailer says so and the clip is made again.
  foreseen.samples = track.segments[0].info.samples * (track.usable + 1) * 5 / 4;
  foreseen.wait_for = [this, &track](std::size_t index, std::stop_token stop) {
    return wait_for_segment(track, index, std::move(stop));
  };
  return foreseen;
}

bool Session::wait_for_segment(const TrackState& track, std::size_t index, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const auto status = [&] { return track.segments[index].status; };
  segment_settled_.wait(lock, std::move(stop), [&] { return status() != TrackState::Status::pending || over_; });
  return status() == TrackState::Status::fetched;
}

bool Session::is_wanted(const TrackState& track, std::size_t index) const {
  const auto time = track.true_time(index);
  const Micros start = std::max(Micros(0), time.start);
  return !options_.wanted || options_.wanted(track.track.kind(), {start, time.end() - start});
}

void Session::note_failure(TrackState& track, std::size_t index, Error error) {
  auto& state = track.segments[index];
  const auto now = clock_.wall_now();
  const auto segment_end = track.true_time(index).end();
  const bool not_yet = error.kind == ErrorKind::not_found && now < available_at(segment_end) + options_.patience;
  // One that is recorded beyond the window is asked for before its end.
  if (not_yet && segment_end <= Micros(options_.duration))
    options_.lag->too_early(now - at(options_.start, segment_end));
  ++state.tries;
  const bool again = (error.kind == ErrorKind::transient && state.tries < max_tries) ||
                     (error.kind == ErrorKind::not_found && state.tries < max_tries_not_found);
  if (not_yet || again) {
    state.paused_until =
        clock_.steady_now() + (not_yet ? ask_again_after : retry_delay * (1 << std::min(state.tries, 6)));
    return;
  }
  state.status = TrackState::Status::missing;
  state.missing_kind = error.kind;
  state.reason = error.message;
  spdlog::debug("{} segment {} given up: {}", to_string(track.track.kind()), index, error.message);
}

std::vector<Session::Job> Session::due_jobs() {
  std::vector<Job> jobs;
  const auto now = clock_.wall_now();
  for (const auto& track : tracks_) {
    for (std::size_t i = 0; i < track->usable; ++i) {
      auto& state = track->segments[i];
      if (state.status != TrackState::Status::pending || state.paused_until > clock_.steady_now()) continue;
      if (available_at(track->true_time(i).end()) > now) break;
      if (is_wanted(*track, i)) {
        jobs.push_back({track.get(), i});
      } else {
        const std::lock_guard lock(mutex_);
        state.status = TrackState::Status::not_wanted;
      }
    }
  }
  // The picture first, and the sound not far behind: who puts the clip together meanwhile needs both.
  const auto order = [](const Job& job) {
    const auto start = job.track->track.time_of(job.index).start;
    return job.track->track.kind() == TrackKind::audio ? start + sound_behind : start;
  };
  std::stable_sort(jobs.begin(), jobs.end(), [&](const Job& a, const Job& b) { return order(a) < order(b); });
  return jobs;
}

// Whether fetching goes on; an Error that ends the attempt.
Result<void> Session::settle(const Job& job, Result<SegmentInfo> fetched) {
  auto& segment = job.track->segments[job.index];
  // What is too short may be whole the next time; in the end it is better than nothing.
  if (fetched && segment.tries + 1 < max_tries_too_short &&
      job.track->length(job.index, *fetched, options_.duration) == Length::too_short)
    fetched = Error{ErrorKind::transient, "the segment's media is shorter than its manifest says"};
  const auto too_much = [&] {
    return Error{ErrorKind::permanent,
                 fmt::format("{}: more than {} MiB for a window of {} s is no footage", options_.mpd.loggable(),
                             options_.max_bytes >> 20U, options_.duration.count())};
  };
  if (fetched) {
    if (segment.tries == 0) options_.lag->there_at_once();
    segment.info = *fetched;
    segment.status = TrackState::Status::fetched;
    learn_shift(*job.track, job.index);
    foresee();
    segment_settled_.notify_all();
    std::error_code ignored;
    bytes_ += std::filesystem::file_size(segment_file(job.track->track.kind(), job.index), ignored);
    return bytes_ <= options_.max_bytes ? Result<void>{} : too_much();
  }
  if (bytes_ > options_.max_bytes) return too_much();
  const auto kind = fetched.error().kind;
  const bool unreachable = kind == ErrorKind::transient && failures_in_a_row_ >= unreachable_after;
  if (kind == ErrorKind::no_space || kind == ErrorKind::cancelled || kind == ErrorKind::auth || unreachable)
    return fetched.error();
  note_failure(*job.track, job.index, std::move(fetched.error()));
  segment_settled_.notify_all();
  return {};
}

// Fetches what is due now, several at once. Returns when nothing is due any more, or the time slice is over.
Result<void> Session::fetch_due(SteadyTime slice_end, std::stop_token stop) {
  while (!stop.stop_requested()) {
    const auto jobs = due_jobs();
    if (jobs.empty() || clock_.steady_now() >= slice_end) return {};

    std::atomic<std::size_t> next{0};  // hands out the jobs; the threads share nothing else without the mutex
    std::optional<Error> ending;
    const auto work = [&] {
      for (std::size_t i = next++; i < jobs.size() && !stop.stop_requested(); i = next++) {
        auto fetched = fetch_segment(*jobs[i].track, jobs[i].index, stop);
        const std::lock_guard lock(mutex_);
        const auto settled = settle(jobs[i], std::move(fetched));
        if (!settled && !ending) ending = settled.error();
        tell_progress();
        if (ending || clock_.steady_now() >= slice_end) return;
      }
    };
    {
      std::vector<std::jthread> helpers;
      const std::size_t threads = std::min(source_.parallel(), jobs.size());
      for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
      work();
    }
    if (ending) return *ending;
  }
  return Error{ErrorKind::cancelled, "shutting down"};
}

// Nobody waits for a segment that nobody will fetch.
void Session::set_over() {
  const std::lock_guard lock(mutex_);
  over_ = true;
  segment_settled_.notify_all();
}

Result<Session::Progress> Session::advance(std::stop_token stop) {
  auto progress = advance_for_a_slice(std::move(stop));
  if (!progress || progress->finished) set_over();
  if (progress && progress->finished) name_jumps();
  return progress;
}

Result<Session::Progress> Session::advance_for_a_slice(std::stop_token stop) {
  const auto slice_end = clock_.steady_now() + options_.slice;
  while (true) {
    const bool known_is_settled =
        std::all_of(tracks_.begin(), tracks_.end(), [](const auto& t) { return t->settled(); });
    const bool ask_time = clock_.wall_now() >= progress().next_at;
    if (!has_manifest_ || (known_is_settled && may_grow() && ask_time)) {
      if (auto loaded = load_manifest(stop); !loaded) return loaded.error();
    }
    if (auto ready = prepare_tracks(stop); !ready) return ready.error();
    if (auto fetched = fetch_due(slice_end, stop); !fetched) return fetched.error();
    const auto now_at = progress();
    const bool more_now = !now_at.finished && now_at.next_at <= clock_.wall_now();
    if (!more_now || clock_.steady_now() >= slice_end) return now_at;
  }
}

Session::Progress Session::progress() const {
  Progress result{.finished = !may_grow(), .next_at = WallTime::max()};
  bool settled = has_manifest_;
  for (const auto& track : tracks_) {
    if (track->settled()) continue;
    settled = false;
    for (std::size_t i = 0; i < track->usable; ++i) {
      const auto& state = track->segments[i];
      if (state.status != TrackState::Status::pending) continue;
      const auto ready = available_at(track->true_time(i).end());
      result.next_at = std::min(result.next_at, std::max(ready, wall_time_of(state.paused_until)));
    }
  }
  result.finished = result.finished && settled;
  if (settled && !result.finished) {
    // Clamped: the next segment is there about one segment's length after the last one known.
    Micros shortest_end = options_.duration;
    Micros length{1'000'000};
    for (const auto& track : tracks_) {
      shortest_end = std::min(shortest_end, track->true_end());
      if (track->track.size() == 0) continue;
      length = std::clamp(track->track.time_of(0).duration, Micros(200'000), Micros(10'000'000));
    }
    const auto expected = available_at(std::min(shortest_end + length, Micros(options_.duration)));
    result.next_at = std::max(expected, wall_time_of(manifest_asked_steady_ + ask_again_after));
  }
  return result;
}

// Segments of one track that fit to one another, on one media timeline.
struct Session::Strand {
  const TrackState* state;
  std::size_t part;
  Chain chain;
  bool is_after_jump = false;  // anchored to what is before it
};

void Session::name_jumps() const {
  std::vector<Strand> strands;
  std::vector<Missing> ignored;
  for (const auto& track : tracks_) find_strands(*track, strands, ignored);
  for (const auto& strand : strands) {
    if (!strand.is_after_jump) continue;
    spdlog::info("{}: the decode times of the {} jump at segment {}, which is put behind the one before it",
                 options_.mpd.loggable(), to_string(strand.state->track.kind()), strand.chain.front().index);
  }
}

Taken Session::taken() const {
  Taken taken;
  std::vector<Strand> strands;
  for (const auto& track : tracks_) {
    taken.kinds.push_back(track->track.kind());
    find_strands(*track, strands, taken.missing);
  }
  const auto origins = origins_of(strands);
  for (std::size_t i = 0; i < strands.size(); ++i)
    taken.runs.push_back(make_run(strands[i], origins[i], taken.missing));
  return taken;
}

std::vector<Micros> Session::origins_of(const std::vector<Strand>& strands) const {
  std::vector<Beginning> beginnings;
  for (const auto& strand : strands) {
    if (!strand.is_after_jump) beginnings.push_back(strand.state->beginning(strand.chain.front().index));
  }
  const auto told = find_origins(beginnings, options_.start);
  std::vector<Micros> origins;
  auto next_told = told.begin();
  for (std::size_t i = 0; i < strands.size(); ++i)
    origins.push_back(strands[i].is_after_jump ? origin_after_jump(strands, origins, i) : *next_told++);
  return origins;
}

Micros Session::origin_after_jump(const std::vector<Strand>& strands, const std::vector<Micros>& origins,
                                  std::size_t at) {
  const auto& first = strands[at].chain.front();
  const Placed* before = nullptr;
  Micros start{0};
  for (std::size_t i = 0; i < at; ++i) {
    if (strands[i].state != strands[at].state || strands[i].part != strands[at].part) continue;
    for (const auto& placed : strands[i].chain) {
      if (placed.index > first.index || (before != nullptr && placed.index < before->index)) continue;
      before = &placed;
      start = placed.decode_time - origins[i];
    }
  }
  return first.decode_time - (before == nullptr ? first.nominal.start : begins_after(*before, start, first));
}

void Session::find_strands(const TrackState& state, std::vector<Strand>& strands,
                           std::vector<Missing>& missing) const {
  const auto kind = state.track.kind();
  const auto leave_out = [&](std::size_t index, ErrorKind why, std::string reason) {
    const auto time = state.true_time(index);
    missing.push_back({kind, {time.start, time.end()}, why, std::move(reason)});
  };
  std::vector<std::vector<Placed>> by_part(state.track.parts());
  for (std::size_t i = 0; i < state.usable; ++i) {
    const auto& segment = state.segments[i];
    switch (segment.status) {
      case TrackState::Status::not_wanted: break;
      case TrackState::Status::pending:
        leave_out(i, ErrorKind::transient, "the device went away before all was fetched");
        break;
      case TrackState::Status::missing: leave_out(i, segment.missing_kind, segment.reason); break;
      case TrackState::Status::fetched:
        by_part[state.track.part_of(i)].push_back(
            {i, segment.info.decode_time, segment.info.duration, state.track.time_of(i)});
        break;
    }
  }
  for (std::size_t part = 0; part < by_part.size(); ++part) {
    std::vector<bool> kept(state.usable, false);
    bool is_after_jump = false;
    for (auto& chain : chains_of(by_part[part], files_of(kind))) {
      for (const auto& placed : chain) kept[placed.index] = true;
      strands.push_back({&state, part, std::move(chain), std::exchange(is_after_jump, true)});
    }
    for (const auto& placed : by_part[part]) {
      if (kept[placed.index]) continue;
      leave_out(placed.index, ErrorKind::transient,
                fmt::format("the decode time of {} segment {} does not fit", to_string(kind), placed.index));
    }
  }
}

TakenRun Session::make_run(const Strand& strand, Micros origin, std::vector<Missing>& missing) const {
  const auto& state = *strand.state;
  const auto kind = state.track.kind();
  TakenRun run{kind, *state.inits[strand.part], init_file(kind, strand.part), origin, {}, {}};
  if (!state.is_certain(strand.part))
    run.early = state.early_by_at_most(strand.chain.front().index, options_.duration);
  for (const auto& placed : strand.chain) {
    const auto& info = state.segments[placed.index].info;
    // What the media itself says; where it does not say, it ends no later than what was asked for.
    SegmentTime time{placed.decode_time - origin, info.duration};
    const bool is_told = info.duration > Micros(0);
    if (!is_told) time.duration = placed.nominal.duration;
    // What may be earlier than it says covers nothing beyond the window.
    if (!is_told || run.early > Micros(0))
      time.duration =
          std::clamp(std::min(Micros(options_.duration), state.true_end()) - time.start, Micros(0), time.duration);
    run.segments.push_back({segment_file(kind, placed.index).string(), time, info.samples});
    if (state.length(placed.index, info, options_.duration) == Length::too_short) {
      missing.push_back({kind,
                         {time.end(), time.start + placed.nominal.duration},
                         ErrorKind::transient,
                         fmt::format("the media of {} segment {} is shorter than its manifest says", to_string(kind),
                                     placed.index)});
    }
  }
  return run;
}

}  // namespace responder::media
