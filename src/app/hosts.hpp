// Host names and addresses that nobody outside reaches.
#pragma once

#include <string>

namespace responder::app {

// Why Rhombus's cloud cannot reach the host of a URL: "a loopback address", "a private address", "a name of a local
// network". Empty: it may be reachable. Nothing is resolved.
std::string why_unreachable_from_outside(const std::string& host);

}  // namespace responder::app
