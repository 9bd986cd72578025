// Time is passed in: wall clock, monotonic clock and sleep as one small interface, so that a day of retries is a test
// of milliseconds. Nothing else in the program asks the system what time it is.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace responder {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;

  virtual WallTime wall_now() const = 0;
  virtual SteadyTime steady_now() const = 0;

  // Waits at most `duration`; false when `stop` was requested before or meanwhile.
  virtual bool sleep(std::chrono::milliseconds duration, std::stop_token stop) = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime wall_now() const override;
  SteadyTime steady_now() const override;
  bool sleep(std::chrono::milliseconds duration, std::stop_token stop) override;
};

}  // namespace responder
