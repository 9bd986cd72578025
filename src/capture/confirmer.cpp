#include "responder/capture/confirmer.hpp"

#include <algorithm>
#include <map>
#include <thread>

#include <spdlog/spdlog.h>

#include "responder/base/synchronized.hpp"
#include "responder/base/time_text.hpp"
#include "responder/rhombus/directory.hpp"
#include "responder/rhombus/presence_book.hpp"

namespace responder::capture {
namespace {

using journal::PresenceState;
using rhombus::Presence;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds asked_again_after{60};     // of one camera
constexpr milliseconds waited_for{2000};     // by a capture
constexpr milliseconds look_interval{5000};  // at clips that are pending
constexpr std::chrono::hours unknown_after{1};
constexpr std::size_t most_at_once = 2000;  // clips that are looked at
// One question is asked of a camera's past hour, or past day, so that it serves its other captures as well.
constexpr std::chrono::hours past_hour{1}, past_day{25};

Presence hull(const Presence& a, const Presence& b) { return {std::min(a.start, b.start), std::max(a.end, b.end)}; }

// What the clip calls a gap already is no news.
bool names_as_gap(const journal::Journal::Unconfirmed& clip, const Presence& missing) {
  constexpr seconds edges{1};
  return std::any_of(clip.gaps.begin(), clip.gaps.end(), [&](const journal::Gap& gap) {
    return gap.start <= WallTime(missing.start) + edges && WallTime(missing.end) <= gap.end + edges;
  });
}

}  // namespace

struct Confirmer::Impl {
  struct State {
    std::map<DeviceId, Presence> wanted;           // by camera: the time to ask about next
    std::map<DeviceId, SteadyTime> asked_at;       // by camera: when it was last asked about
    std::map<DeviceId, SteadyTime> in_vain_since;  // by camera: since when there is no usable answer
    std::optional<DeviceId> asking;                // the camera that is asked about just now
    bool over = true;                              // there is no thread
  };

  const Confirm confirm;
  rhombus::ApiClient& api;
  journal::Journal reading;
  journal::Writer& writer;
  Clock& clock;
  Wake wake;
  rhombus::PresenceBook book;
  Synchronized<State> state;
  std::stop_source stopping;
  std::thread thread;

  Impl(Confirm confirm_, rhombus::ApiClient& api_, journal::Journal reading_, journal::Writer& writer_, Clock& clock_)
      : confirm(confirm_), api(api_), reading(std::move(reading_)), writer(writer_), clock(clock_) {}

  // By the clock of who made the list.
  WallTime now() const { return api.their_time().value_or(clock.wall_now()); }

  bool want(const DeviceId& camera, Presence window);
  void ask_soon(const DeviceId& camera, Presence window, std::stop_token stop);
  void run();
  bool is_asked_in_vain(const DeviceId& camera);
  void ask_what_is_wanted();
  void ask(const DeviceId& camera, Presence wanted);
  void look_at_pending();
  void settle(const journal::Journal::Unconfirmed& clip, const std::vector<Presence>& missing);
  void note(const journal::Journal::Unconfirmed& clip, PresenceState presence);
};

// Has the thread ask about that time. False: it has asked about the camera within the last minute, or has ended.
bool Confirmer::Impl::want(const DeviceId& camera, Presence window) {
  const auto device = rhombus::without_facet(camera);
  {
    auto held = state.lock();
    if (held->over) return false;
    const auto asked = held->asked_at.find(device);
    if (asked != held->asked_at.end() && clock.steady_now() < asked->second + asked_again_after)
      return held->asking == device;
    const auto [entry, is_new] = held->wanted.try_emplace(device, window);
    if (!is_new) entry->second = hull(entry->second, window);
  }
  state.notify_all();
  return true;
}

// Waits for the answer, if it is to be asked now, two seconds at most.
void Confirmer::Impl::ask_soon(const DeviceId& camera, Presence window, std::stop_token stop) {
  if (!want(camera, window)) return;
  const auto device = rhombus::without_facet(camera);
  auto held = state.lock();
  held.wait_for(std::move(stop), waited_for,
                [&] { return held->over || (held->asking != device && !held->wanted.contains(device)); });
}

void Confirmer::Impl::ask_what_is_wanted() {
  while (!stopping.stop_requested()) {
    std::optional<std::pair<DeviceId, Presence>> next;
    {
      auto held = state.lock();
      if (held->wanted.empty()) return;
      next = *held->wanted.begin();
      held->wanted.erase(held->wanted.begin());
      held->asked_at[next->first] = clock.steady_now();
      held->asking = next->first;
    }
    ask(next->first, next->second);
    state.lock()->asking.reset();
    state.notify_all();
  }
}

void Confirmer::Impl::ask(const DeviceId& camera, Presence wanted) {
  const auto current = std::chrono::floor<seconds>(now());
  if (wanted.end > current - past_day) {
    const auto past = wanted.start < current - past_hour ? past_day : past_hour;
    wanted = hull(wanted, {current - past, current});
  }
  const auto held = api.presence(camera, wanted.start, wanted.end - wanted.start, stopping.get_token());
  if (held && *held) {
    state.lock()->in_vain_since.erase(camera);
    return book.note(camera, wanted, **held, now());
  }
  state.lock()->in_vain_since.try_emplace(camera, clock.steady_now());
  spdlog::debug("it is not known which footage of {} exists: {}", camera.str(),
                held ? "Rhombus's answer does not say" : held.error().message);
}

void Confirmer::Impl::note(const journal::Journal::Unconfirmed& clip, PresenceState presence) {
  writer.submit(
      [id = clip.id, sha256 = clip.sha256, presence](journal::Journal& journal) -> Result<void> {
        const auto set = journal.set_presence(id, sha256, presence);
        return set ? Result<void>{} : set.error();
      },
      [](const Result<void>& written) {
        if (!written) spdlog::warn("what Rhombus says of a clip is not written down: {}", written.error().message);
      });
}

// Whether Rhombus has given no usable answer about a camera for an hour.
bool Confirmer::Impl::is_asked_in_vain(const DeviceId& camera) {
  auto held = state.lock();
  const auto since = held->in_vain_since.find(rhombus::without_facet(camera));
  return since != held->in_vain_since.end() && clock.steady_now() - since->second > unknown_after;
}

void Confirmer::Impl::settle(const journal::Journal::Unconfirmed& clip, const std::vector<Presence>& missing) {
  if (std::all_of(missing.begin(), missing.end(), [&](const Presence& one) { return names_as_gap(clip, one); }))
    return note(clip, PresenceState::confirmed);
  bool doubted = false;
  const auto written = writer.run([&](journal::Journal& journal) -> Result<void> {
    const auto done = journal.doubt(clip.id, clip.sha256, clock.wall_now());
    doubted = done && *done;
    return done ? Result<void>{} : done.error();
  });
  if (!written) return spdlog::warn("capture {}: not put back in line: {}", clip.id, written.error().message);
  if (!doubted) return;
  spdlog::warn("camera {}: Rhombus has no footage of a part of the {} s from {}: the clip is made anew",
               clip.camera.str(), (clip.window_end - clip.window_start).count(),
               format_rfc3339(WallTime(clip.window_start)));
  wake(clip.id);
}

void Confirmer::Impl::look_at_pending() {
  const auto clips = reading.unconfirmed(most_at_once);
  if (!clips) return spdlog::warn("clips wait to be confirmed: {}", clips.error().message);
  const auto current = now();
  for (const auto& clip : *clips) {
    if (stopping.stop_requested()) return;
    if (confirm == Confirm::off) {
      note(clip, PresenceState::off);
      continue;
    }
    const Presence window{clip.window_start, clip.window_end};
    if (current < WallTime(clip.window_end) + book.lag(clip.camera)) continue;
    if (const auto missing = book.missing(clip.camera, window, current)) {
      settle(clip, *missing);
    } else if (is_asked_in_vain(clip.camera)) {
      note(clip, PresenceState::unknown);
    } else {
      want(clip.camera, window);
    }
  }
}

void Confirmer::Impl::run() {
  const auto stop = stopping.get_token();
  while (!stop.stop_requested()) {
    look_at_pending();
    ask_what_is_wanted();
    auto held = state.lock();
    held.wait_for(stop, look_interval, [&] { return !held->wanted.empty(); });
  }
}

Confirmer::Confirmer(Confirm confirm, rhombus::ApiClient& api, journal::Journal reading, journal::Writer& writer,
                     Clock& clock)
    : impl_(std::make_unique<Impl>(confirm, api, std::move(reading), writer, clock)) {}

Confirmer::~Confirmer() { stop(); }

void Confirmer::start(Wake wake) {
  impl_->wake = std::move(wake);
  impl_->state.lock()->over = false;
  impl_->thread = std::thread([loop = impl_.get()] { loop->run(); });
}

void Confirmer::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopping.request_stop();
  impl_->state.lock()->over = true;
  impl_->state.notify_all();
  impl_->thread.join();
}

std::optional<std::vector<Presence>> Confirmer::missing_by_now(const DeviceId& camera, Presence window,
                                                               std::stop_token stop) {
  if (!impl_->book.is_fresh(camera, window, impl_->now())) impl_->ask_soon(camera, window, std::move(stop));
  if (!impl_->book.is_fresh(camera, window, impl_->now())) return std::nullopt;
  return impl_->book.missing(camera, window, impl_->now());
}

Confirmer::Verdict Confirmer::judge(const DeviceId& camera, rhombus::Route route, Presence window,
                                    std::stop_token stop) {
  const bool asks =
      impl_->confirm == Confirm::all || (impl_->confirm == Confirm::wan && route != rhombus::Route::lan);
  if (!asks) return {PresenceState::off, {}};
  if (impl_->now() < WallTime(window.end) + impl_->book.lag(camera)) return {PresenceState::pending, {}};
  auto missing = impl_->book.missing(camera, window, impl_->now());
  if (!missing) {
    impl_->ask_soon(camera, window, std::move(stop));
    missing = impl_->book.missing(camera, window, impl_->now());
  }
  if (!missing) return {PresenceState::pending, {}};
  return {PresenceState::confirmed, std::move(*missing)};
}

}  // namespace responder::capture
