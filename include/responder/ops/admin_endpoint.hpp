// /healthz, /readyz and /metrics. Knows nothing of how the parts work: each offers what it has to say of itself.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/secret.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/net/http_front.hpp"
#include "responder/ops/metrics.hpp"

namespace responder::ops {

// One part's. Any that is unready makes /readyz 503; what is degraded does its work later.
struct Readiness {
  enum class State { ok, degraded, unready };
  State state = State::ok;
  std::string detail = "ok";
};

class AdminEndpoint {
 public:
  using Probe = std::function<Readiness()>;  // from any thread: quick

  struct Options {
    Secret token;                   // empty: anybody may ask
    std::function<void()> refresh;  // brings gauges up to date before they are shown
    std::function<bool()> alive;    // whether the loops come round
    // Writes to the journal, and tells how that went, from any thread, some time or never.
    std::function<void(std::function<void(Result<void>)>)> try_journal;
  };

  AdminEndpoint(Options options, Metrics& metrics, Clock& clock)
      : options_(std::move(options)), metrics_(metrics), clock_(clock) {}

  void add_probe(std::string part, Probe probe) {
    probes_.emplace_back(std::move(part), std::move(probe));
  }  // before the first handle()

  void handle(const net::ServerRequest& request, net::ReplySlot reply);

  // Answers as /readyz does, whoever asks: for a place that only the owner reaches.
  void answer_readiness(net::ReplySlot reply);

  // What is known of the journal may have changed: the next who asks has it tried. From any thread.
  void doubt_readiness();

  // Answers who waits for a journal that does not. To be called every second or so.
  void tick();

 private:
  // Those who have asked for readiness; one try of the journal answers all, and who asks soon after it.
  struct Waiting {
    std::vector<net::ReplySlot> replies;
    bool trying = false;
    SteadyTime since;
    Readiness last = {};
    SteadyTime last_holds_until;
    bool doubted = false;  // since the try that is under way began
  };

  bool may_ask(const net::ServerRequest& request) const;
  void answer_all(const Readiness& journal, bool still_trying);
  net::ServerReply readiness(const Readiness& journal) const;

  const Options options_;
  Metrics& metrics_;
  Clock& clock_;
  std::vector<std::pair<std::string, Probe>> probes_;
  Synchronized<Waiting> waiting_;
};

}  // namespace responder::ops
