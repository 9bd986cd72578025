// One capture as a state machine over its row in the journal: prepare, follow the window as it is recorded, publish.
// A step does what can be done now and never waits; any step may be the last before a power cut.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>

#include "responder/archive/archive.hpp"
#include "responder/archive/spool.hpp"
#include "responder/base/clock.hpp"
#include "responder/capture/footage.hpp"
#include "responder/journal/journal.hpp"
#include "responder/media/remux.hpp"
#include "responder/rhombus/directory.hpp"

namespace responder::capture {

// What captures share. Everything in it is thread-safe and outlives them.
struct Environment {
  rhombus::DeviceDirectory& directory;
  FootageAccess& footage;
  const archive::Archive& archive;
  const archive::Spool& spool;
  Clock& clock;
  std::chrono::seconds retry_for;
  // One clip is put together at a time (and one more while it is fetched): its index is the one thing that grows with
  // a clip's length.
  std::mutex remuxing = {};
  std::binary_semaphore remuxing_early = std::binary_semaphore(1);
};

// Ends of an attempt.
struct Finished {
  journal::State state = journal::State::done;
  std::string reason;
  std::string camera_name;
  std::optional<journal::Published> published;
};
struct Postponed {
  Error error;
};
// Or its middle: nothing to do before `at`.
struct Waiting {
  WallTime at;
};
using Step = std::variant<Waiting, Finished, Postponed>;

class Capture {
 public:
  Capture(journal::Capture row, Environment& environment);
  ~Capture();

  Step step(std::stop_token stop);
  const journal::Capture& row() const { return row_; }

 private:
  Result<void> prepare(std::stop_token stop);
  void advance_audio(std::stop_token stop);
  Step conclude(std::optional<Error> error, std::stop_token stop);
  Result<Finished> publish(std::vector<media::TakenTrack> tracks, rhombus::Route route, std::stop_token stop);
  bool out_of_time() const;
  void begin_early(media::TakenTrack foreseen, std::stop_token stop);
  std::optional<media::ClipSummary> end_early(const std::vector<media::TakenTrack>& tracks);
  media::ClipMetadata metadata() const;

  const journal::Capture row_;
  Environment& environment_;
  std::optional<rhombus::CameraWithSound> camera_;
  std::filesystem::path folder_;
  std::optional<Footage> video_;
  std::optional<Footage> audio_;
  std::optional<WallTime> audio_next_at_;  // empty: the sound is complete or given up
  std::string audio_problem_;
  FootageRequest audio_request_;
  int audio_failures_ = 0;

  // A clip that is put together while its last segments are still fetched. Last, so that its thread ends before what
  // it uses.
  struct EarlyClip {
    EarlyClip(std::binary_semaphore& slot_, media::TakenTrack foreseen_)
        : slot(slot_), foreseen(std::move(foreseen_)) {}
    EarlyClip(const EarlyClip&) = delete;
    EarlyClip& operator=(const EarlyClip&) = delete;
    ~EarlyClip() {
      if (thread.joinable()) thread.join();
      slot.release();
    }

    std::binary_semaphore& slot;  // acquired
    media::TakenTrack foreseen;
    std::optional<Result<media::ClipSummary>> summary;  // of the thread, until it is joined
    std::thread thread;
  };
  std::unique_ptr<EarlyClip> early_;
};

}  // namespace responder::capture
