// The choice of capture.confirm, for whoever reads the configuration.
#pragma once

namespace responder::capture {

// For which clips Rhombus's list of existing footage decides what of them is footage: all, those with something that
// did not come over the LAN, none.
enum class Confirm { all, wan, off };

}  // namespace responder::capture
