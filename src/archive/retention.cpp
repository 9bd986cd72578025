#include "responder/archive/retention.hpp"

#include <algorithm>

namespace responder::archive {

Retention::Retention(RetentionLimits limits, WallTime now, std::uint64_t lacking)
    : limits_(std::move(limits)), now_(now), weights_(limits_.bytes.size()), lacking_(lacking) {}

bool Retention::must_weigh() const {
  return lacking_ > 0 ||
         std::any_of(limits_.bytes.begin(), limits_.bytes.end(), [](auto limit) { return limit > 0; });
}

bool Retention::is_aged(const LimitedClip& clip) const {
  const auto age = limits_.ages[clip.age_limit];
  return age.count() > 0 && now_ - WallTime(clip.end) > age;
}

bool Retention::has_limit(const LimitedClip& clip) const {
  return limits_.ages[clip.age_limit].count() > 0 || limits_.bytes[clip.bytes_limit] > 0;
}

void Retention::weigh(const LimitedClip& clip) {
  if (clip.may_go && is_aged(clip)) {
    aged_ += clip.bytes;
    return;
  }
  auto& weight = weights_[clip.bytes_limit];
  weight.all += clip.bytes;
  if (!clip.may_go) weight.kept += clip.bytes;
  if (clip.may_go && has_limit(clip)) limited_ += clip.bytes;
}

// What is still to go of a limit's clips. Where what is kept is more by itself, the others would go in vain.
std::uint64_t Retention::excess(std::size_t limit) const {
  const auto& weight = weights_[limit];
  const auto most = limits_.bytes[limit];
  return most > 0 && weight.kept <= most && weight.all > most ? weight.all - most : 0;
}

// What goes by itself makes room as well. Where all that may go would not be enough, nothing goes in vain.
void Retention::settle_lacking() {
  judging_ = true;
  std::uint64_t excess_bytes = 0;
  for (std::size_t limit = 0; limit < weights_.size(); ++limit) excess_bytes += excess(limit);
  lacking_ -= std::min(lacking_, aged_ + excess_bytes);
  const auto could_go = limited_ - std::min(limited_, excess_bytes);
  if (lacking_ > could_go) lacking_ = 0;
}

Removal Retention::judge(const LimitedClip& clip) {
  if (!judging_) settle_lacking();
  if (!clip.may_go) return Removal::none;
  if (is_aged(clip)) return Removal::by_age;
  auto& weight = weights_[clip.bytes_limit];
  const auto leave = [&] { weight.all -= std::min(weight.all, clip.bytes); };
  if (excess(clip.bytes_limit) > 0) {
    leave();
    return Removal::by_bytes;
  }
  if (lacking_ == 0 || !has_limit(clip)) return Removal::none;
  leave();
  lacking_ -= std::min(lacking_, clip.bytes);
  return Removal::for_room;
}

bool Retention::is_over(std::chrono::sys_seconds end) const {
  if (!judging_ || lacking_ > 0) return false;
  for (std::size_t limit = 0; limit < weights_.size(); ++limit) {
    if (excess(limit) > 0) return false;
  }
  return std::none_of(limits_.ages.begin(), limits_.ages.end(),
                      [&](std::chrono::days age) { return age.count() > 0 && now_ - WallTime(end) > age; });
}

std::vector<std::size_t> Retention::filled_by_kept() const {
  std::vector<std::size_t> filled;
  for (std::size_t limit = 0; limit < weights_.size(); ++limit) {
    if (limits_.bytes[limit] > 0 && weights_[limit].kept > limits_.bytes[limit]) filled.push_back(limit);
  }
  return filled;
}

}  // namespace responder::archive
