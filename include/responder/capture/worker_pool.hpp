// Works on due captures: lock-free queues of ids, a pool of workers that take steps, and a scheduler thread that
// wakes captures when the camera has recorded more, finds due rows in the journal (after a start just as every
// second), keeps this process's leases alive and the spool tidy. The queues are hints: whatever is lost with them is
// a row that the next scan finds.
//
// Live alerts go before what is caught up. A step that stands still (a device or the API that does not answer) does
// not count as one of the `workers` until it moves again.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "responder/capture/capture.hpp"
#include "responder/journal/writer.hpp"

namespace responder::capture {

struct PoolOptions {
  std::size_t workers = 4;
  // Captures begun and not finished; most of them wait for their camera most of the time. Half of them may be of
  // alerts that were caught up.
  std::size_t max_active = 256;
  std::string owner;  // of the leases; unique to this process
};

// A capture that a worker has in hand.
struct RunningCapture {
  journal::CaptureId id = 0;
  double taken_share = 0;  // of its window, from 0 to 1
};

class WorkerPool {
 public:
  // Told of each capture that came to an end without a clip, and how long after its alert was received.
  using Observer = std::function<void(journal::State, std::chrono::milliseconds)>;

  // `reader` is the scheduler's own connection to the journal.
  WorkerPool(PoolOptions options, Environment& environment, journal::Writer& writer, journal::Journal reader,
             std::function<void()> clip_is_ready, Observer observer);
  ~WorkerPool();

  // A capture may be due, or its alert has grown: from any thread, without waiting. `live`: it came by webhook.
  void wake(journal::CaptureId id, bool live);

  // Ends what runs at its next safe point, gives every lease back and joins the threads.
  void stop();

  std::size_t queue_depth() const;
  std::vector<RunningCapture> running() const;
  bool turns() const;  // whether the scheduler comes round: false when it has hung for long

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::capture
