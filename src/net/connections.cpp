#include "responder/net/connections.hpp"

namespace responder::net {

Connections::Connections(Url own, Trust own_trust, Trust others_trust, ClientLimits limits,
                         std::size_t max_connections)
    : own_origin_(own.origin()),
      own_is_https_(own.scheme == "https"),
      own_trust_(std::move(own_trust)),
      others_trust_(std::move(others_trust)),
      limits_(limits),
      max_connections_(max_connections) {}

Result<ConnectionPool*> Connections::to(const Url& url) {
  constexpr std::size_t max_origins = 8;
  const std::string origin = url.origin();
  if (own_is_https_ && url.scheme != "https") {
    return Error{ErrorKind::permanent, origin + ": the device sends us from https to http, where nobody is known"};
  }
  auto pools = pools_.lock();
  if (pools->size() >= max_origins && !pools->contains(origin)) {
    return Error{ErrorKind::permanent, origin + ": the device sends us to too many hosts"};
  }
  auto& pool = (*pools)[origin];
  if (!pool) {
    pool = std::make_unique<ConnectionPool>(url, origin == own_origin_ ? own_trust_ : others_trust_, limits_,
                                            max_connections_);
  }
  return pool.get();
}

}  // namespace responder::net
