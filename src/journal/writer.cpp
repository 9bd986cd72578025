#include "responder/journal/writer.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <span>
#include <thread>
#include <vector>

#include <concurrentqueue/blockingconcurrentqueue.h>

namespace responder::journal {
namespace {

constexpr std::size_t max_batch = 512;

struct Change {
  Writer::Work work;  // empty: the end
  Writer::Done done;
};

}  // namespace

struct Writer::Impl {
  Impl(Journal opened, std::size_t limit) : journal(std::move(opened)), max_queued(limit) {}

  Journal journal;
  const std::size_t max_queued;
  moodycamel::BlockingConcurrentQueue<Change> queue;
  // The queue itself has no bound that holds for every producer.
  std::atomic<std::size_t> queued{0};
  // Refuses what comes after stop(); what was let in before it is written.
  std::atomic<bool> stopped{false};
  std::thread thread;

  void run() {
    std::vector<Change> batch(max_batch);
    bool ending = false;
    while (!ending || queued.load(std::memory_order_relaxed) > 0) {
      const std::size_t count = queue.wait_dequeue_bulk(batch.begin(), max_batch);
      queued.fetch_sub(count, std::memory_order_relaxed);
      const auto taken = std::span(batch).first(count);
      ending = ending || std::any_of(taken.begin(), taken.end(), [](const Change& change) { return !change.work; });
      commit(taken);
    }
  }

  void commit(std::span<Change> batch) {
    const auto all = journal.transaction([&]() -> Result<void> {
      for (auto& change : batch) {
        if (!change.work) continue;
        if (auto written = change.work(journal); !written) return written.error();
      }
      return {};
    });
    for (auto& change : batch) {
      if (!change.work) continue;
      // One bad change must not take its neighbours down: each on its own, then.
      change.done(all || batch.size() == 1 ? all : journal.transaction([&] { return change.work(journal); }));
      change = {};
    }
  }
};

Writer::Writer(Journal journal, std::size_t max_queued)
    : impl_(std::make_unique<Impl>(std::move(journal), max_queued)) {
  impl_->thread = std::thread([loop = impl_.get()] { loop->run(); });
}

Writer::~Writer() { stop(); }

void Writer::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopped.store(true);
  impl_->queued.fetch_add(1, std::memory_order_relaxed);
  impl_->queue.enqueue(Change{});
  impl_->thread.join();
}

void Writer::submit(Work work, Done done) {
  if (impl_->stopped.load()) return done(Error{ErrorKind::cancelled, "shutting down"});
  if (impl_->queued.fetch_add(1, std::memory_order_relaxed) >= impl_->max_queued) {
    impl_->queued.fetch_sub(1, std::memory_order_relaxed);
    return done(Error{ErrorKind::transient, "too much waits to be written to the journal"});
  }
  impl_->queue.enqueue(Change{std::move(work), std::move(done)});
}

Result<void> Writer::run(Work work) {
  std::promise<Result<void>> promise;
  auto future = promise.get_future();
  submit(std::move(work), [&](Result<void> result) { promise.set_value(std::move(result)); });
  return future.get();
}

}  // namespace responder::journal
