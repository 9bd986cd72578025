#include "responder/rhombus/presence_book.hpp"

#include <algorithm>

#include "responder/rhombus/directory.hpp"

namespace responder::rhombus {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds newest_not_known{120};
constexpr seconds believed_after{15 * 60};
constexpr seconds seam{2};  // shorter ones are no gaps
// Later, footage that was missing may have come, and footage that was there may have gone.
constexpr seconds fresh_for{60};
constexpr seconds kept_for{48 * 3600};       // of the past
constexpr std::size_t most_pieces = 20'000;  // of one camera

// In order, merged where they are less than `apart` from one another.
std::vector<Presence> merged(std::vector<Presence> pieces, seconds apart) {
  std::erase_if(pieces, [](const Presence& one) { return one.end <= one.start; });
  std::sort(pieces.begin(), pieces.end(), [](const Presence& a, const Presence& b) { return a.start < b.start; });
  std::vector<Presence> whole;
  for (const auto& one : pieces) {
    if (!whole.empty() && one.start - whole.back().end < apart) {
      whole.back().end = std::max(whole.back().end, one.end);
    } else {
      whole.push_back(one);
    }
  }
  return whole;
}

// Both in order, `taken` as well.
std::vector<Presence> without(const std::vector<Presence>& pieces, const std::vector<Presence>& taken) {
  std::vector<Presence> left;
  auto next = taken.begin();
  for (auto piece : pieces) {
    while (next != taken.end() && next->end <= piece.start) ++next;
    for (auto one = next; one != taken.end() && one->start < piece.end; ++one) {
      if (one->start > piece.start) left.push_back({piece.start, one->start});
      piece.start = std::max(piece.start, one->end);
    }
    if (piece.start < piece.end) left.push_back(piece);
  }
  return left;
}

}  // namespace

void PresenceBook::note(const DeviceId& camera, Presence asked, const std::vector<Presence>& held, WallTime told_at) {
  const auto now = std::chrono::floor<seconds>(told_at);
  auto newest = sys_seconds::min();
  std::vector<Presence> footage;
  for (const auto& one : held) {
    if (one.start >= now) continue;  // of the future: nobody can have it
    footage.push_back({one.start, std::min(one.end, now)});
    newest = std::max(newest, footage.back().end);
  }
  const auto start = asked.start;
  const auto until = std::min(asked.end, std::max(std::min(newest, now - newest_not_known), now - believed_after));
  auto cameras = cameras_.lock();
  auto& known = (*cameras)[without_facet(camera)];
  known.told_at = told_at;
  if (asked.end >= now && newest > now - believed_after) known.lag = std::max(newest_not_known, now - newest);
  known.told_last = {start, until};
  if (until <= start) return;
  const std::vector<Presence> told{{start, until}};
  // What this answer tells of is as it says; of other times the earlier ones stand.
  auto all = without(known.footage, told);
  for (const auto& one : merged(std::move(footage), seam))
    all.push_back({std::max(one.start, start), std::min(one.end, until)});
  known.footage = merged(std::move(all), seconds(1));
  known.times.push_back(told.front());
  known.times = merged(std::move(known.times), seconds(1));
  const std::vector<Presence> too_old{{sys_seconds::min(), now - kept_for}};
  if (start > now - kept_for || known.footage.size() > most_pieces) {
    known.footage = without(known.footage, too_old);
    known.times = without(known.times, too_old);
  }
  if (known.footage.size() <= most_pieces) return;
  known.footage.erase(known.footage.begin(), known.footage.end() - static_cast<std::ptrdiff_t>(most_pieces));
  known.times = without(known.times, {{sys_seconds::min(), known.footage.front().start}});
}

bool PresenceBook::told_lately(const Known& known, Presence time, WallTime now) {
  return now - known.told_at <= fresh_for && known.told_last.start <= time.start && time.end <= known.told_last.end;
}

std::optional<std::vector<Presence>> PresenceBook::missing(const DeviceId& camera, Presence time,
                                                           WallTime now) const {
  auto cameras = cameras_.lock();
  const auto found = cameras->find(without_facet(camera));
  if (found == cameras->end()) return std::nullopt;
  const auto& known = found->second;
  if (!without({time}, known.times).empty()) return std::nullopt;
  auto missing = without({time}, known.footage);
  // At an end a second is rounding, elsewhere a seam.
  std::erase_if(missing, [](const Presence& one) { return one.end - one.start < seam; });
  if (!missing.empty() && !told_lately(known, time, now)) return std::nullopt;
  return missing;
}

bool PresenceBook::is_fresh(const DeviceId& camera, Presence time, WallTime now) const {
  auto cameras = cameras_.lock();
  const auto found = cameras->find(without_facet(camera));
  if (found == cameras->end()) return false;
  return told_lately(found->second, time, now);
}

std::chrono::seconds PresenceBook::lag(const DeviceId& camera) const {
  auto cameras = cameras_.lock();
  const auto found = cameras->find(without_facet(camera));
  return found == cameras->end() ? Known{}.lag : found->second.lag;
}

}  // namespace responder::rhombus
