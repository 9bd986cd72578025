#include "responder/archive/spool_budget.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace responder::archive {
namespace {

constexpr std::chrono::seconds asks_again_within{60};  // else it has gone away
constexpr std::chrono::minutes passed_over_at_most{10};
constexpr std::uint64_t least_step = 256U << 10U;  // by which a claim grows
constexpr std::uint64_t most_step = 64U << 20U;

std::uint64_t less(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

}  // namespace

std::uint64_t SpoolBudget::reserved() const {
  std::uint64_t sum = 0;
  for (const auto& [id, claim] : claims_) sum += claim.outstanding();
  return sum;
}

// By how much `more` bytes, and a clip of `clip` bytes beside them, would go past the limit. One clip is put together
// at a time, so that there has to be room for the largest.
std::uint64_t SpoolBudget::missing_room(std::uint64_t more, std::uint64_t clip) const {
  for (const auto& [id, claim] : claims_) clip = std::max(clip, claim.need.clip);
  return less(contents_.footage + contents_.clips + reserved() + more + clip, limits_.max_bytes);
}

bool SpoolBudget::disk_is_short() const {
  return contents_.disk_free && *contents_.disk_free < limits_.min_free_bytes;
}

bool SpoolBudget::clips_fill_it() const { return contents_.clips >= limits_.max_bytes / 2; }

// Whether the spool holds nothing but `own` bytes of footage, or little else.
bool SpoolBudget::is_all_there_is(std::uint64_t own) const {
  return own > 0 && contents_.clips == 0 && contents_.footage <= own + contents_.footage / 16;
}

bool SpoolBudget::another_goes_first(CaptureId capture, SteadyTime now) const {
  return first_ && first_->capture != capture && now < first_->until;
}

void SpoolBudget::need_room(std::uint64_t bytes, bool of_waiting, std::optional<CaptureId> for_capture) {
  shortage_.bytes = std::max(shortage_.bytes, bytes);
  if (!of_waiting) return;
  shortage_.of_waiting = true;
  shortage_.for_capture = for_capture;
}

SpoolShortage SpoolBudget::take_shortage() { return std::exchange(shortage_, {}); }

SteadyTime SpoolBudget::since(const Waiting& waiting) const {
  const bool for_clips = waiting.refusal.cause == SpoolRefusal::Cause::clips_wait;
  return for_clips ? std::max(waiting.since, clip_left_at_) : waiting.since;
}

SpoolRefusal SpoolBudget::refuse(SpoolRefusal::Cause cause, CaptureId capture, std::uint64_t asked, SteadyTime now) {
  std::erase_if(waiting_, [&](const auto& one) { return now - one.second.asked_at > asks_again_within; });
  const SpoolRefusal refusal{cause, asked, reserved(), contents_};
  auto& waiting = waiting_.try_emplace(capture, Waiting{now, now, refusal}).first->second;
  if (cause != waiting.refusal.cause) waiting.since = now;
  waiting.asked_at = now;
  waiting.refusal = refusal;
  waiting.refusal.since = since(waiting);
  const bool is_first = first_ && first_->capture == capture;
  if (cause == SpoolRefusal::Cause::queueing && !another_goes_first(capture, now) &&
      (is_first || now - waiting.since >= passed_over_at_most))
    first_ = First{capture, now + asks_again_within};
  return waiting.refusal;
}

std::variant<SpoolBudget::ClaimId, SpoolRefusal> SpoolBudget::admit(CaptureId capture, const SpoolNeed& need,
                                                                    SteadyTime now) {
  using Cause = SpoolRefusal::Cause;
  // What is fetched already needs room for its clip alone, and that is soon given back.
  if (disk_is_short() && (need.missing > 0 || *contents_.disk_free < need.clip)) {
    if (claims_.empty() && is_all_there_is(need.present)) return refuse(Cause::too_large, capture, need.missing, now);
    need_room(less(limits_.min_free_bytes, *contents_.disk_free) + need.missing, true, capture);
    return refuse(Cause::disk, capture, need.missing, now);
  }
  const auto lacks = missing_room(need.missing, need.clip);
  const bool may_go_before = need.is_live && lacks == 0;
  if (!may_go_before && another_goes_first(capture, now)) return refuse(Cause::queueing, capture, need.missing, now);
  const bool nobody_else = claims_.empty();
  if (lacks > 0 && (!nobody_else || clips_fill_it())) {
    need_room(lacks, false, {});
    return refuse(clips_fill_it() ? Cause::clips_wait : Cause::queueing, capture, need.missing, now);
  }
  if (lacks > 0) need_room(lacks, true, capture);
  waiting_.erase(capture);
  if (first_ && first_->capture == capture) first_.reset();
  claims_.emplace(next_claim_, Claim{capture, need, 0});
  return next_claim_++;
}

void SpoolBudget::add_fetched(ClaimId claim, std::uint64_t bytes) {
  contents_.footage += bytes;
  claims_.at(claim).fetched += bytes;
}

SpoolRefusal SpoolBudget::refuse_for_disk(ClaimId id, std::uint64_t bytes, SteadyTime now) {
  const auto& claim = claims_.at(id);
  if (claims_.size() == 1 && is_all_there_is(claim.need.present + claim.fetched))
    return refuse(SpoolRefusal::Cause::too_large, claim.capture, bytes, now);
  need_room(bytes, true, claims_.begin()->second.capture);
  if (is_oldest(id)) first_ = First{claim.capture, now + asks_again_within};
  return refuse(SpoolRefusal::Cause::disk, claim.capture, bytes, now);
}

std::optional<SpoolRefusal> SpoolBudget::check(ClaimId id, SteadyTime now) {
  auto& claim = claims_.at(id);
  const auto step = std::clamp(claim.need.missing / 8, least_step, most_step);
  if (disk_is_short()) {
    const auto lacks = limits_.min_free_bytes - *contents_.disk_free;
    return refuse_for_disk(id, lacks + std::max(claim.outstanding(), step), now);
  }
  if (claim.outstanding() > 0) return std::nullopt;
  const auto lacks = missing_room(step, 0);
  if (lacks > 0 && !is_oldest(id)) {
    need_room(lacks, false, {});
    return refuse(SpoolRefusal::Cause::queueing, claim.capture, step, now);
  }
  if (lacks > 0) need_room(lacks, true, claim.capture);
  claim.need.missing = claim.fetched + step;
  claim.need.clip = std::max(claim.need.clip, claim.need.present + claim.need.missing);
  return std::nullopt;
}

SpoolRefusal SpoolBudget::note_disk_full(ClaimId claim, std::uint64_t bytes, SteadyTime now) {
  return refuse_for_disk(claim, bytes, now);
}

bool SpoolBudget::has_room_beside(ClaimId id) const {
  const auto clip = claims_.at(id).need.clip;
  if (contents_.disk_free && *contents_.disk_free < limits_.min_free_bytes + reserved() + clip) return false;
  return missing_room(0, clip) == 0;
}

std::optional<SpoolRefusal> SpoolBudget::trouble(SteadyTime now) const {
  using Cause = SpoolRefusal::Cause;
  if (disk_is_short()) return SpoolRefusal{Cause::disk, 0, reserved(), contents_};
  std::optional<SpoolRefusal> longest;
  for (const auto& [capture, waiting] : waiting_) {
    if (now - waiting.asked_at > asks_again_within) continue;
    const auto cause = waiting.refusal.cause;
    if (cause == Cause::too_large) return waiting.refusal;
    if (cause != Cause::clips_wait || !clips_fill_it()) continue;
    if (longest && longest->since <= since(waiting)) continue;
    longest = waiting.refusal;
    longest->since = since(waiting);
  }
  return longest;
}

std::vector<std::size_t> choose_evictions(const std::vector<IdleFootage>& idle, const SpoolShortage& shortage) {
  enum class Kind { unwanted, of_published, of_waiting };
  struct Candidate {
    Kind kind;
    CaptureId order;  // the smallest goes first
    std::size_t place;
  };
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < idle.size(); ++i) {
    const auto& wanted = idle[i].wanted_by;
    if (wanted.empty()) {
      candidates.push_back({Kind::unwanted, 0, i});
      continue;
    }
    const auto oldest = *std::min_element(wanted.begin(), wanted.end());
    if (idle[i].only_by_published) {
      candidates.push_back({Kind::of_published, oldest, i});
    } else if (shortage.of_waiting) {
      candidates.push_back({Kind::of_waiting, -oldest, i});
    }
  }
  std::erase_if(candidates, [&](const Candidate& candidate) {
    const auto& wanted = idle[candidate.place].wanted_by;
    return shortage.for_capture && std::find(wanted.begin(), wanted.end(), *shortage.for_capture) != wanted.end();
  });
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.kind, a.order, a.place) < std::tie(b.kind, b.order, b.place);
  });
  std::vector<std::size_t> chosen;
  std::uint64_t freed = 0;
  for (const auto& candidate : candidates) {
    if (freed >= shortage.bytes) break;
    freed += idle[candidate.place].bytes;
    chosen.push_back(candidate.place);
  }
  return chosen;
}

}  // namespace responder::archive
