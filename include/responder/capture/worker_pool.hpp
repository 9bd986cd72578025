// Works on due captures: a lock-free queue of ids, a pool of workers that take steps, and a scheduler thread that
// wakes captures when the camera has recorded more, finds due rows in the journal (after a start just as every
// second) and keeps this process's leases alive. The queue is a hint: whatever is lost with it is a row that the next
// scan finds.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "responder/capture/capture.hpp"
#include "responder/journal/writer.hpp"

namespace responder::capture {

struct PoolOptions {
  std::size_t workers = 4;
  // Captures begun and not finished; most of them wait for their camera most of the time.
  std::size_t max_active = 256;
  std::string owner;  // of the leases; unique to this process
};

class WorkerPool {
 public:
  // Told of each capture that came to an end, and how long after its alert was received.
  using Observer = std::function<void(journal::State, std::chrono::milliseconds)>;

  // `reader` is the scheduler's own connection to the journal.
  WorkerPool(PoolOptions options, Environment& environment, journal::Writer& writer, journal::Journal reader,
             Observer observer);
  ~WorkerPool();

  // A capture may be due: from any thread, without waiting.
  void wake(journal::CaptureId id);

  // Ends what runs at its next safe point, gives every lease back and joins the threads.
  void stop();

  std::size_t queue_depth() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::capture
