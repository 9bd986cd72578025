// MPEG-DASH manifests (ISO/IEC 23009-1), the static and template-addressed part of the standard that cameras use.
// Pure: text in, segments out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/error.hpp"
#include "responder/net/url.hpp"

namespace responder::media {

using Micros = std::chrono::microseconds;

enum class TrackKind { video, audio };
std::string_view to_string(TrackKind kind);

inline constexpr std::size_t max_manifest_bytes = 4U << 20U;
inline constexpr std::size_t max_segments = 50'000;  // more than a day of 2 s segments

// On the session's timeline: 0 is the start that was asked for.
struct SegmentTime {
  Micros start{0};
  Micros duration{0};

  Micros end() const { return start + duration; }
};

struct Segment {
  SegmentTime time;
  net::Url url;
  net::Url init;  // what initializes it
};

// The chosen Representation of one kind, its segments computed as they are asked for.
class Track {
 public:
  // Segments of equal length that follow one another.
  struct Run {
    std::int64_t first_number = 1;
    std::int64_t first_time = 0;  // in ticks, as $Time$ says it
    std::int64_t duration = 0;    // in ticks
    std::size_t count = 0;
    std::size_t first_index = 0;  // in its part; set by add()
  };
  // One Period's share of the track.
  struct Part {
    std::vector<net::Url> bases;  // the places where its segments may be, never none
    std::string media_template;
    std::string init_template;
    std::string representation_id;
    std::uint64_t bandwidth = 0;
    std::int64_t timescale = 1;
    std::int64_t presentation_offset = 0;  // ticks of the media timeline at the Period's start
    Micros period_start{0};
    std::string manifest_origin;
    std::string manifest_query;
    std::vector<Run> runs;
    std::size_t count = 0;
    std::size_t first_index = 0;  // in the track; set by add()
    Micros end{0};                // of the Period or of its SegmentTimeline; may fall inside the last segment

    Result<net::Url> resolve(std::string_view reference, std::size_t place) const;
  };

  Track(TrackKind kind, std::string codecs) : kind_(kind), codecs_(std::move(codecs)) {}
  void add(Part part);

  TrackKind kind() const { return kind_; }
  const std::string& codecs() const { return codecs_; }  // RFC 6381, may be empty
  std::size_t size() const { return size_; }
  Micros end() const { return parts_.empty() ? Micros(0) : parts_.back().end; }
  // Periods: each may have an initialization and a media timeline of its own.
  std::size_t parts() const { return parts_.size(); }
  std::size_t part_of(std::size_t index) const;  // `index` < size()
  // What a part's media timeline shows at the session's start, as @presentationTimeOffset tells it.
  Micros presentation_offset(std::size_t part) const;
  // How many places may have a segment: `place` < places(index).
  std::size_t places(std::size_t index) const;
  Result<Segment> at(std::size_t index, std::size_t place = 0) const;
  // The same without its URLs, for the many times only the times are wanted. `index` < size().
  SegmentTime time_of(std::size_t index) const;

 private:
  struct Position {
    const Part* part;
    std::int64_t number;
    std::int64_t time;
    std::int64_t duration;
  };
  Position position_of(std::size_t index) const;

  TrackKind kind_;
  std::string codecs_;
  std::vector<Part> parts_;
  std::size_t size_ = 0;
};

struct Manifest {
  std::optional<Track> video;
  std::optional<Track> audio;
};

// `url` is where the manifest came from. `asked_start` and `asked_duration` are the window of the session: for a
// timeline in epoch time, and where the manifest gives no duration.
Result<Manifest> parse_manifest(std::string_view xml, const net::Url& url, std::chrono::sys_seconds asked_start,
                                std::chrono::seconds asked_duration);

}  // namespace responder::media
