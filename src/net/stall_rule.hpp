// When a transfer stands still: by progress, never by its total time, unless a total is given.
#pragma once

#include <cstdint>
#include <optional>

#include "responder/base/clock.hpp"
#include "responder/net/http_client.hpp"

namespace responder::net {

class StallRule {
 public:
  enum class Stall { no_answer, too_slow, total };

  StallRule(const ClientLimits& limits, SteadyTime start) : limits_(limits), start_(start) {}

  // Bytes of the body.
  void received(std::size_t bytes, SteadyTime now);

  // The limit that is reached at `now`, if one is. To be called again at next_look().
  std::optional<Stall> look(SteadyTime now);
  SteadyTime next_look() const;

 private:
  const ClientLimits limits_;
  const SteadyTime start_;
  std::optional<SteadyTime> interval_start_;  // set by the first byte
  std::uint64_t in_interval_ = 0;
};

}  // namespace responder::net
