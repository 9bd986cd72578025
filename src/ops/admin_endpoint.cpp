#include "responder/ops/admin_endpoint.hpp"

#include <algorithm>

#include <openssl/crypto.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"

namespace responder::ops {
namespace {

constexpr std::chrono::seconds journal_patience{2};
// Each try is a synced write, and several proxies ask each second. A journal that has recovered is seen sooner.
constexpr std::chrono::seconds ready_holds{5};
constexpr std::chrono::seconds unready_holds{1};

std::string_view to_string(Readiness::State state) {
  switch (state) {
    case Readiness::State::ok: return "ok";
    case Readiness::State::degraded: return "degraded";
    case Readiness::State::unready: return "unready";
  }
  return "unready";
}

Readiness silent_journal() { return {Readiness::State::unready, "it has not answered for seconds"}; }

}  // namespace

net::ServerReply AdminEndpoint::readiness(const Readiness& journal) const {
  auto worst = Readiness::State::ok;
  JsonWriter json;
  json.begin_object();
  const auto add = [&](std::string_view part, const Readiness& one) {
    worst = std::max(worst, one.state);
    json.key(part).begin_object();
    json.field("status", to_string(one.state)).field("detail", one.detail).end_object();
  };
  add("journal", journal);
  for (const auto& [part, probe] : probes_) add(part, probe());
  json.field("status", to_string(worst)).end_object();
  return {.status = worst == Readiness::State::unready ? 503 : 200, .body = std::move(json).str()};
}

void AdminEndpoint::answer_readiness(net::ReplySlot reply) {
  bool is_silent = false;
  std::optional<Readiness> known;
  {
    auto waiting = waiting_.lock();
    const auto now = clock_.steady_now();
    is_silent = waiting->trying && now - waiting->since >= journal_patience;
    if (!waiting->trying && now < waiting->last_holds_until) {
      known = waiting->last;
    } else if (!is_silent) {
      waiting->replies.push_back(std::move(reply));
      if (std::exchange(waiting->trying, true)) return;
      waiting->since = now;
      waiting->doubted = false;
    }
  }
  // Outside the lock: what is called has locks of its own.
  if (known) return reply.send(readiness(*known));
  if (is_silent) return reply.send(readiness(silent_journal()));
  options_.try_journal([this](const Result<void>& tried) {
    answer_all(tried ? Readiness{} : Readiness{Readiness::State::unready, tried.error().message}, false);
  });
}

void AdminEndpoint::answer_all(const Readiness& journal, bool still_trying) {
  std::vector<net::ReplySlot> replies;
  {
    auto waiting = waiting_.lock();
    waiting->trying = still_trying;
    if (!still_trying) {
      const bool is_ready = journal.state == Readiness::State::ok;
      waiting->last = journal;
      const auto holds = is_ready ? ready_holds : unready_holds;
      waiting->last_holds_until = waiting->doubted ? SteadyTime{} : clock_.steady_now() + holds;
    }
    replies.swap(waiting->replies);
  }
  if (replies.empty()) return;
  const auto answer = readiness(journal);
  for (auto& reply : replies) reply.send(answer);
}

void AdminEndpoint::doubt_readiness() {
  auto waiting = waiting_.lock();
  waiting->doubted = true;
  waiting->last_holds_until = {};
}

void AdminEndpoint::tick() {
  bool is_silent = false;
  {
    auto waiting = waiting_.lock();
    is_silent = waiting->trying && clock_.steady_now() - waiting->since >= journal_patience;
  }
  if (is_silent) answer_all(silent_journal(), true);
}

// Compared in constant time: how long it takes tells nothing of the token.
bool AdminEndpoint::may_ask(const net::ServerRequest& request) const {
  constexpr std::string_view scheme = "bearer ";
  const auto token = options_.token.reveal();
  if (token.empty()) return true;
  const auto given = request.header("authorization").value_or("");
  if (given.size() != scheme.size() + token.size() || !iequals(given.substr(0, scheme.size()), scheme)) return false;
  return CRYPTO_memcmp(given.data() + scheme.size(), token.data(), token.size()) == 0;
}

void AdminEndpoint::handle(const net::ServerRequest& request, net::ReplySlot reply) {
  if (!may_ask(request)) {
    return reply.send({.status = 401,
                       .body = R"({"status":"error","reason":"the token of admin.token is needed"})",
                       .headers = {{"WWW-Authenticate", "Bearer"}}});
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return reply.send({.status = 405, .body = R"({"status":"error"})", .headers = {{"Allow", "GET, HEAD"}}});
  }
  if (request.path == "/healthz") {
    if (options_.alive()) return reply.send({.status = 200, .body = R"({"status":"ok"})"});
    return reply.send({.status = 503, .body = R"({"status":"hangs"})"});
  }
  if (request.path == "/readyz") return answer_readiness(std::move(reply));
  if (request.path == "/metrics") {
    options_.refresh();
    return reply.send(
        {.status = 200, .body = metrics_.exposition(), .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  }
  reply.send({.status = 404, .body = R"({"status":"error","reason":"no such path"})"});
}

}  // namespace responder::ops
