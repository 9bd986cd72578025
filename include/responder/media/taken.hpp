// What is on disk of a window, before it becomes a clip.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/base/error.hpp"
#include "responder/media/manifest.hpp"
#include "responder/media/segment_check.hpp"

namespace responder::media {

// A part of a window, on its timeline.
struct Interval {
  Micros start{0};
  Micros end{0};
  bool operator==(const Interval&) const = default;
};

struct TakenSegment {
  std::string file;  // thousands of them, so not std::filesystem::path (six times as large)
  SegmentTime time;  // on the session's timeline, as its media says it: may begin before the session or end after it
  std::size_t samples = 0;
};

// Segments of one session on one media timeline, with one initialization.
struct TakenRun {
  TrackKind kind = TrackKind::video;
  InitInfo init;
  std::filesystem::path init_file;
  Micros origin{0};                    // what the media timeline shows at the session's start
  Micros early{0};                     // by how much all of it may be earlier than its times say
  std::vector<TakenSegment> segments;  // in time order
};

// A segment the session asked for and did not get.
struct Missing {
  TrackKind kind = TrackKind::video;
  Interval interval;
  ErrorKind why = ErrorKind::not_found;
  std::string reason;
};

// All that one session has, on its own timeline.
struct Taken {
  std::vector<TrackKind> kinds;  // those its manifest names and it wants
  std::vector<TakenRun> runs;
  std::vector<Missing> missing;
};

// A run of segments as it goes into the clip.
struct TakenPart {
  InitInfo init;
  std::filesystem::path init_file;
  std::vector<std::string> segments;
  Micros origin{0};  // what the media timeline shows at the window's start
  // Where its media reaches beyond the window and is cut: from the last key frame that is no later, to the last frame
  // shown before.
  std::optional<Micros> from = {};
  std::optional<Micros> to = {};
};

// One track of a window. Its parts may have several initializations, all of one encoding.
struct TakenTrack {
  TrackKind kind = TrackKind::video;
  std::vector<TakenPart> parts;  // in time order, none without segments
  std::size_t samples = 0;
  std::vector<Interval> gaps;                    // parts of the window no segment covers
  std::string reason;                            // why there are gaps; empty when there are none
  ErrorKind why_missing = ErrorKind::not_found;  // transient where one of the gaps was not the device's own answer
  // Set in a foreseen track, whose segments are still being fetched: waits for the segment of this index; false when
  // it will not come. From one thread.
  std::function<bool(std::size_t, std::stop_token)> wait_for;
};

}  // namespace responder::media
