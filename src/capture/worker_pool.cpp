#include "responder/capture/worker_pool.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"
#include "responder/capture/retry_policy.hpp"

namespace responder::capture {
namespace {

using journal::CaptureId;
using std::chrono::milliseconds;

constexpr CaptureId end_of_work = 0;  // SQLite's ids begin at 1
constexpr milliseconds scan_interval{1000};
constexpr std::chrono::seconds lease_for{20};
constexpr std::chrono::seconds renew_interval{5};

}  // namespace

struct WorkerPool::Impl {
  // Where each known capture is. A capture is in exactly one place: queued, in a worker's hands, or waiting for its
  // time.
  struct Known {
    // Empty while queued for the first time and while a worker has it.
    std::unordered_map<CaptureId, std::unique_ptr<Capture>> captures;
    std::set<std::pair<WallTime, CaptureId>> timers;
  };

  const PoolOptions options;
  Environment& environment;
  journal::Writer& writer;
  journal::Journal reader;
  const Observer observer;

  Synchronized<Known> known;
  moodycamel::BlockingConcurrentQueue<CaptureId> queue;
  std::stop_source stopping;
  std::vector<std::thread> workers;
  std::thread scheduler;

  Impl(PoolOptions options_, Environment& environment_, journal::Writer& writer_, journal::Journal reader_,
       Observer observer_)
      : options(std::move(options_)),
        environment(environment_),
        writer(writer_),
        reader(std::move(reader_)),
        observer(std::move(observer_)) {}

  void wake(CaptureId id);
  void work();
  void take_step(CaptureId id);
  std::unique_ptr<Capture> claim(CaptureId id);
  void forget(CaptureId id) { known.lock()->captures.erase(id); }
  bool record(const Capture& capture, const Step& step);
  bool write_down(const Capture& capture, const journal::Writer::Work& change);
  bool finish(const Capture& capture, const Finished& finished);
  bool postpone(const Capture& capture, const Postponed& postponed);
  void schedule();
  void wake_timers();
  void scan();
};

void WorkerPool::Impl::wake(CaptureId id) {
  {
    auto held = known.lock();
    // What does not fit stays a row; the scan finds it when there is room.
    if (held->captures.size() >= options.max_active || !held->captures.emplace(id, nullptr).second) return;
  }
  queue.enqueue(id);
}

void WorkerPool::Impl::work() {
  while (true) {
    CaptureId id = end_of_work;
    queue.wait_dequeue(id);
    if (id == end_of_work) return;
    take_step(id);
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

void WorkerPool::Impl::take_step(CaptureId id) {
  std::unique_ptr<Capture> capture;
  {
    auto held = known.lock();
    const auto found = held->captures.find(id);
    if (found != held->captures.end()) capture = std::move(found->second);
  }
  if (!capture) {
    if (stopping.stop_requested()) return forget(id);
    capture = claim(id);
    if (!capture) return forget(id);
  }
  Step step = stopping.stop_requested()
                  ? Step{Postponed{Error{ErrorKind::cancelled, "interrupted by a stop of the program"}}}
                  : capture->step(stopping.get_token());
  if (const auto* waiting = std::get_if<Waiting>(&step)) {
    auto held = known.lock();
    held->captures[id] = std::move(capture);
    held->timers.emplace(waiting->at, id);
    known.notify_all();
    return;
  }
  const bool over = record(*capture, step);
  const auto spool_id = capture->row().id;
  capture.reset();
  if (over) environment.spool.remove(spool_id);
  forget(id);
}

// True when the capture is finished and its work in progress no longer needed.
bool WorkerPool::Impl::record(const Capture& capture, const Step& step) {
  if (const auto* finished = std::get_if<Finished>(&step)) return finish(capture, *finished);
  return postpone(capture, std::get<Postponed>(step));
}

// The end of an attempt, written until it is: while the journal cannot be written nothing else could go on either. At
// a stop the row keeps its lease, which the next start gives back.
bool WorkerPool::Impl::write_down(const Capture& capture, const journal::Writer::Work& change) {
  constexpr milliseconds pause{2000};
  while (true) {
    const auto written = writer.run(change);
    if (written) return true;
    spdlog::error("alert {}: not written down: {}", capture.row().alert.str(), written.error().message);
    if (!environment.clock.sleep(pause, stopping.get_token())) return false;
  }
}

bool WorkerPool::Impl::finish(const Capture& capture, const Finished& finished) {
  const auto& row = capture.row();
  const auto now = environment.clock.wall_now();
  const bool written = write_down(capture, [&](journal::Journal& journal) {
    return journal.finish(row.id, options.owner, finished.state, finished.reason, finished.camera_name,
                          finished.published, now);
  });
  if (!written) return false;
  observer(finished.state, now - row.received_at);
  const std::string what = finished.published ? finished.published->clip : std::string("no clip");
  if (finished.state == journal::State::done) {
    spdlog::info("alert {}: done, {} ({} bytes)", row.alert.str(), what, finished.published->bytes);
  } else {
    spdlog::warn("alert {} on {}: {}, {}: {}", row.alert.str(), row.camera.str(), to_string(finished.state), what,
                 finished.reason);
  }
  return true;
}

bool WorkerPool::Impl::postpone(const Capture& capture, const Postponed& postponed) {
  const auto& row = capture.row();
  const auto& error = postponed.error;
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto delay = retry_delay(error, row.attempts + 1, std::uniform_real_distribution<>(0, 1)(random));
  const auto now = environment.clock.wall_now();
  if (!delay) {
    return finish(capture, Finished{journal::State::failed, error.message, "", std::nullopt});
  }
  const bool counts = error.kind != ErrorKind::cancelled && error.kind != ErrorKind::no_space;
  const bool written = write_down(capture, [&](journal::Journal& journal) {
    return journal.postpone(row.id, options.owner, error.message, now + *delay, counts);
  });
  if (written && error.kind != ErrorKind::cancelled) {
    spdlog::warn("alert {} on {}: {}; next attempt in {} s", row.alert.str(), row.camera.str(), error.message,
                 std::chrono::ceil<std::chrono::seconds>(*delay).count());
  }
  return false;
}

void WorkerPool::Impl::wake_timers() {
  auto held = known.lock();
  const auto now = environment.clock.wall_now();
  while (!held->timers.empty() && held->timers.begin()->first <= now) {
    queue.enqueue(held->timers.begin()->second);
    held->timers.erase(held->timers.begin());
  }
}

void WorkerPool::Impl::scan() {
  const auto due = reader.due(environment.clock.wall_now(), options.max_active);
  if (!due) {
    spdlog::error("cannot look for due captures: {}", due.error().message);
    return;
  }
  for (const auto id : *due) wake(id);
}

void WorkerPool::Impl::schedule() {
  const auto stop = stopping.get_token();
  auto& clock = environment.clock;
  SteadyTime next_scan = clock.steady_now();
  SteadyTime next_renewal = clock.steady_now() + renew_interval;
  while (!stop.stop_requested()) {
    const auto now = clock.steady_now();
    if (now >= next_scan) {
      scan();
      next_scan = now + scan_interval;
    }
    if (now >= next_renewal) {
      next_renewal = now + renew_interval;
      writer.submit(
          [this](journal::Journal& journal) {
            return journal.renew_leases(options.owner, environment.clock.wall_now() + lease_for);
          },
          [](const Result<void>& renewed) {
            if (!renewed) spdlog::error("leases not renewed: {}", renewed.error().message);
          });
    }
    wake_timers();
    auto held = known.lock();
    const auto wait = std::chrono::ceil<milliseconds>(next_scan - clock.steady_now());
    const auto timer = held->timers.empty() ? wait : std::min(wait, held->timers.begin()->first - clock.wall_now());
    if (timer <= milliseconds(0)) continue;
    const auto first = held->timers.empty() ? WallTime::max() : held->timers.begin()->first;
    // Woken early by a timer that is due before the one waited for.
    held.wait_for(stop, timer, [&] { return !held->timers.empty() && held->timers.begin()->first < first; });
  }
}

WorkerPool::WorkerPool(PoolOptions options, Environment& environment, journal::Writer& writer,
                       journal::Journal reader, Observer observer)
    : impl_(std::make_unique<Impl>(std::move(options), environment, writer, std::move(reader), std::move(observer))) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, impl_->options.workers); ++i) {
    impl_->workers.emplace_back([loop = impl_.get()] { loop->work(); });
  }
  impl_->scheduler = std::thread([loop = impl_.get()] { loop->schedule(); });
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::wake(CaptureId id) { impl_->wake(id); }

std::size_t WorkerPool::queue_depth() const { return impl_->queue.size_approx(); }

void WorkerPool::stop() {
  if (!impl_->scheduler.joinable()) return;
  impl_->stopping.request_stop();
  impl_->scheduler.join();
  {
    // Those that wait for their camera are given back as well.
    auto held = impl_->known.lock();
    for (const auto& [at, id] : held->timers) impl_->queue.enqueue(id);
    held->timers.clear();
  }
  for (std::size_t i = 0; i < impl_->workers.size(); ++i) impl_->queue.enqueue(end_of_work);
  for (auto& worker : impl_->workers) worker.join();
  // The queue is in order for one producer only: an id may have been behind the ends.
  CaptureId left = end_of_work;
  while (impl_->queue.try_dequeue(left)) {
    if (left != end_of_work) impl_->take_step(left);
  }
}

}  // namespace responder::capture
