// When to try a capture again. Pure.
#pragma once

#include <chrono>
#include <optional>

#include "responder/base/error.hpp"

namespace responder::capture {

// The wait before the next attempt, or nullopt when trying again cannot help. `attempt` counts those made, from 1;
// `random` is in [0, 1) and spreads the captures of a burst.
std::optional<std::chrono::milliseconds> retry_delay(const Error& error, int attempt, double random);

}  // namespace responder::capture
