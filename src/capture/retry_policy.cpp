#include "responder/capture/retry_policy.hpp"

#include <algorithm>

namespace responder::capture {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Backoff {
  seconds first;
  seconds most;
};

std::optional<Backoff> backoff_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::transient: return Backoff{seconds(2), seconds(300)};
    case ErrorKind::not_yet: return Backoff{seconds(1), seconds(10)};
    case ErrorKind::not_found: return Backoff{seconds(5), seconds(600)};
    case ErrorKind::auth: return Backoff{seconds(10), seconds(600)};
    case ErrorKind::no_space: return Backoff{seconds(10), seconds(30)};
    case ErrorKind::cancelled: return Backoff{seconds(0), seconds(0)};
    case ErrorKind::permanent: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<milliseconds> retry_delay(const Error& error, int attempt, double random) {
  const auto backoff = backoff_of(error.kind);
  if (!backoff) return std::nullopt;
  const int doublings = std::clamp(attempt - 1, 0, 20);
  const auto grown = std::min<milliseconds>(milliseconds(backoff->first) * (1LL << doublings), backoff->most);
  // Between half and all of it.
  const auto spread =
      milliseconds(static_cast<milliseconds::rep>(static_cast<double>(grown.count()) * (0.5 + random / 2)));
  constexpr seconds longest_asked{3000};  // the journal takes what is put off by more than an hour for a mistake
  return std::max<milliseconds>(spread, std::min(error.retry_after.value_or(seconds(0)), longest_asked));
}

}  // namespace responder::capture
