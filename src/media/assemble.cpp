#include "responder/media/assemble.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "responder/media/coverage.hpp"

namespace responder::media {
namespace {

// A segment that may go into the track.
struct Piece {
  const TakenRun* run;
  const TakenSegment* segment;
  Interval at;  // on the window's timeline
  std::size_t contribution;
  std::optional<Micros> cut_at = {};  // its media goes on, and is no footage from there on
};

// What ends sooner after the window's start than this has no sample in the window.
Micros sample_length(const TakenSegment& segment) {
  return segment.samples == 0 ? Micros(0) : segment.time.duration / static_cast<Micros::rep>(segment.samples);
}

// In the order of preference.
std::vector<Piece> pieces_of(std::span<const Contribution> contributions, TrackKind kind, Micros window) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < contributions.size(); ++i) {
    for (const auto& run : contributions[i].taken->runs) {
      if (run.kind != kind) continue;
      for (const auto& segment : run.segments) {
        const Interval at{segment.time.start + contributions[i].shift, segment.time.end() + contributions[i].shift};
        const bool is_inside = at.end > sample_length(segment) && at.start - run.early < window;
        if (is_inside) pieces.push_back({&run, &segment, at, i});
      }
    }
  }
  return pieces;
}

// What of the pieces is footage.
void leave_out(std::vector<Piece>& pieces, std::span<const Interval> absent) {
  std::erase_if(pieces, [&](Piece& piece) {
    for (const auto& one : absent) {
      if (one.end <= piece.at.start || piece.at.end <= one.start) continue;
      if (one.start <= piece.at.start + rounding) return true;
      piece.at.end = one.start;
      piece.cut_at = one.start;
    }
    return false;
  });
}

// The encoding that covers most of the window; the better session's where two cover the same.
std::string main_encoding(const std::vector<Piece>& pieces) {
  std::map<std::string, Coverage> by_encoding;
  std::vector<std::string> in_order;
  for (const auto& piece : pieces) {
    if (by_encoding.count(piece.run->init.encoding) == 0) in_order.push_back(piece.run->init.encoding);
    by_encoding[piece.run->init.encoding].add(piece.at);
  }
  if (in_order.size() < 2) return in_order.empty() ? "" : in_order.front();
  const auto uncovered = [&](const std::string& encoding) {
    constexpr Interval everything{Micros(0), std::chrono::hours(24 * 366)};
    return by_encoding[encoding].uncovered(everything);
  };
  return *std::min_element(in_order.begin(), in_order.end(), [&](const std::string& a, const std::string& b) {
    return uncovered(a) + rounding < uncovered(b);
  });
}

TakenPart make_part(const Piece& first, const Contribution& from, Micros window) {
  TakenPart part;
  part.init = first.run->init;
  part.init_file = first.run->init_file;
  part.origin = first.run->origin - from.shift;
  if (from.shift < Micros(0)) part.from = Micros(0);
  if (from.shift + from.span > window) part.to = window + first.run->early;
  return part;
}

bool overlap(Interval a, Interval b) { return a.start < b.end && b.start < a.end; }

// Why the first gap is one.
void explain(TakenTrack& track, std::span<const Contribution> contributions) {
  bool named = false;
  for (const auto& contribution : contributions) {
    for (const auto& missing : contribution.taken->missing) {
      const Interval at{missing.interval.start + contribution.shift, missing.interval.end + contribution.shift};
      const bool in_a_gap =
          missing.kind == track.kind &&
          std::any_of(track.gaps.begin(), track.gaps.end(), [&](const Interval& gap) { return overlap(gap, at); });
      if (!in_a_gap) continue;
      if (track.reason.empty()) track.reason = missing.reason;
      // One that is wrong for good does not keep the others from being tried.
      if (missing.why != ErrorKind::not_found) track.why_missing = ErrorKind::transient;
      named = true;
    }
  }
  if (!named && track.reason.empty()) track.reason = "the device recorded less than the window";
}

// Whether others have all of it but what rounding makes. A short segment that nobody else has is no rounding.
bool has_nothing_new(Interval part, const Coverage& coverage) {
  const Micros uncovered = coverage.uncovered(part);
  return uncovered == Micros(0) || (uncovered <= rounding && uncovered * 2 < part.end - part.start);
}

TakenTrack assemble_track(std::span<const Contribution> contributions, TrackKind kind, Micros window,
                          std::span<const Interval> absent) {
  TakenTrack track;
  track.kind = kind;
  auto pieces = pieces_of(contributions, kind, window);
  leave_out(pieces, absent);
  const auto encoding = main_encoding(pieces);
  Coverage coverage;
  bool other_encodings = false;
  std::erase_if(pieces, [&](const Piece& piece) {
    const Interval inside{std::max(piece.at.start, Micros(0)), std::min(piece.at.end, window)};
    const bool is_beyond = piece.at.start >= window;  // may be earlier than it says
    if (!is_beyond && has_nothing_new(inside, coverage)) return true;
    if (piece.run->init.encoding != encoding) {
      other_encodings = true;
      return true;
    }
    coverage.add(piece.at);
    return false;
  });
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.at.start < b.at.start; });
  const Piece* last = nullptr;
  for (const auto& piece : pieces) {
    if (piece.at.start >= window && (last == nullptr || last->run != piece.run)) continue;
    if (last != nullptr && last->run != piece.run && piece.at.start < last->at.end) {
      // They overlap: the next one takes over where it begins, with a key frame.
      auto& to = track.parts.back().to;
      to = std::min(to.value_or(piece.at.start), piece.at.start);
    }
    if (last == nullptr || last->run != piece.run || last->cut_at)
      track.parts.push_back(make_part(piece, contributions[piece.contribution], window));
    if (auto& to = track.parts.back().to; piece.cut_at) to = std::min(to.value_or(*piece.cut_at), *piece.cut_at);
    track.parts.back().segments.push_back(piece.segment->file);
    track.samples += piece.segment->samples;
    last = &piece;
  }
  track.gaps = coverage.gaps(window);
  if (track.gaps.empty()) return track;
  if (other_encodings)
    track.reason = fmt::format("the device changes the {} encoding in the window", to_string(kind));
  explain(track, contributions);
  return track;
}

}  // namespace

std::vector<TakenTrack> assemble(std::span<const Contribution> best_first, Micros window,
                                 std::span<const Interval> absent) {
  std::vector<TakenTrack> tracks;
  for (const auto kind : {TrackKind::video, TrackKind::audio}) {
    const bool named = std::any_of(best_first.begin(), best_first.end(), [&](const Contribution& one) {
      const auto& kinds = one.taken->kinds;
      return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
    });
    if (named) tracks.push_back(assemble_track(best_first, kind, window, absent));
  }
  return tracks;
}

}  // namespace responder::media
