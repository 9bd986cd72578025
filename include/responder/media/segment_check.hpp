// Looks at an initialization segment or a media segment before it may go near the demuxer: one truncated segment
// ruins all frames after it, and an error page is no segment. Reads the structure (ISO BMFF boxes, EBML elements),
// not the samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "responder/base/error.hpp"
#include "responder/media/manifest.hpp"

namespace responder::media {

enum class Container { mp4, webm };

struct InitInfo {
  Container container = Container::mp4;
  std::string sha256;             // hex, of the whole segment: a changed one means other parameters
  std::string codec;              // sample entry ("avc1") or WebM codec id ("A_OPUS")
  std::int64_t timescale = 1000;  // ticks a second of the decode times
  std::uint32_t track_id = 0;     // mp4
  unsigned nal_length_bytes = 0;  // mp4 video: the length before each NAL unit
};

struct SegmentInfo {
  Micros decode_time{0};  // of its first sample, on the media timeline
  std::size_t samples = 0;
};

inline constexpr std::size_t max_init_bytes = 1U << 20U;
inline constexpr std::size_t max_segment_bytes = 64U << 20U;

// An Error says what is wrong: empty, an error page, truncated, another codec than `kind` can have.
Result<InitInfo> check_init(const std::filesystem::path& file, TrackKind kind);
Result<SegmentInfo> check_segment(const std::filesystem::path& file, const InitInfo& init);

}  // namespace responder::media
