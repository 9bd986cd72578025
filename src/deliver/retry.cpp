#include "responder/deliver/retry.hpp"

#include <algorithm>

namespace responder::deliver {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds first_wait{2};
constexpr seconds longest_wait{3600};
constexpr int most_attempts = 82;  // 11 growing waits, then an hour each: three days
constexpr seconds wait_while_away{60};

}  // namespace

std::optional<milliseconds> delivery_delay(const Error& error, int attempt, double random) {
  if (error.kind == ErrorKind::permanent) return std::nullopt;
  if (!counts_as_attempt(error)) return wait_while_away;
  if (attempt >= most_attempts) return std::nullopt;
  const int doublings = std::clamp(attempt - 1, 0, 20);
  const auto grown = std::min<milliseconds>(first_wait * (1LL << doublings), longest_wait);
  const auto spread =
      milliseconds(static_cast<milliseconds::rep>(static_cast<double>(grown.count()) * (0.9 + random / 5)));
  return std::max<milliseconds>(spread, std::min(error.retry_after.value_or(seconds(0)), longest_wait));
}

bool counts_as_attempt(const Error& error) { return error.kind != ErrorKind::no_space; }

}  // namespace responder::deliver
