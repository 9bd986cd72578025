// The webhook listener's answers: routes, verifies the raw bytes, parses, hands the alert to the intake and answers
// when it is on disk. The table of answers is README.md's.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/secret.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/ingest/intake.hpp"
#include "responder/ingest/refusals.hpp"
#include "responder/net/http_front.hpp"
#include "responder/net/trusted_proxies.hpp"

namespace responder::ingest {

struct WebhookOptions {
  std::string path = "/webhook/rhombus";
  bool allow_unsigned = false;
  net::TrustedProxies trusted_proxies;
};

// Runs on the listener's loop thread and never blocks it. set_secrets() and report_refusals() may be called from any
// thread.
class WebhookEndpoint {
 public:
  // Told the result of each request: accepted, duplicate, ignored, unsigned, wrong_signature, malformed,
  // not_recorded, …
  using Observer = std::function<void(std::string_view result)>;

  WebhookEndpoint(WebhookOptions options, std::vector<Secret> secrets, Intake& intake, Clock& clock,
                  Observer observer);

  void handle(net::ServerRequest request, net::ReplySlot reply);

  void set_secrets(std::vector<Secret> secrets);

  // To be called every few seconds: the log hears of refused requests once a minute.
  void report_refusals() { refusals_.report(); }

 private:
  struct Refusal {
    net::ServerReply reply;
    SteadyTime not_before = {};
  };

  net::ServerReply refuse(int status, std::string_view result, std::string_view reason) const;
  Refusal refuse_signature(std::string_view result, std::string_view reason, std::string_view hint,
                           const std::string& from);
  Refusal refuse_body(const net::ServerRequest& request, std::string_view reason, const std::string& from);
  std::optional<Refusal> check(const net::ServerRequest& request, const std::string& from);

  const WebhookOptions options_;
  Intake& intake_;
  Clock& clock_;
  const Observer observer_;
  Synchronized<std::vector<Secret>> secrets_;
  Refusals refusals_;
  rhombus::WebhookParser parser_;  // of the loop thread
};

}  // namespace responder::ingest
