// Real media for the stand-in's devices: a few seconds encoded once, then served for any moment as if recorded all
// along. Every video frame carries its wall-clock time in an SEI message, so that no two frames are alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fake_rhombus {

inline constexpr std::int64_t segment_seconds = 2;

// One sample as it stands in a container.
struct Sample {
  std::string data;              // video: length-prefixed NAL units
  std::int64_t decode_time = 0;  // in ticks of the track's timescale, since the epoch
  std::int64_t presentation_time = 0;
  std::int64_t duration = 0;
  bool key = false;
};

struct VideoProfile {
  int width = 320;
  int height = 180;
  int frames_per_second = 10;
  int b_frames = 0;
  std::int64_t bits_per_second = 0;  // frames are filled up to it; 0: as they come
  bool hevc = false;
  // 2: a key frame where each segment of a session begins, wherever that is. 1: one at each whole second, the same
  // frames for every session, as a camera has them that encodes once.
  int gop_seconds = 2;
  // Parameter sets stand in front of each key frame and not in the initialization: "avc3", and an empty "hev1".
  bool in_band = false;
};

// What a segment is cut from. Times are wall clock; a segment's number counts from the session's start.
class TrackLoop {
 public:
  virtual ~TrackLoop() = default;
  virtual std::int64_t timescale() const = 0;
  virtual std::string init_segment() const = 0;
  // Samples of [start, start + seconds) in decode order. `start` in epoch seconds.
  virtual std::vector<Sample> samples(std::int64_t start, std::int64_t seconds) const = 0;
  // The media segment with those samples; `time_base` (epoch seconds) is what the container's times count from.
  virtual std::string segment(std::int64_t start, std::int64_t seconds, std::int64_t time_base) const = 0;
};

std::shared_ptr<const TrackLoop> make_video(const VideoProfile& profile);
std::shared_ptr<const TrackLoop> make_aac();
std::shared_ptr<const TrackLoop> make_opus_webm();

}  // namespace fake_rhombus
