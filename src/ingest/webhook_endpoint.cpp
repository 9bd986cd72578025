#include "responder/ingest/webhook_endpoint.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/rhombus/signature.hpp"

namespace responder::ingest {
namespace {

std::string status_body(std::string_view status, std::string_view reason) {
  JsonWriter json;
  json.begin_object().field("status", status);
  if (!reason.empty()) json.field("reason", reason);
  json.end_object();
  return std::move(json).str();
}

std::string_view to_string(Answer::Kind kind) {
  switch (kind) {
    case Answer::Kind::accepted: return "accepted";
    case Answer::Kind::duplicate: return "duplicate";
    case Answer::Kind::ignored: return "ignored";
  }
  return "accepted";
}

bool is_signed(const net::ServerRequest& request) {
  return request.count(rhombus::signature_header_sha1) + request.count(rhombus::signature_header_sha256) > 0;
}

}  // namespace

WebhookEndpoint::WebhookEndpoint(WebhookOptions options, std::vector<Secret> secrets, Intake& intake, Clock& clock,
                                 Observer observer)
    : options_(std::move(options)),
      intake_(intake),
      clock_(clock),
      observer_(std::move(observer)),
      secrets_(std::move(secrets)),
      refusals_(clock, [](const std::string& line) { spdlog::warn("{}", line); }) {}

void WebhookEndpoint::set_secrets(std::vector<Secret> secrets) { *secrets_.lock() = std::move(secrets); }

net::ServerReply WebhookEndpoint::refuse(int status, std::string_view result, std::string_view reason) const {
  observer_(result);
  spdlog::debug("webhook answered with HTTP {}: {}", status, reason);
  return {.status = status, .body = status_body("error", reason)};
}

WebhookEndpoint::Refusal WebhookEndpoint::refuse_signature(std::string_view result, std::string_view reason,
                                                           std::string_view hint, const std::string& from) {
  return {refuse(401, result, reason), refusals_.refused(from, fmt::format("{}{}", reason, hint))};
}

// Of a request that check() has let through. Whoever has signed it is Rhombus, so each is a line of its own and its
// answer is not held up. Anybody sends unsigned ones.
WebhookEndpoint::Refusal WebhookEndpoint::refuse_body(const net::ServerRequest& request, std::string_view reason,
                                                      const std::string& from) {
  auto answer = refuse(400, "malformed", reason);
  if (!is_signed(request))
    return {std::move(answer),
            refusals_.refused(from, fmt::format("the body is unsigned, as allowed, but unusable: {}", reason))};
  spdlog::warn("webhook from {} is signed but unusable: {}", from, reason);
  return {std::move(answer), SteadyTime{}};
}

// What stops a request before its body is read; nothing when it may go on.
std::optional<WebhookEndpoint::Refusal> WebhookEndpoint::check(const net::ServerRequest& request,
                                                               const std::string& from) {
  if (request.path != options_.path) return Refusal{refuse(404, "not_found", "no such path")};
  if (request.method != "POST") {
    auto reply = refuse(405, "method_not_allowed", "only POST");
    reply.headers.emplace_back("Allow", "POST");
    return Refusal{std::move(reply)};
  }
  // A header given twice could be read in two ways.
  if (request.count(rhombus::signature_header_sha1) > 1 || request.count(rhombus::signature_header_sha256) > 1)
    return refuse_signature("wrong_signature", "the signature header is there twice", "", from);
  const auto signature = rhombus::check_signature(request.body, request.header(rhombus::signature_header_sha1),
                                                  request.header(rhombus::signature_header_sha256), *secrets_.lock());
  if (signature == rhombus::Signature::valid) return std::nullopt;
  if (signature == rhombus::Signature::missing && options_.allow_unsigned) return std::nullopt;
  if (signature == rhombus::Signature::missing)
    return refuse_signature("unsigned", "the signature is missing", "", from);
  return refuse_signature("wrong_signature", "the signature is wrong", " (is its secret in webhook.secrets?)", from);
}

void WebhookEndpoint::handle(net::ServerRequest request, net::ReplySlot reply) {
  const auto from = options_.trusted_proxies.client(request.remote_address, request.all("x-forwarded-for"));
  if (auto refused = check(request, from)) return reply.send(std::move(refused->reply), refused->not_before);
  const auto alert = parser_.parse(request.body);
  if (!alert) {
    auto refused = refuse_body(request, alert.error().message, from);
    return reply.send(std::move(refused.reply), refused.not_before);
  }
  const auto level = is_signed(request) ? spdlog::level::warn : spdlog::level::debug;
  for (const auto& remark : alert->remarks)
    spdlog::log(level, "webhook from {}: alert {}: {}", from, alert->id.str(), remark);

  // Copyable, as std::function asks of what it holds.
  auto slot = std::make_shared<net::ReplySlot>(std::move(reply));
  intake_.accept(*alert, journal::Via::webhook, clock_.wall_now(),
                 [this, slot, id = alert->id](Result<Answer> answer) {
                   if (!answer) {
                     spdlog::error("alert {} not recorded: {}", id.str(), answer.error().message);
                     auto failed = refuse(503, "not_recorded", "the alert cannot be recorded just now");
                     failed.headers.emplace_back("Retry-After", "5");
                     return slot->send(std::move(failed));
                   }
                   observer_(to_string(answer->kind));
                   spdlog::debug("webhook of alert {}: {}{}{}", id.str(), to_string(answer->kind),
                                 answer->reason.empty() ? "" : ": ", answer->reason);
                   slot->send({.status = 200, .body = status_body(to_string(answer->kind), answer->reason)});
                 });
}

}  // namespace responder::ingest
