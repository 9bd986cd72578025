// One budget for the API, shared by everything that calls it: Rhombus limits requests per organization with a token
// bucket (10 a second is the documented rate). `Retry-After` stops every caller, because trying sooner keeps being
// refused.
#pragma once

#include <stop_token>

#include "responder/base/clock.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::rhombus {

// Who asks. What is in the background leaves half of a burst to those that are urgent, so that they need not wait for
// it.
enum class Urgency { urgent, background };

class RateLimiter {
 public:
  // `burst`: how many requests may go at once after a quiet time.
  RateLimiter(double requests_per_second, double burst, Clock& clock);

  // Waits for this caller's turn; false when `stop` was requested.
  bool wait_turn(std::stop_token stop, Urgency urgency = Urgency::urgent);

  // Nobody goes before this much time has passed.
  void pause(std::chrono::milliseconds duration);

 private:
  struct State {
    // When the bucket will be full again; the classic "generic cell rate" form: one time instead of a counter and a
    // timer.
    SteadyTime full_at{};
    SteadyTime not_before{};
  };

  const std::chrono::nanoseconds interval_;
  const std::chrono::nanoseconds burst_span_;
  Clock& clock_;
  Synchronized<State> state_;
};

}  // namespace responder::rhombus
