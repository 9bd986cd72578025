// Taken segments into one MP4: every packet as the device sent it, video and audio interleaved by time, index first.
#pragma once

#include <chrono>
#include <filesystem>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/media/taken.hpp"

namespace responder::media {

struct ClipMetadata {
  std::string title;
  std::chrono::sys_seconds window_start;
};

struct StreamSummary {
  TrackKind kind = TrackKind::video;
  std::string codec;
  int width = 0;
  int height = 0;
  std::size_t packets = 0;
};

struct ClipSummary {
  std::vector<StreamSummary> streams;
  WallTime starts_at;  // wall clock of the clip's time 0
  Micros duration{0};
  std::uint64_t bytes = 0;
};

// Writes `output` (emptied first), not synced. `tracks` have a segment each and are of the same window.
// Memory grows with the number of packets (about 100 bytes each), not with their size. Thread-safe.
Result<ClipSummary> remux(std::span<const TakenTrack> tracks, const std::filesystem::path& output,
                          const ClipMetadata& metadata, std::stop_token stop);

}  // namespace responder::media
