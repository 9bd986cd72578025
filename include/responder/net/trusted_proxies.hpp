// Whose X-Forwarded-For counts.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/error.hpp"

namespace responder::net {

class TrustedProxies {
 public:
  // Addresses or networks: "127.0.0.0/8", "::1/128", "10.0.0.5".
  static Result<TrustedProxies> parse(const std::vector<std::string>& networks);

  bool contains(std::string_view address) const;

  // Who sent the request: the last address of X-Forwarded-For that is no trusted proxy, if the peer itself is one (or
  // sits behind a unix socket, with an empty address).
  std::string client(std::string_view peer, std::string_view forwarded_for) const;

 private:
  // IPv4 as IPv6-mapped, so that one comparison serves both.
  struct Network {
    std::array<unsigned char, 16> address{};
    unsigned prefix = 128;
  };
  std::vector<Network> networks_;
};

}  // namespace responder::net
