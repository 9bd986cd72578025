// Why there is no answer, in one line for people; without the origin that was asked.
#pragma once

#include <string_view>

#include <curl/curl.h>

#include "responder/net/http_client.hpp"

#include "client_tls.hpp"
#include "stall_rule.hpp"

namespace responder::net {

// How far a request came.
struct RequestProgress {
  bool resolved = false;       // the name of the host
  bool handshake = false;      // TCP connected, and TLS began
  bool peer_answered = false;  // with a message of TLS
  bool head_begun = false;
  bool head_complete = false;
};

// The one table from libcurl's codes, and what OpenSSL and the system said, to ours. `easy` is the handle that
// failed, `detail` its error buffer.
Error client_error(CURLcode code, CURL* easy, std::string_view detail, const RequestProgress& progress,
                   const Url& origin, const ClientLimits& limits);

Error stall_error(StallRule::Stall stall, const RequestProgress& progress, const ClientLimits& limits);

}  // namespace responder::net
