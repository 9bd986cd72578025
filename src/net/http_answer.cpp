#include "http_answer.hpp"

#include <fmt/format.h>

namespace responder::net {
namespace {

std::string_view status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Status";
  }
}

// For the browsers that have no business here, and the scanners that look for it.
constexpr std::string_view security_fields =
    "Strict-Transport-Security: max-age=31536000\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n";

}  // namespace

std::string serialize_answer(const ServerReply& reply, bool keep_alive, bool with_body, bool tls) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", reply.status,
                                 status_text(reply.status), reply.content_type, reply.body.size());
  if (tls) text += security_fields;
  for (const auto& [name, value] : reply.headers) text.append(name).append(": ").append(value).append("\r\n");
  text += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  if (with_body) text += reply.body;
  return text;
}

}  // namespace responder::net
