// Brings finished clips from the spool to the archive, in the order of their alerts, whenever the archive is there:
// the one thread that may hang with a NAS, so that fetching never does.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "responder/archive/archive.hpp"
#include "responder/archive/spool.hpp"
#include "responder/base/clock.hpp"
#include "responder/journal/writer.hpp"

namespace responder::capture {

struct ArchiveHealth {
  std::string problem;  // empty: it is there, and has room
  double free_bytes = 0;
};

class Publisher {
 public:
  // Told of each capture that came to an end with a clip, and how long after its alert was received.
  using Observer = std::function<void(journal::State, std::chrono::milliseconds)>;
  // The layout of a capture's clip where it is not the archive's. Pure.
  using LayoutOf = std::function<std::optional<archive::Layout>(const journal::Capture&)>;

  // `thumbnails`: whether a picture of the alert goes beside each clip. `marker`: the id that the archive's marker
  // file must have. `owner`: of the leases, kept alive by the WorkerPool of the same owner.
  Publisher(std::string owner, std::string marker, bool thumbnails, const archive::Archive& archive,
            archive::Spool& spool, LayoutOf layout_of, journal::Writer& writer, Clock& clock, Observer observer);
  ~Publisher();

  // A clip may be ready: from any thread, without waiting.
  void notify();

  // From any thread; never waits for the archive.
  ArchiveHealth health() const;

  // Ends after the clip in hand. False when the archive did not let go of it in time: the thread is left behind, and
  // the process has to end without it.
  bool stop(std::chrono::milliseconds deadline);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace responder::capture
