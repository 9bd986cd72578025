#include "stall_rule.hpp"

#include <algorithm>

namespace responder::net {

void StallRule::received(std::size_t bytes, SteadyTime now) {
  if (!interval_start_) interval_start_ = now;
  in_interval_ += bytes;
}

std::optional<StallRule::Stall> StallRule::look(SteadyTime now) {
  if (limits_.total && now - start_ >= *limits_.total) return Stall::total;
  if (!interval_start_) return now - start_ >= limits_.first_byte ? std::optional(Stall::no_answer) : std::nullopt;
  if (now - *interval_start_ < limits_.interval) return std::nullopt;
  if (in_interval_ < limits_.least_bytes) return Stall::too_slow;
  interval_start_ = now;
  in_interval_ = 0;
  return std::nullopt;
}

SteadyTime StallRule::next_look() const {
  const auto next = interval_start_ ? *interval_start_ + limits_.interval : start_ + limits_.first_byte;
  return limits_.total ? std::min<SteadyTime>(next, start_ + *limits_.total) : next;
}

}  // namespace responder::net
