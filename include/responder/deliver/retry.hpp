// When to try a delivery again. Pure.
#pragma once

#include <chrono>
#include <optional>

#include "responder/base/error.hpp"

namespace responder::deliver {

// The wait before the next attempt, or nullopt when it is given up: at once for what cannot be mended by trying
// again, else after about three days of growing waits, an hour at most. `attempt` counts those made, from 1; `random`
// is in [0, 1) and spreads what failed together.
std::optional<std::chrono::milliseconds> delivery_delay(const Error& error, int attempt, double random);

// Whether an attempt that ended so is one of those that lead to giving up. What the delivery needs may be away for
// long.
bool counts_as_attempt(const Error& error);

}  // namespace responder::deliver
