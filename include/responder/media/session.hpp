// One device's footage of one window, taken segment by segment into a folder, as the device records it.
//
// A Session never waits: advance() fetches what should exist by now and says when to come back. It belongs to one
// thread at a time; during advance() it uses threads of its own, as many as the source has connections.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/media/manifest.hpp"
#include "responder/media/recording_lag.hpp"
#include "responder/media/source.hpp"
#include "responder/media/taken.hpp"

namespace responder::media {

struct SessionOptions {
  net::Url mpd;
  std::chrono::sys_seconds start;
  std::chrono::seconds duration{0};
  bool want_video = true;
  bool want_audio = true;
  std::filesystem::path directory;  // exists; segments of an earlier attempt in it are used again
  // How long after its end a segment can be had at the earliest; shared by the device's sessions.
  std::shared_ptr<RecordingLag> lag = std::make_shared<RecordingLag>(std::chrono::milliseconds(300));
  std::chrono::milliseconds patience{10000};  // for how long after that "404" still means "not yet"
  // Which segments are worth asking for; all where it is empty.
  std::function<bool(TrackKind, const SegmentTime&)> wanted = {};
  // More than this for one window is no footage; the attempt fails.
  std::uint64_t max_bytes = UINT64_MAX;
  // Asked before each segment: whether there is room for it.
  std::function<Result<void>()> room = {};
  // advance() returns after about this long though there is more to do, so that others get their turn.
  std::chrono::milliseconds slice{5000};
  // Told now and then during advance(), by any of its threads: how much of the window is settled, from 0 to 1.
  std::function<void(double)> on_progress = {};
  // Told, during advance(), as soon as each one's first segment is on disk, of whole tracks that are about to be
  // fetched: the window is over. They may come otherwise than foreseen; what counts is taken(). `wait_for` may be
  // used until the Session is gone.
  std::function<void(std::vector<TakenTrack>)> on_foreseen = {};
};

class Session {
 public:
  struct Progress {
    bool finished = false;
    WallTime next_at;  // when there will be more to do
  };

  Session(SessionOptions options, Source& source, Clock& clock);
  ~Session();

  // An Error ends the attempt, not what was taken: a later Session on the same folder goes on from there.
  Result<Progress> advance(std::stop_token stop);

  // Once finished, or after an Error for what there is.
  Taken taken() const;

  // Why the sound was given up while the picture was taken; empty when it was not.
  const std::string& problem() const { return problem_; }

  // After advance() failed before it had a manifest: what an earlier attempt in this folder left, by the manifest it
  // had.
  void recall();

 private:
  struct TrackState;

  Result<void> load_manifest(std::stop_token stop);
  Result<void> apply_manifest(std::string_view xml, const net::Url& url);
  std::filesystem::path kept_manifest() const { return options_.directory / "manifest.mpd"; }
  void update_track(TrackKind kind, const std::optional<Track>& found);
  void set_usable(TrackState& state);
  void learn_shift(TrackState& state, std::size_t index);
  Result<void> prepare_tracks(std::stop_token stop);
  Result<void> prepare_track(TrackState& track, std::stop_token stop);
  enum class What { init, segment };
  Result<net::Url> fetch(const TrackState& track, std::size_t index, What what, const std::filesystem::path& file,
                         std::stop_token stop);
  Result<void> fetch_init(TrackState& track, std::size_t index, std::stop_token stop);
  void reuse_segments(TrackState& track, std::size_t part, bool also_too_short);
  std::filesystem::path init_file(TrackKind kind, std::size_t part) const;
  std::filesystem::path segment_file(TrackKind kind, std::size_t index) const;
  std::function<std::filesystem::path(std::size_t)> files_of(TrackKind kind) const;
  struct Job {
    TrackState* track;
    std::size_t index;
  };
  Result<Progress> advance_for_a_slice(std::stop_token stop);
  std::vector<Job> due_jobs();
  Result<void> fetch_due(SteadyTime slice_end, std::stop_token stop);
  Result<void> settle(const Job& job, Result<SegmentInfo> fetched);
  Result<SegmentInfo> fetch_segment(const TrackState& track, std::size_t index, std::stop_token stop);
  void note_failure(TrackState& track, std::size_t index, Error error);
  void tell_progress();
  void foresee();
  TakenTrack foresee(const TrackState& track, Micros origin);
  void set_over();
  bool is_wanted(const TrackState& track, std::size_t index) const;
  bool wait_for_segment(const TrackState& track, std::size_t index, std::stop_token stop);
  bool clamped() const;
  bool clamped(const TrackState& track) const;
  bool manifest_is_final() const;
  bool may_grow() const;
  Progress progress() const;
  WallTime available_at(Micros segment_end) const;  // no later than for the window's end
  WallTime wall_time_of(SteadyTime time) const;
  struct Strand;
  void name_jumps() const;
  std::vector<Micros> origins_of(const std::vector<Strand>& strands) const;
  static Micros origin_after_jump(const std::vector<Strand>& strands, const std::vector<Micros>& origins,
                                  std::size_t at);
  void find_strands(const TrackState& track, std::vector<Strand>& strands, std::vector<Missing>& missing) const;
  TakenRun make_run(const Strand& strand, Micros origin, std::vector<Missing>& missing) const;

  const SessionOptions options_;
  Source& source_;
  Clock& clock_;
  std::vector<std::unique_ptr<TrackState>> tracks_;
  bool has_manifest_ = false;
  std::string problem_;
  WallTime manifest_asked_at_;
  SteadyTime manifest_asked_steady_;

  // Guards the state of segments while the threads of fetch_due() run.
  std::mutex mutex_;
  std::condition_variable_any segment_settled_;
  bool over_ = false;  // nothing more is fetched
  bool foreseen_ = false;
  SteadyTime told_progress_at_;
  // Alone: bytes that came for segments, counted by all the threads of fetch_due().
  std::atomic<std::uint64_t> bytes_{0};
  // Alone: requests that failed, of all the threads of fetch_due().
  std::atomic<int> failures_in_a_row_{0};
};

}  // namespace responder::media
