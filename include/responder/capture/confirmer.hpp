// Whether what was taken is footage. For times without footage Rhombus serves pictures that say so, in segments like
// any others; only its list of what exists (rhombus::PresenceBook) tells them apart, some minutes later.
//
// A capture asks before it is published, where its window is old enough to be listed. The others are published as
// "pending", and the thread of this object looks at them when the list has come that far: a clip is confirmed, or its
// capture is put back in line, as a part of its clip is no footage. Rhombus is asked at most once a minute of each
// camera, for all its captures together and in the background.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/capture/confirm.hpp"
#include "responder/journal/writer.hpp"
#include "responder/rhombus/api_client.hpp"
#include "responder/rhombus/media_access.hpp"

namespace responder::capture {

class Confirmer {
 public:
  // Told of captures that are back in line; from its thread.
  using Wake = std::function<void(journal::CaptureId)>;

  // `reading` is for its thread alone; the others outlive it. Nothing happens before start().
  Confirmer(Confirm confirm, rhombus::ApiClient& api, journal::Journal reading, journal::Writer& writer,
            Clock& clock);
  ~Confirmer();

  void start(Wake wake);
  // Ends the thread. judge() and missing_by_now() may still be called: they answer from what is known by then.
  void stop();

  struct Verdict {
    journal::PresenceState presence = journal::PresenceState::pending;  // of the clip without what is missing
    std::vector<rhombus::Presence> missing;                             // what of the window is no footage
  };
  // Of footage of that window. `route`: lan when all of it came over the LAN. Waits two seconds at most. Any thread.
  Verdict judge(const DeviceId& camera, rhombus::Route route, rhombus::Presence window, std::stop_token stop);

  // The parts of the window for which Rhombus lists no footage now, whatever capture.confirm says. nullopt: there is no
  // answer of the last minute. Waits two seconds at most. Any thread.
  std::optional<std::vector<rhombus::Presence>> missing_by_now(const DeviceId& camera, rhombus::Presence window,
                                                               std::stop_token stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::capture
