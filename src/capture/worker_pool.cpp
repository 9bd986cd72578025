#include "responder/capture/worker_pool.hpp"

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>

#include <concurrentqueue/concurrentqueue.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/outage.hpp"
#include "responder/base/text.hpp"
#include "responder/capture/retry_policy.hpp"

namespace responder::capture {
namespace {

using journal::CaptureId;
using std::chrono::milliseconds;

constexpr milliseconds scan_interval{1000};
constexpr std::chrono::seconds lease_for{20};
constexpr std::chrono::seconds renew_interval{5};
constexpr std::chrono::seconds tidy_interval{5};
constexpr milliseconds stands_still_after{1000};
constexpr std::uint64_t least_bytes_to_move = 32 * 1024;  // in that time
constexpr std::size_t most_lent = 12;                     // places of steps that stand still

}  // namespace

struct WorkerPool::Impl {
  // Where each known capture is. A capture is in exactly one place: queued, in a worker's hands, or waiting for its
  // time.
  struct Entry {
    std::unique_ptr<Capture> capture;  // empty while queued for the first time and while a worker has it
    bool live = false;
    bool grown = false;  // its row has a longer window than the capture knows
  };
  struct Known {
    std::unordered_map<CaptureId, Entry> captures;
    std::set<std::pair<SteadyTime, CaptureId>> timers;
    std::size_t caught_up = 0;  // of the captures, those that are not live
  };
  // A step that a worker takes.
  struct Running {
    const Capture* capture = nullptr;
    std::uint64_t bytes = 0;
    SteadyTime moved_at;
    bool lent = false;  // it stands still: another may run in its place
  };
  // Who may run. `queued` are the ids in the queues.
  struct Places {
    std::size_t queued_live = 0;
    std::size_t queued_others = 0;
    std::size_t running = 0;
    std::size_t lent = 0;
    std::size_t others = 0;  // of the running, those not live
    std::map<CaptureId, Running> steps;
    bool over = false;
  };

  const PoolOptions options;
  Environment& environment;
  journal::Writer& writer;
  journal::Journal reader;
  const std::function<void()> clip_is_ready;
  const Observer observer;

  Synchronized<Known> known;
  moodycamel::ConcurrentQueue<CaptureId> live_queue;
  moodycamel::ConcurrentQueue<CaptureId> other_queue;
  Synchronized<Places> places;
  Outage no_room;  // of the scheduler
  std::stop_source stopping;
  std::vector<std::thread> workers;
  std::thread scheduler;
  // Alone: when the scheduler last came round.
  std::atomic<SteadyTime::rep> turned_at{0};

  Impl(PoolOptions options_, Environment& environment_, journal::Writer& writer_, journal::Journal reader_,
       std::function<void()> clip_is_ready_, Observer observer_)
      : options(std::move(options_)),
        environment(environment_),
        writer(writer_),
        reader(std::move(reader_)),
        clip_is_ready(std::move(clip_is_ready_)),
        observer(std::move(observer_)) {}

  void wake(CaptureId id, bool live);
  void enqueue(CaptureId id, bool live);
  void work();
  std::optional<std::pair<CaptureId, bool>> next();
  void take_step(CaptureId id);
  Step step(Capture& capture);
  std::unique_ptr<Capture> claim(CaptureId id);
  std::unique_ptr<Capture> take(CaptureId id);
  void forget(CaptureId id);
  void record(Capture& capture, Step step);
  bool write_down(const Capture& capture, const journal::Writer::Work& change);
  std::optional<WallTime> next_attempt(const Error& why, int attempt);
  static int attempt_of(const Postponed& postponed, const journal::Capture& row);
  void put_ready(const Capture& capture, Ready ready);
  void finish(const Capture& capture, Finished finished);
  void postpone(const Capture& capture, const Postponed& postponed);
  void schedule();
  SteadyTime timer_for(WallTime at) const;
  void wake_timers();
  void scan();
  void renew();
  void tidy();
  void report_room();
  void lend_places();
};

// For the growing pauses between attempts. Who only waits for room has not failed: a turn comes soon, what a person
// has to mend comes later.
int WorkerPool::Impl::attempt_of(const Postponed& postponed, const journal::Capture& row) {
  constexpr int soon = 1, later = 2;
  if (!postponed.no_room || postponed.error.kind != ErrorKind::no_space) return row.attempts + 1;
  return *postponed.no_room == archive::SpoolRefusal::Cause::queueing ? soon : later;
}

void WorkerPool::Impl::wake(CaptureId id, bool live) {
  {
    auto held = known.lock();
    if (const auto found = held->captures.find(id); found != held->captures.end()) {
      found->second.grown = true;
      return;
    }
    // What does not fit stays a row; the scan finds it when there is room.
    if (held->captures.size() >= options.max_active || (!live && held->caught_up >= options.max_active / 2)) return;
    Entry entry;
    entry.live = live;
    held->captures.emplace(id, std::move(entry));
    if (!live) ++held->caught_up;
  }
  enqueue(id, live);
}

void WorkerPool::Impl::enqueue(CaptureId id, bool live) {
  (live ? live_queue : other_queue).enqueue(id);
  {
    auto held = places.lock();
    ++(live ? held->queued_live : held->queued_others);
  }
  places.notify_one();  // all workers wait for the same
}

// Waits for something to do and a place to do it in. nullopt: the pool ends.
std::optional<std::pair<CaptureId, bool>> WorkerPool::Impl::next() {
  auto held = places.lock();
  const auto has_place = [&] { return held->running - held->lent < options.workers; };
  // One place stays free for what is live.
  const auto others_may = [&] { return held->others < std::max<std::size_t>(1, options.workers - 1) + held->lent; };
  held.wait({}, [&] {
    return held->over || (has_place() && (held->queued_live > 0 || (held->queued_others > 0 && others_may())));
  });
  if (held->queued_live + held->queued_others == 0) return std::nullopt;
  const bool live = held->queued_live > 0;
  --(live ? held->queued_live : held->queued_others);
  ++held->running;
  if (!live) ++held->others;
  CaptureId id = 0;
  // It was queued before it was counted.
  while (!(live ? live_queue : other_queue).try_dequeue(id)) std::this_thread::yield();
  return std::pair(id, live);
}

void WorkerPool::Impl::work() {
  while (const auto taken = next()) {
    take_step(taken->first);
    {
      auto held = places.lock();
      --held->running;
      if (!taken->second) --held->others;
    }
    places.notify_one();
  }
}

std::unique_ptr<Capture> WorkerPool::Impl::claim(CaptureId id) {
  std::optional<journal::Capture> row;
  const auto claimed = writer.run([&](journal::Journal& journal) -> Result<void> {
    const auto now = environment.clock.wall_now();
    auto taken = journal.claim(id, options.owner, now, now + lease_for);
    if (!taken) return taken.error();
    row = std::move(*taken);
    return {};
  });
  if (!claimed) spdlog::error("capture {}: {}", id, claimed.error().message);
  if (!claimed || !row) return nullptr;
  return std::make_unique<Capture>(std::move(*row), environment);
}

// The capture itself, with what has been learnt of its alert meanwhile.
std::unique_ptr<Capture> WorkerPool::Impl::take(CaptureId id) {
  std::unique_ptr<Capture> capture;
  bool grown = false;
  {
    auto held = known.lock();
    if (const auto found = held->captures.find(id); found != held->captures.end()) {
      capture = std::move(found->second.capture);
      grown = std::exchange(found->second.grown, false);
    }
  }
  if (!capture) return stopping.stop_requested() ? nullptr : claim(id);
  if (!grown) return capture;
  std::optional<std::chrono::sys_seconds> end;
  const auto read = writer.run([&](journal::Journal& journal) -> Result<void> {
    auto found = journal.window_end(id);
    if (found) end = *found;
    return found ? Result<void>{} : found.error();
  });
  if (read && end) capture->extend(*end);
  return capture;
}

void WorkerPool::Impl::forget(CaptureId id) {
  auto held = known.lock();
  const auto found = held->captures.find(id);
  if (found == held->captures.end()) return;
  if (!found->second.live) --held->caught_up;
  held->captures.erase(found);
}

Step WorkerPool::Impl::step(Capture& capture) {
  if (stopping.stop_requested())
    return Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  places.lock()->steps[capture.row().id] = {&capture, capture.progress(), environment.clock.steady_now(), false};
  auto taken = capture.step(stopping.get_token());
  auto held = places.lock();
  const auto running = held->steps.find(capture.row().id);
  if (running->second.lent) --held->lent;
  held->steps.erase(running);
  return taken;
}

void WorkerPool::Impl::take_step(CaptureId id) {
  auto capture = take(id);
  if (!capture) return forget(id);
  Step taken = step(*capture);
  if (stopping.stop_requested() && std::holds_alternative<Waiting>(taken))
    taken = Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}};
  if (const auto* waiting = std::get_if<Waiting>(&taken)) {
    auto held = known.lock();
    held->captures[id].capture = std::move(capture);
    held->timers.emplace(timer_for(waiting->at), id);
    known.notify_all();
    return;
  }
  record(*capture, std::move(taken));
  capture.reset();
  forget(id);
}

// Steps without progress give their place to others for as long as they stand still.
void WorkerPool::Impl::lend_places() {
  bool lent = false;
  {
    auto held = places.lock();
    const auto now = environment.clock.steady_now();
    for (auto& [id, running] : held->steps) {
      const auto bytes = running.capture->progress();
      if (bytes >= running.bytes + least_bytes_to_move) {
        running.bytes = bytes;
        running.moved_at = now;
        if (std::exchange(running.lent, false)) --held->lent;
      } else if (!running.lent && now - running.moved_at >= stands_still_after && held->lent < most_lent) {
        running.lent = true;
        ++held->lent;
        lent = true;
      }
    }
  }
  if (lent) places.notify_all();
}

void WorkerPool::Impl::record(Capture& capture, Step step) {
  if (auto* ready = std::get_if<Ready>(&step)) return put_ready(capture, std::move(*ready));
  if (auto* finished = std::get_if<Finished>(&step)) return finish(capture, std::move(*finished));
  postpone(capture, std::get<Postponed>(step));
}

// The end of an attempt, written until it is: while the journal cannot be written nothing else could go on either. At
// a stop the row keeps its lease, which the next start gives back.
bool WorkerPool::Impl::write_down(const Capture& capture, const journal::Writer::Work& change) {
  constexpr milliseconds pause{2000};
  while (true) {
    const auto written = writer.run(change);
    if (written) return true;
    spdlog::error("{}: not written down: {}", label(capture.row()), written.error().message);
    if (!environment.clock.sleep(pause, stopping.get_token())) return false;
  }
}

std::optional<WallTime> WorkerPool::Impl::next_attempt(const Error& why, int attempt) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto delay = retry_delay(why, attempt, std::uniform_real_distribution<>(0, 1)(random));
  if (!delay) return std::nullopt;
  return environment.clock.wall_now() + *delay;
}

void WorkerPool::Impl::put_ready(const Capture& capture, Ready ready) {
  const auto& row = capture.row();
  if (ready.try_again) ready.clip.next_attempt_at = next_attempt(*ready.try_again, row.attempts + 1);
  const bool written = write_down(capture, [&](journal::Journal& journal) {
    return journal.ready(row.id, options.owner, ready.clip, environment.clock.wall_now());
  });
  if (written) clip_is_ready();
}

void WorkerPool::Impl::finish(const Capture& capture, Finished finished) {
  const auto& row = capture.row();
  const auto now = environment.clock.wall_now();
  auto& outcome = finished.outcome;
  if (finished.try_again) outcome.next_attempt_at = next_attempt(*finished.try_again, row.attempts + 1);
  const bool written = write_down(
      capture, [&](journal::Journal& journal) { return journal.finish(row.id, options.owner, outcome, now); });
  if (!written) return;
  if (!outcome.next_attempt_at) observer(outcome.state, now - row.received_at);
  spdlog::warn("{} on {}: {}: {}", label(row), row.camera.str(), to_string(outcome.state), outcome.reason);
}

void WorkerPool::Impl::postpone(const Capture& capture, const Postponed& postponed) {
  const auto& row = capture.row();
  const auto& error = postponed.error;
  const auto next = next_attempt(error, attempt_of(postponed, row));
  const auto now = environment.clock.wall_now();
  if (!next) {
    const bool has_clip = row.published && row.published->damage != journal::Damage::missing;
    const auto state = has_clip ? journal::State::partial : journal::State::failed;
    return finish(capture, {{.state = state,
                             .reason = error.message,
                             .camera_name = "",
                             .published = {},
                             .next_attempt_at = {},
                             .window_end = row.window_end},
                            std::nullopt});
  }
  const bool counts = error.kind != ErrorKind::cancelled && error.kind != ErrorKind::no_space;
  const bool written = write_down(capture, [&](journal::Journal& journal) {
    return journal.postpone(row.id, options.owner, error.message, *next, counts, now);
  });
  if (!written || error.kind == ErrorKind::cancelled) return;
  // What many captures wait for is said once for all of them; and of one capture, nothing is said twice.
  const bool is_said = postponed.no_room || environment.api_is_away() || error.message == row.reason;
  spdlog::log(is_said ? spdlog::level::debug : spdlog::level::warn, "{} on {}: {}; next attempt in {} s", label(row),
              row.camera.str(), error.message, std::chrono::ceil<std::chrono::seconds>(*next - now).count());
}

// The wall clock may be set while a capture waits for it: it looks again after a while, whatever that says.
SteadyTime WorkerPool::Impl::timer_for(WallTime at) const {
  constexpr milliseconds longest{30'000};
  const auto wait = std::clamp<milliseconds>(at - environment.clock.wall_now(), milliseconds(0), longest);
  return environment.clock.steady_now() + wait;
}

void WorkerPool::Impl::wake_timers() {
  std::vector<std::pair<CaptureId, bool>> due;
  {
    auto held = known.lock();
    const auto now = environment.clock.steady_now();
    while (!held->timers.empty() && held->timers.begin()->first <= now) {
      const auto id = held->timers.begin()->second;
      due.emplace_back(id, held->captures[id].live);
      held->timers.erase(held->timers.begin());
    }
  }
  for (const auto& [id, live] : due) enqueue(id, live);
}

void WorkerPool::Impl::scan() {
  const auto due = reader.due(environment.clock.wall_now(), options.max_active);
  if (!due) {
    spdlog::error("cannot look for due captures: {}", due.error().message);
    return;
  }
  for (const auto& one : *due) {
    // A row that is claimed just now is in our hands and not due any more.
    const bool ours = known.lock()->captures.contains(one.id);
    if (!ours) wake(one.id, one.live);
  }
}

void WorkerPool::Impl::renew() {
  writer.submit(
      [this](journal::Journal& journal) {
        constexpr std::chrono::hours near_enough{1};  // as far ahead as an alert is taken in
        const auto now = environment.clock.wall_now();
        if (auto revived = journal.revive_future(now + near_enough, now); !revived) return revived;
        return journal.renew_leases(options.owner, now + lease_for);
      },
      [](const Result<void>& renewed) {
        if (!renewed) spdlog::error("leases not renewed: {}", renewed.error().message);
      });
}

void WorkerPool::Impl::tidy() {
  environment.spool.measure();
  // Nothing is removed on a guess.
  if (const auto open = reader.open_windows()) environment.stretches.tidy(*open);
}

// That captures wait for room is said once for all of them, and only where somebody has to do something.
void WorkerPool::Impl::report_room() {
  const auto room = environment.spool.check_room();
  const auto now = environment.clock.steady_now();
  if (!room) {
    if (no_room.note_failing(now)) spdlog::warn("new captures wait: {}", room.error().message);
  } else if (const auto lasted = no_room.note_working(now)) {
    spdlog::info("the spool has room again: captures had to wait for {} s", lasted->count());
  }
}

void WorkerPool::Impl::schedule() {
  const auto stop = stopping.get_token();
  auto& clock = environment.clock;
  SteadyTime next_scan = clock.steady_now();
  SteadyTime next_renewal = clock.steady_now() + renew_interval;
  SteadyTime next_tidy = clock.steady_now();
  while (!stop.stop_requested()) {
    const auto now = clock.steady_now();
    turned_at.store(now.time_since_epoch().count());
    if (now >= next_scan) {
      scan();
      lend_places();
      report_room();
      if (environment.spool.is_short()) next_tidy = now;
      next_scan = now + scan_interval;
    }
    if (now >= next_renewal) {
      renew();
      next_renewal = now + renew_interval;
    }
    if (now >= next_tidy) {
      tidy();
      // It looks at all that waits: that is to stay a small part of the time, however much there is.
      constexpr int share = 50;
      next_tidy = now + std::max<SteadyTime::duration>(tidy_interval, share * (clock.steady_now() - now));
    }
    wake_timers();
    auto held = known.lock();
    const auto first = held->timers.empty() ? SteadyTime::max() : held->timers.begin()->first;
    const auto timer = std::chrono::ceil<milliseconds>(std::min(next_scan, first) - clock.steady_now());
    if (timer <= milliseconds(0)) continue;
    // Woken early by a timer that is due before the one waited for.
    held.wait_for(stop, timer, [&] { return !held->timers.empty() && held->timers.begin()->first < first; });
  }
}

WorkerPool::WorkerPool(PoolOptions options, Environment& environment, journal::Writer& writer,
                       journal::Journal reader, std::function<void()> clip_is_ready, Observer observer)
    : impl_(std::make_unique<Impl>(std::move(options), environment, writer, std::move(reader),
                                   std::move(clip_is_ready), std::move(observer))) {
  const std::size_t threads = std::max<std::size_t>(1, impl_->options.workers) + most_lent;
  for (std::size_t i = 0; i < threads; ++i) impl_->workers.emplace_back([loop = impl_.get()] { loop->work(); });
  impl_->turned_at.store(impl_->environment.clock.steady_now().time_since_epoch().count());
  impl_->scheduler = std::thread([loop = impl_.get()] { loop->schedule(); });
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::wake(CaptureId id, bool live) { impl_->wake(id, live); }

bool WorkerPool::turns() const {
  constexpr std::chrono::seconds longest_turn{60};  // it looks at a spool that may be large, on a disk that is busy
  const auto age = impl_->environment.clock.steady_now().time_since_epoch().count() - impl_->turned_at.load();
  return SteadyTime::duration(age) < longest_turn;
}

std::size_t WorkerPool::queue_depth() const {
  return impl_->live_queue.size_approx() + impl_->other_queue.size_approx();
}

std::vector<RunningCapture> WorkerPool::running() const {
  std::vector<RunningCapture> running;
  auto held = impl_->places.lock();
  for (const auto& [id, step] : held->steps) running.push_back({id, step.capture->taken_share()});
  return running;
}

void WorkerPool::stop() {
  if (!impl_->scheduler.joinable()) return;
  impl_->stopping.request_stop();
  impl_->scheduler.join();
  std::vector<CaptureId> waiting;
  {
    // Those that wait for their camera are given back as well.
    auto held = impl_->known.lock();
    for (const auto& [at, id] : held->timers) waiting.push_back(id);
    held->timers.clear();
  }
  for (const auto id : waiting) impl_->enqueue(id, true);
  impl_->places.lock()->over = true;
  impl_->places.notify_all();
  for (auto& worker : impl_->workers) worker.join();
}

}  // namespace responder::capture
