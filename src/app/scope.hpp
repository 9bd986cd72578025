// Which alerts a command is about, from its options.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/ingest/catch_up.hpp"
#include "responder/journal/journal.hpp"

#include "commands.hpp"
#include "ranges.hpp"

namespace responder::app {

// Without the names, which name_scope() looks up. An Error names the option.
Result<ingest::PassScope> read_scope(const ScopeOptions& options, WallTime now);

// What a command says and ends with.
struct Complaint {
  std::string message;
  int status = exit_usage;
};

// Sets the camera and the location that the choice names: cameras that Rhombus lists, and those that it lists no more
// and the journal knows. Asks Rhombus only when something is named. A complaint: nothing has that name (exit_usage),
// or Rhombus cannot be asked.
std::optional<Complaint> name_scope(const Config& config, const CameraChoice& choice, const ChoiceOptions& options,
                                    ingest::PassScope& scope, std::stop_token stop);

// An account may not be allowed to read them: none, then, and they go by their UUIDs.
std::vector<rhombus::Location> locations_or_none(rhombus::ApiClient& api, std::stop_token stop);

}  // namespace responder::app
