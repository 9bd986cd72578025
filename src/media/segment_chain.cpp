#include "segment_chain.hpp"

#include <algorithm>
#include <iterator>

#include "responder/base/file.hpp"
#include "responder/media/coverage.hpp"

namespace responder::media {
namespace {

// Whether `next` is where it should be: after `before`, by about as much as the manifest says. Real segments are a
// little longer or shorter than their nominal duration, so only the distance counts, not the sum.
bool follows(const Placed& next, const Placed& before) {
  const Micros tolerance = next.nominal.duration * 5 / 4 + Micros(500'000);
  if (next.decode_time <= before.decode_time) return false;
  const Micros distance = next.decode_time - before.decode_time;
  return std::chrono::abs(distance - (next.nominal.start - before.nominal.start)) <= tolerance;
}

// Whether `before` says that it lasts into `next`, which follows it at once.
bool lasts_into(const Placed& before, const Placed& next) {
  return before.duration > Micros(0) && next.index == before.index + 1 && next.decode_time + rounding < before.end();
}

// Of two neighbours that cannot both be right, whether it is the first that lies: it lasts too long although the
// second is where the manifest says, or it has jumped ahead of the one before it.
bool first_lies(const std::vector<Placed>& chain, const Placed& next) {
  const auto& first = chain.back();
  const Micros distance = next.decode_time - first.decode_time;
  if (std::chrono::abs(distance - (next.nominal.start - first.nominal.start)) <= rounding) return true;
  if (chain.size() < 2) return false;
  const auto& before = chain[chain.size() - 2];
  return before.index + 1 == first.index && before.duration > Micros(0) &&
         first.decode_time > before.end() + rounding && follows(next, before);
}

bool follows_at_once(const Placed& next, const Placed& before) {
  return before.duration > Micros(0) && next.index == before.index + 1 &&
         std::chrono::abs(next.decode_time - before.end()) <= rounding;
}

// Whether a segment that begins before the chain ends is no lie of its own: those after it go on from it, and are not
// where the chain has them.
bool jumps_back(const Chain& chain, const Chain& placed, std::size_t at) {
  if (at + 2 >= placed.size()) return false;
  const auto& third = placed[at + 2];
  const Micros distance = third.decode_time - chain.back().decode_time;
  return follows_at_once(placed[at + 1], placed[at]) && follows_at_once(third, placed[at + 1]) &&
         std::chrono::abs(distance - (third.nominal.start - chain.back().nominal.start)) > rounding;
}

// Those of one media timeline that fit to one another, up to where it jumps back; what lies about its time is left
// out.
std::vector<Placed> chain_of(const std::vector<Placed>& placed) {
  std::vector<Placed> chain;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const bool lonely = chain.empty() && i + 1 < placed.size() && !follows(placed[i + 1], placed[i]);
    if (lonely) continue;
    if (!chain.empty() && lasts_into(chain.back(), placed[i])) {
      const bool this_lies = !first_lies(chain, placed[i]);
      if (this_lies && jumps_back(chain, placed, i)) return chain;
      if (this_lies) continue;
      chain.pop_back();
    }
    if (chain.empty() || follows(placed[i], chain.back())) chain.push_back(placed[i]);
  }
  return chain;
}

// What `chain` leaves out of `placed`, in pieces: before it, between two of its segments, after it.
std::vector<Chain> left_out_by(const Chain& chain, const Chain& placed) {
  std::vector<Chain> groups(1);
  std::size_t next = 0;
  for (const auto& one : placed) {
    if (next < chain.size() && chain[next].index == one.index) {
      ++next;
      if (!groups.back().empty()) groups.emplace_back();
    } else {
      groups.back().push_back(one);
    }
  }
  return groups;
}

std::vector<Chain> all_chains_of(const Chain& placed) {
  constexpr std::size_t most_chains = 32;
  std::vector<Chain> chains;
  std::vector<Chain> groups{placed};
  while (!groups.empty() && chains.size() < most_chains) {
    const auto group = std::move(groups.back());
    groups.pop_back();
    auto chain = chain_of(group);
    if (chain.size() < (chains.empty() ? 1 : 2)) continue;
    for (auto& rest : left_out_by(chain, group)) {
      if (rest.size() > 1) groups.push_back(std::move(rest));
    }
    chains.push_back(std::move(chain));
  }
  std::sort(chains.begin(), chains.end(),
            [](const Chain& a, const Chain& b) { return a.front().index < b.front().index; });
  return chains;
}

// Whether a chain begins with a copy of a segment of another one. Where both begin with the same, it is the shorter
// one that lies.
bool begins_with_copy(const Chain& chain, const Chain& other, const FileOfSegment& file_of) {
  const auto& first = chain.front();
  const auto same_time = std::find_if(other.begin(), other.end(), [&](const Placed& one) {
    return one.decode_time == first.decode_time && one.index != first.index;
  });
  if (same_time == other.end() || (same_time == other.begin() && chain.size() > other.size())) return false;
  const auto one = read_file(file_of(first.index), max_segment_bytes);
  const auto another = read_file(file_of(same_time->index), max_segment_bytes);
  return one && another && *one == *another;
}

}  // namespace

std::vector<Chain> chains_of(const Chain& placed, const FileOfSegment& file_of) {
  const auto all = all_chains_of(placed);
  auto chains = all;
  for (auto& chain : chains) {
    const auto is_copied = [&](const Chain& other) {
      return &other != &chain && begins_with_copy(chain, other, file_of);
    };
    while (!chain.empty() && std::any_of(chains.begin(), chains.end(), is_copied)) chain.erase(chain.begin());
  }
  std::vector<Chain> sound;
  for (std::size_t i = 0; i < chains.size(); ++i) {
    auto& chain = chains[i];
    if (chain.empty()) continue;
    // Without the copies the clock may be what it was.
    const bool goes_on =
        chain.size() < all[i].size() && !sound.empty() && follows(chain.front(), sound.back().back());
    if (goes_on) {
      sound.back().insert(sound.back().end(), chain.begin(), chain.end());
    } else {
      sound.push_back(std::move(chain));
    }
  }
  return sound;
}

Micros begins_after(const Placed& before, Micros start, const Placed& next) {
  const bool at_once = next.index == before.index + 1 && before.duration > Micros(0);
  return start + (at_once ? before.duration : next.nominal.start - before.nominal.start);
}

bool was_cut(const Placed& placed, const std::map<std::size_t, SegmentInfo>& all, Micros end) {
  if (placed.duration == Micros(0)) return false;
  if (placed.duration + rounding >= std::min(placed.nominal.duration, end - placed.nominal.start)) return false;
  const auto next = all.find(placed.index + 1);
  return next == all.end() || next->second.decode_time > placed.end() + rounding;
}

}  // namespace responder::media
