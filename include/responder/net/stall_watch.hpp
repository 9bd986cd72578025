// Cuts transfers that stand still or drip: by progress, never by total time. One thread watches all of them.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <thread>

#include "responder/base/clock.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::net {

struct StallLimits {
  std::chrono::milliseconds first_byte{10'000};  // from the request to the body's first byte
  std::chrono::milliseconds interval{10'000};    // afterwards: each interval must bring
  std::uint64_t least_bytes = 40'000;            // this many bytes
};

class StallWatch {
 public:
  explicit StallWatch(Clock& clock, StallLimits limits = {});
  ~StallWatch();

  // One transfer, watched for as long as it lives. `cut` is called at most once, from the watch's thread, and not
  // after the destructor.
  class Transfer {
   public:
    Transfer(StallWatch& watch, std::function<void()> cut);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    void received(std::size_t bytes) { bytes_ += bytes; }
    bool was_cut() const { return was_cut_; }

   private:
    friend class StallWatch;
    StallWatch& watch_;
    const std::function<void()> cut_;
    // Alone: counted by the transfer's thread, looked at by the watch's.
    std::atomic<std::uint64_t> bytes_{0};
    std::atomic<bool> was_cut_{false};
    // Of the watch's thread, under its lock.
    std::uint64_t bytes_before_ = 0;
    SteadyTime since_;
    bool being_cut_ = false;
    std::list<Transfer*>::iterator place_;
  };

 private:
  bool stands_still(SteadyTime now, Transfer& transfer) const;
  void watch(std::stop_token stop);

  Clock& clock_;
  const StallLimits limits_;
  Synchronized<std::list<Transfer*>> transfers_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace responder::net
