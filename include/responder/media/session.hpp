// One device's footage of one window, taken segment by segment into a folder, as the device records it.
//
// A Session never waits: advance() fetches what should exist by now and says when to come back. It belongs to one
// thread at a time; during advance() it uses threads of its own, as many as the source has connections.
#pragma once

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
#include "responder/media/segment_check.hpp"
#include "responder/media/source.hpp"

namespace responder::media {

// A part of the window, on the session's timeline.
struct Interval {
  Micros start{0};
  Micros end{0};
  bool operator==(const Interval&) const = default;
};

// A run of segments on one media timeline.
struct TakenPart {
  std::vector<std::string> segments;  // paths, in time order; thousands, so not as std::filesystem::path (six times as large)
  Micros origin{0};                             // what the media timeline shows at the session's start
};

// What is on disk of one track when a session is over. All its parts have the same initialization.
struct TakenTrack {
  TrackKind kind = TrackKind::video;
  InitInfo init;
  std::filesystem::path init_file;
  std::vector<TakenPart> parts;  // in time order, none empty
  std::size_t samples = 0;
  std::vector<Interval> gaps;  // parts of the window no segment covers
  std::string reason;          // why there are gaps; empty when there are none
  bool may_improve = false;    // some of what is missing may still be had by trying again
  // Set in a foreseen track, whose segments are still being fetched: waits for the segment of this index (counted
  // over all parts); false when it will not come. From one thread.
  std::function<bool(std::size_t)> wait_for;
};

struct SessionOptions {
  net::Url mpd;
  std::chrono::sys_seconds start;
  std::chrono::seconds duration{0};
  bool want_video = true;
  bool want_audio = true;
  std::filesystem::path directory;  // exists; segments of an earlier attempt in it are used again
  // How long after its end a segment can be had at the earliest, and until when "404" still means "not yet".
  std::chrono::milliseconds lag{300};
  std::chrono::milliseconds patience{10000};
  // Told, during advance(), as soon as its first segment is on disk, of a whole track that is about to be fetched:
  // the window is over and has only this track. It may come otherwise than foreseen; what counts is taken().
  // `wait_for` may be used until the Session is gone.
  std::function<void(TakenTrack)> on_foreseen;
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

  // Once finished, or after an Error for what there is. Tracks without a single segment are left out.
  std::vector<TakenTrack> taken() const;

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
  Result<void> prepare_tracks(std::stop_token stop);
  Result<void> prepare_track(TrackState& track, std::stop_token stop);
  Result<void> fetch_init(TrackState& track, std::size_t part, const net::Url& url, std::stop_token stop);
  void reuse_segments(TrackState& track, std::size_t part);
  std::filesystem::path init_file(TrackKind kind, std::size_t part) const;
  std::filesystem::path segment_file(TrackKind kind, std::size_t index) const;
  Result<void> fetch_due(std::stop_token stop);
  Result<SegmentInfo> fetch_segment(const TrackState& track, std::size_t index, std::stop_token stop);
  void note_failure(TrackState& track, std::size_t index, Error error);
  void foresee(const TrackState& track);
  void set_fetching(bool fetching);
  bool wait_for_segment(const TrackState& track, std::size_t index);
  bool clamped() const;
  bool may_grow() const;
  Progress progress() const;
  WallTime available_at(Micros segment_end) const;  // no later than for the window's end
  TakenTrack take(const TrackState& track) const;

  const SessionOptions options_;
  Source& source_;
  Clock& clock_;
  std::vector<std::unique_ptr<TrackState>> tracks_;
  bool has_manifest_ = false;
  std::string problem_;
  WallTime manifest_asked_at_;

  // Guards the state of segments while the threads of fetch_due() run.
  std::mutex mutex_;
  std::condition_variable segment_settled_;
  bool fetching_ = false;
  bool foreseen_ = false;
};

}  // namespace responder::media
