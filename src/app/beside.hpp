// Work that a signal breaks off.
#pragma once

#include <functional>
#include <stop_token>

#include "signals.hpp"

namespace responder::app {

// Runs `work` in a thread of its own, and asks it to stop when a signal comes. Returns after its end: true when a
// signal came.
bool run_beside(const Signals& signals, const std::function<void(std::stop_token)>& work);

}  // namespace responder::app
