#include "responder/base/outage.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace responder {

bool Outage::note_failing(SteadyTime now) {
  using std::chrono::minutes;
  constexpr std::array pauses{minutes(1), minutes(5), minutes(15), minutes(60)};
  if (!since_) {
    since_ = next_line_ = now;
    lines_ = 0;
  }
  if (now < next_line_) return false;
  next_line_ = now + pauses[std::min<std::size_t>(static_cast<std::size_t>(lines_++), pauses.size() - 1)];
  return true;
}

std::optional<std::chrono::seconds> Outage::note_working(SteadyTime now) {
  const auto since = std::exchange(since_, std::nullopt);
  if (!since) return std::nullopt;
  return std::chrono::floor<std::chrono::seconds>(now - *since);
}

}  // namespace responder
