// How a reply goes over the wire.
#pragma once

#include <string>

#include "responder/net/http_front.hpp"

namespace responder::net {

std::string serialize_answer(const ServerReply& reply, bool keep_alive, bool with_body, bool tls);

}  // namespace responder::net
