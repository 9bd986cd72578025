// Clips that are left to be removed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "responder/archive/archive.hpp"
#include "responder/journal/journal.hpp"

namespace responder::capture {

using FindCapture =
    std::function<Result<std::optional<journal::Capture>>(const AlertId& alert, const DeviceId& camera)>;

// Removes the clip with what stands beside it, unless its name has come to lead to the clip that its capture has now:
// where upper and lower case are one, a camera that is renamed "lobby" has its better clip in the place of "Lobby"'s.
// An Error: nothing was removed, or not all.
Result<void> remove_leftover(const archive::Archive& archive, const std::string& clip, const FindCapture& find);

}  // namespace responder::capture
