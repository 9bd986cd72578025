#include "responder/capture/stretch.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::capture {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr milliseconds look_again{100};        // at what another capture drives just now
constexpr std::chrono::minutes kept_for{10};   // after its last use: the next alert of a burst
constexpr std::uint64_t nearly_full_percent = 80;

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

std::optional<Recorder> parse_recorder(std::string_view name) {
  const auto plus = name.find('+');
  if (plus == std::string_view::npos || !is_safe_id(name.substr(0, plus))) return std::nullopt;
  const auto what = name.substr(plus);
  Recorder recorder;
  recorder.device = DeviceId(std::string(name.substr(0, plus)));
  recorder.video = what != only_audio;
  recorder.audio = what != only_video;
  recorder.kind = recorder.video ? rhombus::DeviceKind::camera : rhombus::DeviceKind::audio_gateway;
  return recorder;
}

}  // namespace

std::string Recorder::name() const {
  return device.str() + std::string(!audio ? only_video : (video ? both : only_audio));
}

Stretch::Stretch(Recorder recorder, Span span, std::filesystem::path folder, FootageAccess& access,
                 archive::Spool& spool)
    : recorder_(std::move(recorder)), folder_(std::move(folder)), access_(access), spool_(spool) {
  state_.lock()->span = span;
}

Span Stretch::span() const { return state_.lock()->span; }

bool Stretch::extend(sys_seconds end) {
  auto state = state_.lock();
  if (state->opened) return false;
  state->span.end = end;
  return true;
}

std::vector<Footage::Share> Stretch::taken() const { return state_.lock()->taken; }

void Stretch::begin_attempt() {
  const std::unique_lock driving(driving_, std::try_to_lock);
  if (!driving) return;  // it goes on already
  auto state = state_.lock();
  if (!state->over || state->complete) return;
  state->over = false;
  state->error.reset();
  footage_.reset();
}

void Stretch::open() {
  FootageRequest request;
  {
    auto state = state_.lock();
    state->opened = true;
    request.start = state->span.start;
    request.duration = state->span.end - state->span.start;
  }
  request.kind = recorder_.kind;
  request.device = recorder_.device;
  request.want_video = recorder_.video;
  request.want_audio = recorder_.audio;
  request.folder = folder_ / folder_name({request.start, request.start + request.duration});
  request.on_bytes = [this](std::size_t bytes) {
    spool_.add(bytes);
    if (const Drive* drive = drive_) drive->bytes += bytes;
  };
  request.room = [this] { return spool_.check_room(); };
  request.on_foreseen = [this](media::TakenTrack track) {
    const Drive* drive = drive_;
    if (drive == nullptr || !drive->on_foreseen) return;
    track.wait_for = [keep = footage_, wait = std::move(track.wait_for)](std::size_t index, std::stop_token stop) {
      return wait(index, std::move(stop));
    };
    drive->on_foreseen(std::move(track));
  };
  footage_ = std::make_shared<Footage>(std::move(request), access_);
}

void Stretch::note(const Result<media::Session::Progress>& progress) {
  if (progress && !progress->finished) return;
  auto shares = footage_->taken();
  const bool complete = footage_->complete();
  auto state = state_.lock();
  state->over = true;
  state->complete = complete;
  state->taken = std::move(shares);
  if (!progress) state->error = progress.error();
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
  if (!footage_) open();
  drive_ = &drive;
  const auto progress = footage_->advance(std::move(stop));
  drive_ = nullptr;
  note(progress);
  if (!progress) return {.over = true, .next_at = {}, .error = progress.error()};
  return {.over = progress->finished, .next_at = progress->next_at, .error = {}};
}

StretchStore::StretchStore(FootageAccess& access, archive::Spool& spool) : access_(access), spool_(spool) {
  std::error_code failed;
  auto entries = entries_.lock();
  for (const auto& device : std::filesystem::directory_iterator(spool_.work(), failed)) {
    const auto recorder = parse_recorder(device.path().filename().string());
    if (!recorder) continue;
    std::error_code unreadable;
    for (const auto& folder : std::filesystem::directory_iterator(device.path(), unreadable)) {
      const auto span = parse_folder_name(folder.path().filename().string());
      if (!span) continue;
      auto stretch = std::make_shared<Stretch>(*recorder, *span, device.path(), access_, spool_);
      (*entries)[recorder->name()].push_back({std::move(stretch), access_.clock().wall_now()});
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
    Entry* before = nullptr;       // ends where we are
    sys_seconds next = window.end;  // where another begins
    for (auto& entry : entries) {
      const auto span = entry.stretch->span();
      if (span.start > at) next = std::min(next, span.start);
      if (span.end == at) before = &entry;
      if (span.start <= at && span.end > at && (best == nullptr || span.end > best->stretch->span().end))
        best = &entry;
    }
    if (best == nullptr && before != nullptr && before->stretch->extend(next)) best = before;
    if (best == nullptr) {
      entries.push_back({std::make_shared<Stretch>(recorder, Span{at, next}, spool_.work() / recorder.name(), access_,
                                                   spool_),
                         now});
      best = &entries.back();
    }
    best->used_at = now;
    if (chosen.empty() || chosen.back() != best->stretch) chosen.push_back(best->stretch);
    at = best->stretch->span().end;
  }
  return chosen;
}

bool StretchStore::may_go(const std::string& recorder, const Entry& entry,
                          const std::vector<journal::OpenWindow>& open, bool in_need) const {
  if (entry.stretch.use_count() > 1) return false;
  if (in_need) return true;
  if (access_.clock().wall_now() < entry.used_at + kept_for) return false;
  const auto span = entry.stretch->span();
  const auto device = recorder.substr(0, recorder.find('+'));
  const bool sound_only = recorder.ends_with(only_audio) && !recorder.ends_with(both);
  return std::none_of(open.begin(), open.end(), [&](const journal::OpenWindow& window) {
    return (sound_only || window.camera.str() == device) && span.overlaps({window.start, window.end});
  });
}

void StretchStore::tidy(const std::vector<journal::OpenWindow>& open) {
  const bool in_need = spool_.used() > spool_.max_bytes() / 100 * nearly_full_percent;
  bool removed = false;
  auto held = entries_.lock();
  for (auto& [recorder, entries] : *held) {
    std::erase_if(entries, [&, &name = recorder](const Entry& entry) {
      if (!may_go(name, entry, open, in_need)) return false;
      std::error_code failed;
      const auto folder = entry.stretch->folder() / folder_name(entry.stretch->span());
      std::filesystem::remove_all(folder, failed);
      if (failed) spdlog::warn("spool: cannot remove {}: {}", folder.string(), failed.message());
      removed = true;
      return true;
    });
    std::error_code not_empty;
    if (entries.empty()) std::filesystem::remove(spool_.work() / recorder, not_empty);
  }
  std::erase_if(*held, [](const auto& one) { return one.second.empty(); });
  if (removed) spool_.measure();
}

}  // namespace responder::capture
