// What Rhombus has said of the footage that exists of each camera (getPresenceWindows), kept so that it is asked
// seldom.
//
// Its answers lag the clock by up to two minutes, so each answer tells of a time that ends before it was given: at
// the end of the newest footage that it lists, and not later than two minutes before. Fifteen minutes later it is
// believed even where it lists nothing newer. Source: protocol.md, sections 2 and 3.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/ids.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/rhombus/api_client.hpp"

namespace responder::rhombus {

// Thread-safe.
class PresenceBook {
 public:
  // Notes what exists of the time that was asked for. `told_at`: by Rhombus's clock.
  void note(const DeviceId& camera, Presence asked, const std::vector<Presence>& held, WallTime told_at);

  // Of a time of a camera, in order and within it, what Rhombus has no footage of. nullopt: it is not known, or some
  // was missing when Rhombus last told of it, which was not in the minute before `now`: it may have come since.
  std::optional<std::vector<Presence>> missing(const DeviceId& camera, Presence time, WallTime now) const;

  // Whether Rhombus has told of all of that time within the last minute: footage that was there may be gone by now.
  bool is_fresh(const DeviceId& camera, Presence time, WallTime now) const;

  // How long after its end footage is listed: as last seen of the camera, 150 s until then.
  std::chrono::seconds lag(const DeviceId& camera) const;

 private:
  struct Known {
    std::vector<Presence> times;    // that answers have told of, merged and in order
    std::vector<Presence> footage;  // of these, what exists, likewise
    Presence told_last;             // the time that the last answer told of
    WallTime told_at;
    std::chrono::seconds lag{150};
  };
  static bool told_lately(const Known& known, Presence time, WallTime now);

  mutable Synchronized<std::map<DeviceId, Known>> cameras_;  // by their ids without a facet
};

}  // namespace responder::rhombus
