#include "responder/net/listen_address.hpp"

#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

constexpr int backlog = 1024;

enum class Purpose { listen, try_address };

// An Error of kind not_found: this machine does not have that family of addresses.
Result<UniqueFd> bound(int family, const sockaddr* address, socklen_t length, const ListenAddress& named,
                       Purpose purpose = Purpose::listen) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    Error error = errno_error(errno, fmt::format("cannot listen on {}", named.str()));
    if (errno == EAFNOSUPPORT) error.kind = ErrorKind::not_found;
    return error;
  }
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const bool listens = purpose == Purpose::listen;
  if (::bind(fd.get(), address, length) != 0 || (listens && ::listen(fd.get(), backlog) != 0)) {
    const int failure = errno;
    Error error = errno_error(failure, fmt::format("cannot listen on {}", named.str()));
    if (failure == EADDRINUSE) error.message += "; another program has it: stop that one or choose another address";
    if (failure == EACCES) error.message += "; ports below 1024 and folders of others need rights";
    error.kind = failure == EADDRNOTAVAIL ? ErrorKind::not_found : ErrorKind::permanent;
    return error;
  }
  return fd;
}

Result<UniqueFd> listen_on_unix(const ListenAddress& named) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (named.unix_path.size() >= sizeof address.sun_path) {
    return Error{ErrorKind::permanent, fmt::format("unix socket path {} is too long", named.unix_path)};
  }
  named.unix_path.copy(address.sun_path, named.unix_path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);

  // A socket file left by a process that is gone is in the way; one that somebody answers on is not ours to remove.
  struct stat info {};
  if (::lstat(named.unix_path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), generic, sizeof address) != 0 && errno == ECONNREFUSED) {
      ::unlink(named.unix_path.c_str());
    }
  }
  auto socket = bound(AF_UNIX, generic, sizeof address, named);
  // A proxy in our group may connect, whatever the umask.
  if (socket && ::chmod(named.unix_path.c_str(), 0660) != 0)
    return errno_error(errno, fmt::format("cannot open {} to its group", named.unix_path));
  return socket;
}

void set_port(sockaddr& address, int port) {
  const auto in_network_order = htons(static_cast<std::uint16_t>(port));
  if (address.sa_family == AF_INET) reinterpret_cast<sockaddr_in&>(address).sin_port = in_network_order;
  if (address.sa_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(address).sin6_port = in_network_order;
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
  ListenAddress address;
  if (text.starts_with("unix:")) {
    address.unix_path = text.substr(5);
    if (address.unix_path.empty()) return Error{ErrorKind::permanent, "'unix:' lacks the path of its socket"};
    return address;
  }
  const auto colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : parse_int(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) {
    return Error{ErrorKind::permanent, fmt::format("'{}' is not an address to listen on: give HOST:PORT or unix:PATH",
                                                   printable(text, 80))};
  }
  address.port = static_cast<int>(*port);
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

bool ListenAddress::is_local() const {
  return !unix_path.empty() || host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string ListenAddress::str() const {
  if (!unix_path.empty()) return "unix:" + unix_path;
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

namespace {

Result<std::vector<UniqueFd>> bind_to(const ListenAddress& address, Purpose purpose) {
  std::vector<UniqueFd> sockets;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  // Without a name the answer is every address, or without "passive" the loopback's: of both families, whatever the
  // hosts file says of localhost.
  const bool loopback = address.host == "localhost";
  hints.ai_flags = AI_NUMERICSERV | (loopback ? 0 : AI_PASSIVE);
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const char* host = address.host.empty() || loopback ? nullptr : address.host.c_str();
  if (const int failure = ::getaddrinfo(host, port.c_str(), &hints, &found); failure != 0) {
    return Error{ErrorKind::permanent,
                 fmt::format("cannot listen on {}: {}", address.str(), ::gai_strerror(failure))};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  std::optional<Error> missing;
  for (auto* one = found; one != nullptr; one = one->ai_next) {
    // Where any port will do, it is the same one for all.
    if (address.port == 0 && !sockets.empty()) set_port(*one->ai_addr, bound_port(sockets.front()));
    auto socket = bound(one->ai_family, one->ai_addr, one->ai_addrlen, address, purpose);
    if (socket) {
      sockets.push_back(std::move(*socket));
    } else if (socket.error().kind == ErrorKind::not_found) {
      missing = socket.error();
    } else {
      return socket.error();
    }
  }
  if (sockets.empty()) return *missing;
  return sockets;
}

}  // namespace

Result<std::vector<UniqueFd>> listen_on(const ListenAddress& address) {
  if (address.unix_path.empty()) return bind_to(address, Purpose::listen);
  auto socket = listen_on_unix(address);
  if (!socket) return socket.error();
  std::vector<UniqueFd> sockets;
  sockets.push_back(std::move(*socket));
  return sockets;
}

Result<void> check_can_listen(const ListenAddress& address) {
  if (address.unix_path.empty()) {
    const auto sockets = bind_to(address, Purpose::try_address);
    return sockets ? Result<void>{} : sockets.error();
  }
  sockaddr_un path{};
  path.sun_family = AF_UNIX;
  if (address.unix_path.size() >= sizeof path.sun_path)
    return Error{ErrorKind::permanent, fmt::format("unix socket path {} is too long", address.unix_path)};
  address.unix_path.copy(path.sun_path, address.unix_path.size());
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&path), sizeof path) != 0) return {};
  return Error{ErrorKind::permanent, fmt::format("cannot listen on {}: another program listens there: stop that one "
                                                 "or choose another address",
                                                 address.str())};
}

Result<UniqueFd> adopt_listening(UniqueFd socket) {
  int listening = 0;
  socklen_t length = sizeof listening;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0)
    return Error{ErrorKind::permanent, "the service manager's file descriptor is no listening socket"};
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0)
    return errno_error(errno, "cannot use the service manager's socket");
  return socket;
}

bool is_local(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return false;
  if (address.ss_family == AF_UNIX) return true;
  if (address.ss_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(&address)->sin_addr.s_addr) >> 24U) == IN_LOOPBACKNET;
  return address.ss_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr);
}

int bound_port(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

ListenAddress bound_address(const UniqueFd& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ListenAddress bound;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return bound;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_UNIX) {
    bound.unix_path = reinterpret_cast<const sockaddr_un*>(&address)->sun_path;
  } else if (address.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr, text.data(), text.size());
  } else if (address.ss_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr, text.data(), text.size());
  }
  bound.host = text.data();
  bound.port = bound_port(socket);
  return bound;
}

}  // namespace responder::net
