// Which alerts a command is about, from its options.
#pragma once

#include "responder/ingest/catch_up.hpp"

#include "commands.hpp"

namespace responder::app {

// An Error names the option.
Result<ingest::PassScope> read_scope(const ScopeOptions& options, WallTime now);

}  // namespace responder::app
