// Parses one framed request head with cpp-httplib, which never sees a socket or a body here.
#pragma once

#include <optional>
#include <string_view>

#include "responder/net/http_front.hpp"

namespace responder::net {

// `head` as RequestFramer::head() gives it. nullopt when httplib cannot make sense of it. Not thread-safe.
class HeadParser {
 public:
  HeadParser();
  ~HeadParser();
  std::optional<ServerRequest> parse(std::string_view head);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace responder::net
