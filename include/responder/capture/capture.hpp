// One capture as a state machine over its row in the journal: prepare, follow the window as it is recorded, judge
// what came, put the clip together. A step does what can be done now and never waits; any step may be the last before
// a power cut.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>

#include "responder/archive/spool.hpp"
#include "responder/base/clock.hpp"
#include "responder/capture/confirmer.hpp"
#include "responder/capture/footage.hpp"
#include "responder/capture/stretch.hpp"
#include "responder/journal/writer.hpp"
#include "responder/media/remux.hpp"
#include "responder/rhombus/directory.hpp"

namespace responder::capture {

// What captures share. Everything in it is thread-safe and outlives them.
struct Environment {
  rhombus::ApiClient& api;
  rhombus::DeviceDirectory& directory;
  FootageAccess& footage;
  StretchStore& stretches;
  archive::Spool& spool;
  journal::Writer& writer;
  Confirmer& confirmer;
  Clock& clock;
  std::chrono::seconds retry_for;
  std::function<ConnectionMode(const journal::Capture&)> connection_of;  // pure
  // Whether Rhombus's API fails for everybody just now, which the log says once.
  std::function<bool()> api_is_away = [] { return false; };
  // One clip is put together at a time (and one more while it is fetched): its index is the one thing that grows with
  // a clip's length.
  std::mutex remuxing = {};
  std::binary_semaphore remuxing_early = std::binary_semaphore(1);
};

// Ends of an attempt. With `try_again` it is not the capture's end, and says why.
struct Ready {  // a clip stands in the spool
  journal::ReadyClip clip;
  std::optional<Error> try_again;
};
struct Finished {  // without a clip, or without a better one than there is
  journal::Outcome outcome;
  std::optional<Error> try_again;
};
struct Postponed {
  Error error;
  // It is the spool that has no room, and why. What is wrong is then said of the spool, once for all captures.
  std::optional<archive::SpoolRefusal::Cause> no_room = {};
};
// Or its middle: nothing to do before `at`.
struct Waiting {
  WallTime at;
};
using Step = std::variant<Waiting, Ready, Finished, Postponed>;

class Capture {
 public:
  Capture(journal::Capture row, Environment& environment);
  ~Capture();

  Step step(std::stop_token stop);
  const journal::Capture& row() const { return row_; }

  // The alert went on: from the next step on the window ends there. Between steps.
  void extend(std::chrono::sys_seconds window_end);

  // Grows with the bytes that arrive during a step. From any thread.
  std::uint64_t progress() const { return bytes_; }

  // About how much of the window is taken, from 0 to 1. From any thread.
  double taken_share() const { return taken_share_; }

 private:
  // What the stretches amount to.
  struct Collected {
    std::vector<media::TakenTrack> tracks;       // those with something in them
    rhombus::Route route = rhombus::Route::lan;  // of most of it
    bool is_all_lan = true;
    std::vector<journal::Gap> gaps;
    std::vector<std::pair<media::TrackKind, std::vector<journal::Gap>>> track_gaps;
    std::string reason;  // why it is not complete; empty when it is
    ErrorKind why_missing = ErrorKind::not_found;
    WallTime::duration missing{0};  // of the picture
    std::string sound_problem;      // why there is no sound at all
    bool has_video = false;
    bool has_audio = false;
    journal::PresenceState presence = journal::PresenceState::pending;  // of what is there
  };

  Result<void> prepare(std::stop_token stop);
  void write_camera_name();
  Result<void> claim_room();
  void cover();
  Step take(std::stop_token stop);
  Step conclude(std::optional<Error> error, std::stop_token stop);
  Step wait_for_room(Error error) const;
  Result<bool> goes_on(std::stop_token stop);
  Collected collect(const std::optional<Error>& error) const;
  void collect_tracks(const std::vector<std::shared_ptr<Stretch>>& stretches,
                      const std::vector<media::Interval>& absent, Collected& collected) const;
  bool try_stored_clip(const Collected& collected, std::stop_token stop);
  std::filesystem::path stored_clip_folder() const;
  Collected collect_stored_clip(std::string why_not_better) const;
  void leave_out_placeholders(Collected& collected, std::stop_token stop,
                              const std::function<Collected()>& collect_anew);
  std::vector<media::Interval> placeholders_of(const journal::Published& published) const;
  void drop_clip_of_placeholders(const Collected& collected);
  journal::Gap to_gap(const media::Interval& interval) const;
  bool is_gone(const Collected& collected, std::stop_token stop) const;
  bool is_better(const Collected& collected) const;
  bool has_whole_clip() const;
  Step keep_what_is_published(std::string reason, std::optional<Error> try_again) const;
  bool out_of_time() const;
  Step make_ready(Collected collected, std::optional<Error> try_again, std::stop_token stop);
  void begin_early(std::vector<media::TakenTrack> foreseen, std::stop_token stop);
  std::optional<media::ClipSummary> end_early(const std::vector<media::TakenTrack>& tracks);
  void remove_old_clip() const;
  media::ClipMetadata metadata() const;
  bool was_live() const { return row_.kind == journal::Kind::alert && WallTime(row_.window_end) > row_.received_at; }
  std::chrono::seconds window() const { return row_.window_end - row_.window_start; }

  journal::Capture row_;
  Environment& environment_;
  const ConnectionMode connection_;
  // Alone: counted by those who fetch, read by the pool.
  std::atomic<std::uint64_t> bytes_{0};
  // Alone: for people to look at.
  std::atomic<double> taken_share_{0};
  std::optional<archive::Spool::Claim> claim_;
  std::optional<archive::SpoolRefusal::Cause> refused_for_;  // why there is none
  std::optional<rhombus::CameraWithSound> camera_;
  std::vector<std::shared_ptr<Stretch>> stretches_;  // of the camera
  std::vector<std::shared_ptr<Stretch>> sound_;      // of its audio gateway
  std::string sound_problem_;
  ErrorKind why_no_sound_ = ErrorKind::transient;
  // Of the window, by the last verdict: times without footage, and those of them of which something was taken.
  std::vector<media::Interval> not_footage_;
  std::vector<media::Interval> absent_;
  journal::PresenceState judged_ = journal::PresenceState::pending;
  std::optional<Footage> stored_clip_;   // asked for when the camera gives nothing
  bool stored_clip_over_ = false;
  std::string stored_clip_problem_;
  std::optional<Error> taking_error_;     // why taking ended, while the stored clip is asked for
  std::optional<WallTime> ask_again_at_;  // whether the alert goes on
  bool known_to_go_on_ = false;
  bool asked_in_vain_ = false;  // the last time; one failure is no answer, two are enough

  // A clip that is put together while its last segments are still fetched. Last, so that its thread ends before what
  // it uses.
  struct EarlyClip {
    EarlyClip(std::binary_semaphore& slot_, std::filesystem::path file_, std::vector<media::TakenTrack> foreseen_)
        : slot(slot_), file(std::move(file_)), foreseen(std::move(foreseen_)) {}
    EarlyClip(const EarlyClip&) = delete;
    EarlyClip& operator=(const EarlyClip&) = delete;
    ~EarlyClip() {
      stop.request_stop();
      if (thread.joinable()) thread.join();
      std::error_code ignored;
      if (!is_taken_over) std::filesystem::remove(file, ignored);
      slot.release();
    }

    std::binary_semaphore& slot;  // acquired
    const std::filesystem::path file;
    bool is_taken_over = false;  // it has become the capture's clip, and stays
    std::vector<media::TakenTrack> foreseen;
    std::stop_source stop;
    std::optional<Result<media::ClipSummary>> summary;  // of the thread, until it is joined
    std::thread thread;
  };
  std::unique_ptr<EarlyClip> early_;
};

}  // namespace responder::capture
