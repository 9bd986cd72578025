// A clock that a test moves. sleep() moves it too: whoever waits is the only one there.
#pragma once

#include <atomic>

#include "responder/base/clock.hpp"

namespace responder::test {

class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime(std::chrono::seconds(1'700'000'000))) : start_(start) {}

  WallTime wall_now() const override { return start_ + std::chrono::milliseconds(elapsed_ms_ + jumped_ms_); }
  SteadyTime steady_now() const override { return SteadyTime(std::chrono::milliseconds(elapsed_ms_.load())); }
  bool sleep(std::chrono::milliseconds duration, std::stop_token stop) override {
    if (stop.stop_requested()) return false;
    advance(duration);
    return true;
  }
  void advance(std::chrono::milliseconds duration) { elapsed_ms_ += duration.count(); }
  // The wall clock alone.
  void jump(std::chrono::milliseconds by) { jumped_ms_ += by.count(); }
  std::chrono::milliseconds elapsed() const { return std::chrono::milliseconds(elapsed_ms_.load()); }

 private:
  const WallTime start_;
  std::atomic<std::int64_t> elapsed_ms_{0};
  std::atomic<std::int64_t> jumped_ms_{0};
};

}  // namespace responder::test
