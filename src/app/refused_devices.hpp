// LAN devices that showed another TLS key than the one that is remembered of them. The journal keeps the list, so
// that `check`, `status` and `pins list` can say so whether serve runs or not.
#pragma once

#include <vector>

#include "responder/base/clock.hpp"
#include "responder/journal/journal.hpp"

namespace responder::app {

struct RefusedDevice {
  DeviceId device;
  WallTime since;
};

Result<std::vector<RefusedDevice>> refused_devices(journal::Journal& journal);

// Adds a device that is not in the list yet. The list has at most 1,000.
Result<void> add_refused_device(journal::Journal& journal, const DeviceId& device, WallTime now);

// Removes a device: its key is the remembered one again, or is no longer remembered. Writes only if it is there.
Result<void> remove_refused_device(journal::Journal& journal, const DeviceId& device);

// One line: since when the device is refused, and the command that accepts its key. `name` may be empty.
std::string describe(const RefusedDevice& refused, const std::string& name);

}  // namespace responder::app
