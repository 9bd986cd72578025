// Parses one framed request's first line with cpp-httplib, which never sees a socket, a body or a header field here:
// it would decode what stands in those, and add its own.
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
  // `head` and `fields` as RequestFramer has them. nullopt when httplib cannot make sense of it. Not thread-safe.
  std::optional<ServerRequest> parse(std::string_view head, HeaderFields fields);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace responder::net
