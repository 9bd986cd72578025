// The connections that belong to one device: to its own origin with the trust that goes with it, to any other host
// that a manifest may name as to a stranger. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "responder/base/synchronized.hpp"
#include "responder/net/http_client.hpp"

namespace responder::net {

class Connections {
 public:
  // `max_connections` at once to each origin.
  Connections(Url own, Trust own_trust, Trust others_trust, ClientLimits limits, std::size_t max_connections);

  // The pool for the origin of `url`, valid as long as this. An Error when a device sends us to too many hosts, or
  // from https to http: what came from there would be unauthenticated.
  Result<ConnectionPool*> to(const Url& url);
  std::size_t max_connections() const { return max_connections_; }

 private:
  const std::string own_origin_;
  const bool own_is_https_;
  const Trust own_trust_;
  const Trust others_trust_;
  const ClientLimits limits_;
  const std::size_t max_connections_;
  Synchronized<std::map<std::string, std::unique_ptr<ConnectionPool>>> pools_;
};

}  // namespace responder::net
