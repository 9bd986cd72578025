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
constexpr std::chrono::milliseconds patience_at_end{1000};  // with others that write

struct Change {
  Writer::Work work;  // empty: the end
  Writer::Done done;
};

}  // namespace

struct Writer::Impl {
  Impl(Journal opened, std::size_t limit, std::chrono::milliseconds longest)
      : journal(std::move(opened)), max_queued(limit), patience(longest) {}

  Journal journal;
  const std::size_t max_queued;
  const std::chrono::milliseconds patience;
  moodycamel::BlockingConcurrentQueue<Change> queue;
  // Counts what is in the queue or about to be: raised before `stopped` is looked at, so that the thread does not end
  // before what was let in has come. The queue itself has no bound that holds for every producer.
  std::atomic<std::size_t> queued{0};
  // Refuses what comes after stop(); what was let in before it is written.
  std::atomic<bool> stopped{false};
  std::thread thread;

  // Of the thread alone.
  std::vector<Change> batch = std::vector<Change>(max_batch);
  bool ending = false;
  bool log_is_long = false;

  void run() {
    while (!ending || queued.load() > 0) {
      const auto taken = next();
      if (!taken.empty()) {
        commit(taken);
      } else if (log_is_long && !ending) {
        log_is_long = !journal.settle();
      }
    }
  }

  // Waits for changes; for a bounded time when there is something else to do, or may be nothing to come.
  std::span<Change> next() {
    constexpr std::chrono::seconds idle{1};
    constexpr std::chrono::milliseconds last_moments{10};
    std::size_t count = 0;
    if (ending) {
      count = queue.wait_dequeue_bulk_timed(batch.begin(), max_batch, last_moments);
    } else if (log_is_long) {
      count = queue.wait_dequeue_bulk_timed(batch.begin(), max_batch, idle);
    } else {
      count = queue.wait_dequeue_bulk(batch.begin(), max_batch);
    }
    return take(count);
  }

  // What was put into the batch. The end among it is noticed and is no change.
  std::span<Change> take(std::size_t count) {
    queued.fetch_sub(count);
    const auto first = batch.begin();
    const auto last = first + static_cast<std::ptrdiff_t>(count);
    const auto end = std::stable_partition(first, last, [](const Change& change) { return change.work != nullptr; });
    ending = ending || end != last;
    return std::span(batch).first(static_cast<std::size_t>(end - first));
  }

  void commit(std::span<Change> changes) {
    journal.set_patience(stopped ? std::min(patience, patience_at_end) : patience);
    const auto committed =
        journal.commit_each(changes.size(), [&](std::size_t i) { return changes[i].work(journal); });
    const auto came_meanwhile = queued.load();  // before anybody is told, who may submit more then
    for (std::size_t i = 0; i < changes.size(); ++i) {
      changes[i].done(committed ? (*committed)[i] : Result<void>(committed.error()));
      changes[i] = {};
    }
    log_is_long = journal.log_bytes() > Journal::usual_log_bytes;
    if (!committed && committed.error().kind == ErrorKind::transient) refuse_queued(committed.error(), came_meanwhile);
  }

  // Somebody else holds the journal. What has come while it was waited for is told so now, instead of each batch
  // waiting as long again.
  void refuse_queued(const Error& why, std::size_t left) {
    while (left > 0) {
      const auto count = queue.try_dequeue_bulk(batch.begin(), std::min(left, max_batch));
      if (count == 0) return;
      left -= count;
      for (auto& change : take(count)) {
        change.done(why);
        change = {};
      }
    }
  }
};

Writer::Writer(Journal journal, std::size_t max_queued, std::chrono::milliseconds patience)
    : impl_(std::make_unique<Impl>(std::move(journal), max_queued, patience)) {
  impl_->thread = std::thread([loop = impl_.get()] { loop->run(); });
}

Writer::~Writer() { stop(); }

void Writer::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopped = true;
  ++impl_->queued;
  impl_->queue.enqueue(Change{});
  impl_->thread.join();
}

void Writer::submit(Work work, Done done) {
  const bool has_room = impl_->queued.fetch_add(1) < impl_->max_queued;
  if (has_room && !impl_->stopped) {
    impl_->queue.enqueue(Change{std::move(work), std::move(done)});
    return;
  }
  --impl_->queued;
  done(has_room ? Error{ErrorKind::cancelled, "shutting down"}
                : Error{ErrorKind::transient, "too much waits to be written to the journal"});
}

Result<void> Writer::run(Work work) {
  std::promise<Result<void>> promise;
  auto future = promise.get_future();
  submit(std::move(work), [&](Result<void> result) { promise.set_value(std::move(result)); });
  return future.get();
}

}  // namespace responder::journal
