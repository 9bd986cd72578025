// Brings finished clips from the spool to the archive whenever it is there, those of alerts first, in the order of
// their alerts: the one thread that may hang with a NAS, so that fetching never does. A long copy lets clips of
// alerts pass.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "responder/archive/archive.hpp"
#include "responder/archive/spool.hpp"
#include "responder/base/clock.hpp"
#include "responder/capture/pictures.hpp"
#include "responder/journal/writer.hpp"

namespace responder::capture {

struct ArchiveHealth {
  std::string problem;    // empty: it is there, and has room
  double free_bytes = 0;  // not a number: it is not known
};

// What retention has taken out of the archive: the clips are among the journal's leftovers.
struct TakenOut {
  std::size_t clips = 0;
  std::uint64_t bytes = 0;
  bool all = true;  // else there may be more to take out
};

// Keeps the archive within its limits, a batch at a time: called by the publisher's thread, while no clip waits for
// it or while there is no room for one. `lacking`: bytes that the archive's disk is short of.
using TakeOut = std::function<Result<TakenOut>(std::uint64_t lacking)>;

class Publisher {
 public:
  // Told of each capture that came to an end with a clip, and how long after its alert was received.
  using Observer = std::function<void(journal::State, std::chrono::milliseconds)>;
  // The layout of a capture's clip where it is not the archive's. Pure.
  using LayoutOf = std::function<std::optional<archive::Layout>(const journal::Capture&)>;

  // `thumbnails`: whether a picture of the alert goes beside each clip; it is drawn when the capture's end is written
  // down, and in `pictures` from before that until it is there. `marker`: the id that the archive's marker
  // file must have. `owner`: of the leases, kept alive by the WorkerPool of the same owner. `take_out`: none where
  // clips are kept for ever.
  Publisher(std::string owner, std::string marker, bool thumbnails, const archive::Archive& archive,
            archive::Spool& spool, PicturesInHand& pictures, LayoutOf layout_of, journal::Writer& writer,
            Clock& clock, Observer observer, TakeOut take_out);
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
