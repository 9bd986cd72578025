// `HOST:PORT`, `[V6]:PORT`, `:PORT` (every address of the machine) or `unix:PATH`, as the configuration writes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "responder/base/error.hpp"
#include "responder/base/file.hpp"

namespace responder::net {

struct ListenAddress {
  std::string host;
  int port = 0;           // 0: any free one
  std::string unix_path;  // set instead of host and port

  static Result<ListenAddress> parse(std::string_view text);

  bool is_local() const;  // loopback, or a unix socket
  std::string str() const;
};

// Bound, listening, non-blocking sockets: one for each address that the host has, IPv4 and IPv6. The error names the
// address and what stands in the way.
Result<std::vector<UniqueFd>> listen_on(const ListenAddress& address);

// Whether listen_on() would succeed now: an Error says what stands in the way. Nobody can connect meanwhile, and no
// file is made.
Result<void> check_can_listen(const ListenAddress& address);

// A listening socket that was opened by somebody else, made fit for the event loop.
Result<UniqueFd> adopt_listening(UniqueFd socket);

// Whether only this machine reaches the socket: loopback, or a unix socket.
bool is_local(const UniqueFd& socket);

// The port a socket is bound to, 0 for a unix socket.
int bound_port(const UniqueFd& socket);

// Where a socket is bound. All empty: an abstract or unnamed unix socket, or none.
ListenAddress bound_address(const UniqueFd& socket);

}  // namespace responder::net
