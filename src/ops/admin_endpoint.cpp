#include "responder/ops/admin_endpoint.hpp"

#include "responder/base/json_writer.hpp"

namespace responder::ops {

net::ServerReply AdminEndpoint::readiness() const {
  bool all_ready = true;
  JsonWriter json;
  json.begin_object();
  for (const auto& [part, probe] : probes_) {
    const auto one = probe();
    all_ready = all_ready && one.ready;
    json.key(part).begin_object().field("ready", one.ready).field("detail", one.detail).end_object();
  }
  json.field("ready", all_ready).end_object();
  return {.status = all_ready ? 200 : 503, .body = std::move(json).str()};
}

void AdminEndpoint::handle(const net::ServerRequest& request, net::ReplySlot reply) const {
  if (request.method != "GET" && request.method != "HEAD") {
    return reply.send({.status = 405, .body = R"({"status":"error"})", .headers = {{"Allow", "GET, HEAD"}}});
  }
  if (request.path == "/healthz") return reply.send({.status = 200, .body = R"({"status":"ok"})"});
  if (request.path == "/readyz") return reply.send(readiness());
  if (request.path == "/metrics") {
    refresh_();
    return reply.send(
        {.status = 200, .body = metrics_.exposition(), .content_type = "text/plain; version=0.0.4; charset=utf-8"});
  }
  reply.send({.status = 404, .body = R"({"status":"error","reason":"no such path"})"});
}

}  // namespace responder::ops
