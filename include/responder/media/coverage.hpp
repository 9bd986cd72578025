// Which parts of a timeline are there.
#pragma once

#include <algorithm>
#include <vector>

#include "responder/media/taken.hpp"

namespace responder::media {

// Timelines round: parts shorter than this are not missing.
inline constexpr Micros rounding{250'000};

// At the ends a little more is allowed: a device begins and ends with whole frames, and with key frames where it can.
inline constexpr Micros allowed_at_ends{900'000};

// Intervals in order, merged where they touch, but for what the rounding of ticks to microseconds makes: a day of
// footage is one interval, and adding to it is cheap.
class Coverage {
 public:
  void add(Interval part) {
    constexpr Micros hair{1000};
    const auto first = std::partition_point(intervals_.begin(), intervals_.end(),
                                            [&](const Interval& one) { return one.end + hair < part.start; });
    auto last = first;
    for (; last != intervals_.end() && last->start <= part.end + hair; ++last)
      part = {std::min(part.start, last->start), std::max(part.end, last->end)};
    if (first == last) {
      intervals_.insert(first, part);
      return;
    }
    *first = part;
    intervals_.erase(std::next(first), last);
  }

  void add(const Taken& taken, TrackKind kind) {
    for (const auto& run : taken.runs) {
      if (run.kind != kind) continue;
      for (const auto& segment : run.segments) add({segment.time.start, segment.time.end()});
    }
  }

  // How much of `part` is not there.
  Micros uncovered(Interval part) const {
    Micros left = std::max(Micros(0), part.end - part.start);
    auto one = std::partition_point(intervals_.begin(), intervals_.end(),
                                    [&](const Interval& earlier) { return earlier.end <= part.start; });
    for (; one != intervals_.end() && one->start < part.end; ++one)
      left -= std::max(Micros(0), std::min(one->end, part.end) - std::max(one->start, part.start));
    return left;
  }

  // The parts of [0, window) that are not there.
  std::vector<Interval> gaps(Micros window) const {
    std::vector<Interval> gaps;
    Micros reached{0};
    for (const auto& one : intervals_) {
      const Micros allowed = reached == Micros(0) ? allowed_at_ends : rounding;
      if (one.start - reached > allowed) gaps.push_back({std::max(reached, Micros(0)), one.start});
      reached = std::max(reached, one.end);
    }
    if (window - reached > allowed_at_ends) gaps.push_back({reached, window});
    return gaps;
  }

  const std::vector<Interval>& intervals() const { return intervals_; }

 private:
  std::vector<Interval> intervals_;
};

}  // namespace responder::media
