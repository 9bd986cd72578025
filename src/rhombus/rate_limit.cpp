#include "responder/rhombus/rate_limit.hpp"

#include <algorithm>

namespace responder::rhombus {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

RateLimiter::RateLimiter(double requests_per_second, double burst, Clock& clock)
    : interval_(static_cast<nanoseconds::rep>(1e9 / std::max(requests_per_second, 0.001))),
      burst_span_(static_cast<nanoseconds::rep>(static_cast<double>(interval_.count()) * std::max(burst, 1.0))),
      clock_(clock) {}

bool RateLimiter::wait_turn(std::stop_token stop, Urgency urgency) {
  const auto span = urgency == Urgency::urgent ? burst_span_ : std::max(burst_span_ / 2, interval_);
  while (!stop.stop_requested()) {
    milliseconds wait{0};
    {
      auto state = state_.lock();
      const auto now = clock_.steady_now();
      const auto full_at = std::max(state->full_at, now) + interval_;
      const auto ready_at = std::max(full_at - span, state->not_before);
      if (ready_at <= now) {
        state->full_at = full_at;
        return true;
      }
      wait = std::chrono::ceil<milliseconds>(ready_at - now);
    }
    if (!clock_.sleep(wait, stop)) return false;
  }
  return false;
}

void RateLimiter::pause(milliseconds duration) {
  auto state = state_.lock();
  state->not_before = std::max(state->not_before, clock_.steady_now() + duration);
  // Whoever was told to wait has nothing left to spend at once: all that wait go on at the rate, not in a burst.
  state->full_at = std::max(state->full_at, state->not_before + burst_span_ - interval_);
}

}  // namespace responder::rhombus
