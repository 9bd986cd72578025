// Which of a track's segments fit to one another by their decode times.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <vector>

#include "responder/media/manifest.hpp"
#include "responder/media/segment_check.hpp"

namespace responder::media {

// A segment on disk: where its media says it is, and where the manifest does.
struct Placed {
  std::size_t index = 0;
  Micros decode_time{0};
  Micros duration{0};  // of its media; 0: not known
  SegmentTime nominal;

  Micros end() const { return decode_time + duration; }
};

using Chain = std::vector<Placed>;
using FileOfSegment = std::function<std::filesystem::path(std::size_t)>;

// Those of one part that fit to one another, and further ones where decode times jump in the part: a camera's clock
// is set, or it starts anew. Its segments go on to fit to one another then. What fits to nothing is left out, and so
// are copies of other segments: a device that serves the wrong ones is no clock that jumps. In the order of their
// segments.
std::vector<Chain> chains_of(const Chain& placed, const FileOfSegment& file_of);

// Where a segment begins on a timeline on which `before` begins at `start`: the numbers run on.
Micros begins_after(const Placed& before, Micros start, const Placed& next);

// Whether a segment of an earlier attempt was cut where the device's manifest ended then: it may be whole by now.
// Others are shorter than named as well, but their neighbour follows at once.
bool was_cut(const Placed& placed, const std::map<std::size_t, SegmentInfo>& all, Micros end);

}  // namespace responder::media
