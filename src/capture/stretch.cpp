#include "responder/capture/stretch.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"
#include "responder/media/coverage.hpp"
#include "responder/rhombus/directory.hpp"

namespace responder::capture {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr milliseconds look_again{100};       // at what another capture drives just now
constexpr std::chrono::minutes kept_for{10};  // after its last use: the next alert of a burst
constexpr std::uint64_t getting_full_percent = 50;

std::string folder_name(const Span& span) {
  return fmt::format("{}_{}", span.start.time_since_epoch().count(), (span.end - span.start).count());
}

std::optional<Span> parse_folder_name(std::string_view name) {
  const auto line = name.find('_');
  const auto start = parse_int(name.substr(0, line));
  const auto length = line == std::string_view::npos ? std::nullopt : parse_int(name.substr(line + 1));
  constexpr long long longest = 366LL * 86400;
  if (!start || !length || *start < 0 || *length <= 0 || *length > longest) return std::nullopt;
  return Span{sys_seconds(seconds(*start)), sys_seconds(seconds(*start + *length))};
}

constexpr std::string_view both = "+va", only_video = "+v", only_audio = "+a";
constexpr std::string_view by_lan = "-lan", by_wan = "-wan";  // that way alone

std::optional<Recorder> parse_recorder(std::string_view name) {
  const auto plus = name.find('+');
  if (plus == std::string_view::npos || !is_safe_id(name.substr(0, plus))) return std::nullopt;
  auto what = name.substr(plus);
  Recorder recorder;
  if (what.ends_with(by_lan) || what.ends_with(by_wan)) {
    recorder.connection = what.ends_with(by_lan) ? ConnectionMode::lan : ConnectionMode::wan;
    what = what.substr(0, what.rfind('-'));
  }
  recorder.device = DeviceId(std::string(name.substr(0, plus)));
  recorder.video = what != only_audio;
  recorder.audio = what != only_video;
  recorder.kind = recorder.video ? rhombus::DeviceKind::camera : rhombus::DeviceKind::audio_gateway;
  return recorder;
}

// When something was last written into a stretch's folder or into one of its sessions' folders.
WallTime last_written(const std::filesystem::path& folder, WallTime now) {
  const auto written = [](const std::filesystem::path& one) {
    std::error_code gone;
    return std::filesystem::last_write_time(one, gone);
  };
  auto newest = written(folder);
  std::error_code unreadable;
  for (const auto& session : std::filesystem::directory_iterator(folder, unreadable))
    newest = std::max(newest, written(session.path()));
  // A clock that was set back since must not keep it for long.
  return std::min(now, std::chrono::time_point_cast<WallTime::duration>(std::chrono::file_clock::to_sys(newest)));
}

// Those of the open captures that want footage of this span.
std::vector<const journal::OpenWindow*> wanted_by(const std::string& recorder, const Span& span,
                                                  const std::vector<journal::OpenWindow>& open) {
  const auto of = parse_recorder(recorder);
  std::vector<const journal::OpenWindow*> wanting;
  if (!of) return wanting;
  for (const auto& window : open) {
    // A gateway's sound may be any camera's.
    const bool is_of_it = !of->video || rhombus::is_same_device(window.camera, of->device);
    if (is_of_it && span.overlaps({window.start, window.end})) wanting.push_back(&window);
  }
  return wanting;
}

// What one kind of track of a stretch covers, from its start.
media::Coverage coverage_of(const std::vector<Footage::Share>& shares, media::TrackKind kind) {
  media::Coverage coverage;
  for (const auto& share : shares) coverage.add(share.taken, kind);
  return coverage;
}

}  // namespace

std::string Recorder::name() const {
  const auto what = !audio ? only_video : (video ? both : only_audio);
  const auto way = connection == ConnectionMode::lan ? by_lan : (connection == ConnectionMode::wan ? by_wan : "");
  return fmt::format("{}{}{}", device.str(), what, way);
}

void BitRates::learn(const Recorder& recorder, std::uint64_t bytes, seconds footage) {
  if (bytes == 0 || footage <= seconds(0)) return;
  constexpr std::uint64_t and_percent = 110;  // pictures differ
  (*seen_.lock())[recorder.name()] = bytes / static_cast<std::uint64_t>(footage.count()) * and_percent / 100;
}

std::uint64_t BitRates::of(const Recorder& recorder) const {
  constexpr std::uint64_t usual = 1'000'000, usual_of_sound = 16'000;
  auto seen = seen_.lock();
  const auto found = seen->find(recorder.name());
  return found != seen->end() ? found->second : (recorder.video ? usual : usual_of_sound);
}

Stretch::Stretch(Recorder recorder, Span span, std::filesystem::path folder, FootageAccess& access, BitRates& rates,
                 bool recovered)
    : recorder_(std::move(recorder)), folder_(std::move(folder)), access_(access), rates_(rates) {
  auto state = state_.lock();
  state->span = state->reach = span;
  state->opened = recovered;  // its folder has its span's name
}

Span Stretch::span() const { return state_.lock()->span; }

std::filesystem::path Stretch::folder_of(const Span& span) const { return folder_ / folder_name(span); }

std::uint64_t Stretch::bytes_on_disk() const { return archive::bytes_in(folder_of(span())); }

void Stretch::remove_from_disk() const {
  std::error_code failed;
  const auto folder = folder_of(span());
  std::filesystem::remove_all(folder, failed);
  if (failed) spdlog::warn("spool: cannot remove {}: {}", folder.string(), failed.message());
}

archive::SpoolNeed Stretch::need(const Span& window) const {
  Span span;
  bool complete = false;
  {
    auto state = state_.lock();
    span = state->span;
    complete = state->over && state->complete;
  }
  const auto part = std::min(window.end, span.end) - std::max(window.start, span.start);
  if (part <= seconds(0)) return {};
  const auto whole = static_cast<std::uint64_t>((span.end - span.start).count());
  const auto share = [&](std::uint64_t bytes) { return bytes * static_cast<std::uint64_t>(part.count()) / whole; };
  archive::SpoolNeed need;
  need.present = bytes_on_disk();
  const auto expected = complete ? need.present : rates_.of(recorder_) * whole;
  need.clip = share(expected);
  need.missing = share(expected > need.present ? expected - need.present : 0);
  return need;
}

bool Stretch::extend(sys_seconds end) {
  auto state = state_.lock();
  if (state->opened) return false;
  state->span.end = state->reach.end = end;
  return true;
}

Span Stretch::reach() const { return state_.lock()->reach; }

void Stretch::follow(const std::shared_ptr<Stretch>& before) { state_.lock()->before = before; }

// Who does not hold the one before would lack what this one leaves to it.
bool Stretch::join(sys_seconds at, const std::vector<std::shared_ptr<Stretch>>& others) {
  auto state = state_.lock();
  if (state->reach.start > at) return false;
  if (std::find(others.begin(), others.end(), state->before.lock()) == others.end()) state->before.reset();
  return true;
}

void Stretch::begin_after(const std::shared_ptr<Stretch>& before, sys_seconds end) {
  auto state = state_.lock();
  if (state->before.lock() != before) return;
  if (end > state->span.start && end < state->span.end) state->span.start = state->reach.start = end;
  state->before.reset();
}

// A device may serve more than it was asked for: what the one before has got shows when it is over, which it should
// be about now.
bool Stretch::waits_for_the_one_before() {
  constexpr seconds at_most{3};
  const auto before = state_.lock()->before.lock();
  if (!before) return false;
  bool over = false;
  Span reach;
  {
    auto other = before->state_.lock();
    over = other->over;
    reach = other->reach;
  }
  if (!over) return access_.clock().wall_now() < WallTime(span().start) + at_most;
  begin_after(before, reach.end);
  return false;
}

std::vector<Footage::Share> Stretch::taken() const {
  {
    auto state = state_.lock();
    if (state->over) return state->taken;
  }
  // Waits for the drive of another capture: nothing at all would be the wrong answer.
  const std::lock_guard driving(driving_);
  if (footage_) return footage_->taken();
  auto state = state_.lock();
  return state->over ? state->taken : std::vector<Footage::Share>{};  // that drive may have been the last one
}

void Stretch::begin_attempt() {
  constexpr seconds just_now{1};  // other captures' attempts count as this one's
  const std::unique_lock driving(driving_, std::try_to_lock);
  if (!driving) return;  // it goes on already
  auto state = state_.lock();
  if (!state->over || state->complete || access_.clock().steady_now() < state->over_at + just_now) return;
  state->over = false;
  state->error.reset();
  footage_.reset();
}

void Stretch::invalidate() {
  auto state = state_.lock();
  state->complete = false;
  state->over_at = {};
}

void Stretch::reject(const Span& part) {
  const std::unique_lock driving(driving_, std::try_to_lock);
  if (!driving || footage_) return;  // it is fetched just now
  auto state = state_.lock();
  const auto begin = std::chrono::duration_cast<media::Micros>(part.start - state->span.start);
  const auto end = std::chrono::duration_cast<media::Micros>(part.end - state->span.start);
  bool any = false;
  for (auto& share : state->taken) {
    for (auto& run : share.taken.runs) {
      std::erase_if(run.segments, [&](const media::TakenSegment& segment) {
        if (segment.time.end() <= begin || end <= segment.time.start) return false;
        any = true;
        // What reaches beyond is footage there, and may be all there is of it.
        const bool is_inside = begin <= segment.time.start && segment.time.end() <= end;
        std::error_code gone;
        if (is_inside) std::filesystem::remove(segment.file, gone);
        return is_inside;
      });
    }
  }
  if (!any) return;
  state->complete = false;
  state->over_at = {};
}

void Stretch::open() {
  FootageRequest request;
  {
    auto state = state_.lock();
    state->opened = true;
    state->before.reset();  // its folder has its start's name, in later attempts as well
    request.start = state->span.start;
    request.duration = state->span.end - state->span.start;
  }
  request.kind = recorder_.kind;
  request.device = recorder_.device;
  request.connection = recorder_.connection;
  request.want_video = recorder_.video;
  request.want_audio = recorder_.audio;
  request.folder = folder_of({request.start, request.start + request.duration});
  request.on_bytes = [this](std::size_t bytes) {
    const Drive* drive = drive_;
    if (drive == nullptr) return;
    drive->claim.add(bytes);
    drive->bytes += bytes;
  };
  request.room = [this] {
    const Drive* drive = drive_;
    return drive != nullptr ? drive->claim.check() : Result<void>{};
  };
  request.on_progress = [this](double settled) {
    const Drive* drive = drive_;
    if (drive != nullptr && drive->on_progress) drive->on_progress(settled);
  };
  request.on_foreseen = [this](std::vector<media::TakenTrack> tracks) {
    const Drive* drive = drive_;
    if (drive == nullptr || !drive->on_foreseen) return;
    for (auto& track : tracks) {
      track.wait_for = [keep = footage_, wait = std::move(track.wait_for)](std::size_t index, std::stop_token stop) {
        return wait(index, std::move(stop));
      };
    }
    drive->on_foreseen(std::move(tracks));
  };
  footage_ = std::make_shared<Footage>(std::move(request), access_);
}

void Stretch::note(const Result<media::Session::Progress>& progress) {
  if (progress && !progress->finished) return;
  // What was fetched is described by the shares: nobody needs the sessions' manifests any more, and the stretch stays
  // for minutes.
  const auto footage = std::exchange(footage_, nullptr);
  auto shares = footage->taken();
  const bool complete = footage->complete();
  const auto covered =
      coverage_of(shares, recorder_.video ? media::TrackKind::video : media::TrackKind::audio).intervals();
  media::Micros length{0};
  for (const auto& interval : covered) length += interval.end - interval.start;
  rates_.learn(recorder_, bytes_on_disk(), std::chrono::floor<seconds>(length));
  auto state = state_.lock();
  state->over = true;
  state->over_at = access_.clock().steady_now();
  state->complete = complete;
  state->taken = std::move(shares);
  state->reach = state->span;
  if (!progress && !complete) state->error = progress.error();
  if (!complete || covered.empty()) return;
  const auto whole = [](media::Micros offset) { return std::chrono::duration_cast<seconds>(offset); };
  state->reach.start = std::min(state->span.start, state->span.start + whole(covered.front().start));
  state->reach.end = std::max(state->span.end, state->span.start + whole(covered.back().end));
}

// While it goes on: whether a capture that needs only a part of it has that.
bool Stretch::has_all_of(const Span& window) const {
  const auto span = this->span();
  const media::Interval part{std::max(window.start, span.start) - span.start,
                             std::min(window.end, span.end) - span.start};
  if (part.end <= part.start || window.end >= span.end) return false;
  const auto shares = footage_->taken();
  const auto has = [&](media::TrackKind kind) {
    return coverage_of(shares, kind).uncovered(part) <= media::rounding;
  };
  const bool names_sound = std::any_of(shares.begin(), shares.end(), [](const auto& share) {
    return std::find(share.taken.kinds.begin(), share.taken.kinds.end(), media::TrackKind::audio) !=
           share.taken.kinds.end();
  });
  return (!recorder_.video || has(media::TrackKind::video)) && (!names_sound || has(media::TrackKind::audio));
}

Stretch::Progress Stretch::advance(const Drive& drive, std::stop_token stop) {
  auto& clock = access_.clock();
  const std::unique_lock driving(driving_, std::try_to_lock);
  if (!driving) return {.over = false, .next_at = clock.wall_now() + look_again, .error = {}};
  {
    auto state = state_.lock();
    if (state->over) return {.over = true, .next_at = {}, .error = state->error};
    // Nothing is asked for that lies in the future altogether: it may yet become longer.
    const WallTime earliest = WallTime(state->span.start) + access_.recording_lag(recorder_.device)->value();
    if (clock.wall_now() < earliest) return {.over = false, .next_at = earliest, .error = {}};
  }
  const auto turn = access_.take_turn(recorder_.device);
  if (!turn) return {.over = false, .next_at = clock.wall_now() + look_again, .error = {}};
  if (!footage_ && waits_for_the_one_before())
    return {.over = false, .next_at = clock.wall_now() + look_again, .error = {}};
  if (!footage_) open();
  drive_ = &drive;
  const auto progress = footage_->advance(std::move(stop));
  drive_ = nullptr;
  note(progress);
  if (progress && !progress->finished && has_all_of(drive.window)) return {.over = true, .next_at = {}, .error = {}};
  if (!progress) return {.over = true, .next_at = {}, .error = progress.error()};
  return {.over = progress->finished, .next_at = progress->next_at, .error = {}};
}

StretchStore::StretchStore(FootageAccess& access, archive::Spool& spool) : access_(access), spool_(spool) {
  std::error_code failed;
  auto entries = entries_.lock();
  for (const auto& device : std::filesystem::directory_iterator(spool_.work(), failed)) {
    const auto recorder = parse_recorder(device.path().filename().string());
    if (!recorder) {
      std::error_code ignored;
      std::filesystem::remove_all(device.path(), ignored);  // of a capture that was cut off
      continue;
    }
    std::error_code unreadable;
    for (const auto& folder : std::filesystem::directory_iterator(device.path(), unreadable)) {
      const auto span = parse_folder_name(folder.path().filename().string());
      if (!span) continue;
      auto stretch = std::make_shared<Stretch>(*recorder, *span, device.path(), access_, rates_, true);
      // Not "now": where the process is started again and again, footage would stay for ever.
      const auto used_at = last_written(folder.path(), access_.clock().wall_now());
      (*entries)[recorder->name()].push_back({std::move(stretch), used_at});
    }
  }
}

std::vector<std::shared_ptr<Stretch>> StretchStore::cover(const Recorder& recorder, Span window) {
  const auto now = access_.clock().wall_now();
  auto held = entries_.lock();
  auto& entries = (*held)[recorder.name()];
  std::vector<std::shared_ptr<Stretch>> chosen;
  for (auto at = window.start; at < window.end;) {
    Entry* best = nullptr;
    Entry* before = nullptr;        // ends where we are
    sys_seconds next = window.end;  // where another begins
    for (auto& entry : entries) {
      const auto reach = entry.stretch->reach();
      if (reach.start > at) next = std::min(next, reach.start);
      if (reach.end == at) before = &entry;
      if (reach.start <= at && reach.end > at && (best == nullptr || reach.end > best->stretch->reach().end))
        best = &entry;
    }
    if (best == nullptr && before != nullptr && before->stretch->extend(next)) best = before;
    if (best == nullptr) {
      auto stretch = std::make_shared<Stretch>(recorder, Span{at, next}, spool_.work() / recorder.name(), access_,
                                               rates_, false);
      // Only one that this capture holds as well: it takes from that one what is not asked for again.
      if (!chosen.empty()) stretch->follow(chosen.back());
      entries.push_back({std::move(stretch), now});
      best = &entries.back();
    }
    if (!best->stretch->join(at, chosen)) continue;
    best->used_at = now;
    if (chosen.empty() || chosen.back() != best->stretch) chosen.push_back(best->stretch);
    at = best->stretch->reach().end;
  }
  return chosen;
}

// What no open capture wants: the bytes that are free now.
std::uint64_t StretchStore::remove_unwanted(Entries& entries, const std::vector<journal::OpenWindow>& open) const {
  const bool in_need = spool_.used() > spool_.max_bytes() / 100 * getting_full_percent;
  const auto now = access_.clock().wall_now();
  std::uint64_t freed = 0;
  for (auto& [recorder, of_recorder] : entries) {
    std::erase_if(of_recorder, [&, &name = recorder](const Entry& entry) {
      const bool in_use = entry.stretch.use_count() > 1;
      const bool kept = !in_need && now < entry.used_at + kept_for;
      if (in_use || kept || !wanted_by(name, entry.stretch->reach(), open).empty()) return false;
      freed += entry.stretch->bytes_on_disk();
      entry.stretch->remove_from_disk();
      return true;
    });
  }
  return freed;
}

// Whether something was removed for it.
bool StretchStore::make_room(Entries& entries, const std::vector<journal::OpenWindow>& open,
                             archive::SpoolShortage shortage) const {
  std::vector<archive::IdleFootage> idle;
  std::vector<std::pair<std::vector<Entry>*, std::shared_ptr<Stretch>>> places;
  for (auto& [recorder, of_recorder] : entries) {
    for (const auto& entry : of_recorder) {
      if (entry.stretch.use_count() > 1) continue;
      archive::IdleFootage one{entry.stretch->bytes_on_disk(), {}, true};
      if (one.bytes == 0) continue;
      for (const auto* window : wanted_by(recorder, entry.stretch->reach(), open)) {
        one.wanted_by.push_back(window->capture);
        one.only_by_published = one.only_by_published && window->has_clip;
      }
      idle.push_back(std::move(one));
      places.emplace_back(&of_recorder, entry.stretch);
    }
  }
  const auto chosen = archive::choose_evictions(idle, shortage);
  for (const auto place : chosen) {
    const auto& [of_recorder, stretch] = places[place];
    spdlog::info("spool: {} MiB of footage removed to make room; it is fetched again when it is needed",
                 idle[place].bytes >> 20U);
    stretch->remove_from_disk();
    std::erase_if(*of_recorder, [gone = stretch.get()](const Entry& entry) { return entry.stretch.get() == gone; });
  }
  return !chosen.empty();
}

void StretchStore::tidy(const std::vector<journal::OpenWindow>& open) {
  auto held = entries_.lock();
  const auto freed = remove_unwanted(*held, open);
  auto shortage = spool_.take_shortage();
  shortage.bytes -= std::min(shortage.bytes, freed);
  const bool made_room = shortage.bytes > 0 && make_room(*held, open, shortage);
  for (const auto& [recorder, entries] : *held) {
    std::error_code not_empty;
    if (entries.empty()) std::filesystem::remove(spool_.work() / recorder, not_empty);
  }
  std::erase_if(*held, [](const auto& one) { return one.second.empty(); });
  if (freed > 0 || made_room) spool_.measure();
}

}  // namespace responder::capture
