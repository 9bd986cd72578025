// /healthz, /readyz and /metrics. Knows nothing of how the parts work: each offers what it has to say of itself.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "responder/net/http_front.hpp"
#include "responder/ops/metrics.hpp"

namespace responder::ops {

// One part's readiness. A part that is not ready makes /readyz 503.
struct Readiness {
  bool ready = true;
  std::string detail;
};

class AdminEndpoint {
 public:
  using Probe = std::function<Readiness()>;  // on the listener's loop thread: quick

  // `refresh` brings gauges up to date before they are shown.
  AdminEndpoint(Metrics& metrics, std::function<void()> refresh) : metrics_(metrics), refresh_(std::move(refresh)) {}

  void add_probe(std::string part, Probe probe) {
    probes_.emplace_back(std::move(part), std::move(probe));
  }  // before the first handle()

  void handle(const net::ServerRequest& request, net::ReplySlot reply) const;

 private:
  net::ServerReply readiness() const;

  Metrics& metrics_;
  std::function<void()> refresh_;
  std::vector<std::pair<std::string, Probe>> probes_;
};

}  // namespace responder::ops
