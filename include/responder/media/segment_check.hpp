// Looks at an initialization segment or a media segment before it may go near the demuxer: one truncated segment
// ruins all frames after it, and an error page is no segment. Reads the structure (ISO BMFF boxes, EBML elements),
// not the samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "responder/base/error.hpp"
#include "responder/media/manifest.hpp"

namespace responder::media {

enum class Container { mp4, webm };

struct InitInfo {
  Container container = Container::mp4;
  std::string codec;                   // sample entry ("avc1") or WebM codec id ("A_OPUS")
  std::int64_t timescale = 1000;       // ticks a second of the decode times
  std::uint32_t track_id = 0;          // mp4
  std::uint32_t default_duration = 0;  // mp4: of a sample whose fragment does not say (trex)
  std::uint32_t default_size = 0;
  unsigned nal_length_bytes = 0;  // mp4 video: the length before each NAL unit
  // Hex SHA-256 of what decides whether two inits' samples may stand in one track: codec and its configuration.
  std::string encoding;
  std::vector<std::string> parameter_sets;  // mp4 H.264: the SPS that it names
};

struct SegmentInfo {
  Micros decode_time{0};  // of its first sample, on the media timeline
  std::size_t samples = 0;
  Micros duration{0};  // of all its samples; 0 where the container does not say
};

// Whether segments that came with one of them can be read with the other. Devices write an initialization anew for
// each session, with the time of day in it.
bool read_samples_alike(const InitInfo& a, const InitInfo& b);

inline constexpr std::size_t max_init_bytes = 1U << 20U;
inline constexpr std::size_t max_segment_bytes = 64U << 20U;

// An Error says what is wrong: empty, an error page, truncated, another codec than `kind` can have.
Result<InitInfo> check_init(const std::filesystem::path& file, TrackKind kind);
Result<SegmentInfo> check_segment(const std::filesystem::path& file, const InitInfo& init);

// A last box of size 0 goes to the end of its file. Once another segment is put behind it, it would swallow that: its
// true size is written into it.
Result<void> end_last_box(const std::filesystem::path& file, Container container);

}  // namespace responder::media
