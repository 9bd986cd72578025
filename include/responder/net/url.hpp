// Absolute http(s) URLs and RFC 3986 reference resolution.
#pragma once

#include <string>
#include <string_view>

#include "responder/base/error.hpp"

namespace responder::net {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; an IPv6 address without its brackets
  int port = 0;        // never 0 after parse()
  std::string path;    // starts with '/'
  std::string query;   // without '?', empty when there is none

  static Result<Url> parse(std::string_view text);

  // `reference` seen from here (RFC 3986, 5.2): absolute, network-path, absolute-path, relative, or only a query.
  Result<Url> resolve(std::string_view reference) const;

  std::string origin() const;    // scheme://host:port, what credentials belong to
  std::string target() const;    // path?query, what goes on the request line
  std::string str() const;       // the whole; may carry a token in its query: not for logs
  std::string loggable() const;  // without the query
};

}  // namespace responder::net
