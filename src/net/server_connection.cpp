#include "server_connection.hpp"

#include <array>
#include <cerrno>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/err.h>

namespace responder::net {
namespace {

// An IPv4 client of a socket for both families looks as one of any other.
std::string address_text(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  int family = address.ss_family;
  const void* binary = nullptr;
  if (family == AF_INET) binary = &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr;
  if (family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
    binary = &v6;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      family = AF_INET;
      binary = v6.s6_addr + 12;
    }
  }
  if (binary == nullptr || ::inet_ntop(family, binary, text.data(), text.size()) == nullptr) return {};
  return text.data();
}

}  // namespace

std::string client_group(const std::string& address) {
  in6_addr v6{};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) != 1) return address;
  std::fill(std::begin(v6.s6_addr) + 6, std::end(v6.s6_addr), std::uint8_t{0});
  std::array<char, INET6_ADDRSTRLEN> text{};
  return fmt::format("{}/48", ::inet_ntop(AF_INET6, &v6, text.data(), text.size()));
}

ServerConnection::ServerConnection(std::uint64_t id_, UniqueFd fd_, const sockaddr_storage& address,
                                   FrameLimits limits)
    : id(id_), fd(std::move(fd_)), peer(address_text(address)), peer_group(client_group(peer)), framer(limits) {}

Io ServerConnection::translate(int result) const {
  const int error = SSL_get_error(ssl.get(), result);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::again : Io::closed;
}

Io ServerConnection::look_for_hello() const {
  constexpr std::size_t header = 5;
  constexpr std::size_t most = 16 * 1024;
  constexpr unsigned char handshake_record = 0x16;
  std::array<unsigned char, header + most> bytes;
  const ssize_t got = ::recv(fd.get(), bytes.data(), bytes.size(), MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Io::again;
  if (got <= 0 || bytes[0] != handshake_record) return Io::closed;
  const auto come = static_cast<std::size_t>(got);
  if (come < header) return peer_is_done ? Io::closed : Io::again;
  const std::size_t length = bytes[3] * 256U + bytes[4];
  if (length > most) return Io::closed;
  if (come >= header + length) return Io::done;
  return peer_is_done ? Io::closed : Io::again;
}

Io ServerConnection::accept_tls() {
  const int result = SSL_accept(ssl.get());
  return result == 1 ? Io::done : translate(result);
}

Io ServerConnection::read(std::span<char> buffer, std::size_t& got) {
  if (ssl) {
    read_ahead_ = SSL_has_pending(ssl.get()) == 1;
    const int result = SSL_read_ex(ssl.get(), buffer.data(), buffer.size(), &got);
    return result == 1 ? Io::done : translate(result);
  }
  const ssize_t result = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  if (result > 0) {
    got = static_cast<std::size_t>(result);
    return Io::done;
  }
  return result < 0 && (errno == EAGAIN || errno == EINTR) ? Io::again : Io::closed;
}

bool ServerConnection::may_have_more(std::size_t got, std::size_t asked) const {
  if (got == asked || peer_is_done) return true;
  // A record that was read from the socket just now, small and with nothing behind it, came in a read that emptied
  // it.
  constexpr std::size_t small_record = 4096;
  return ssl && (read_ahead_ || SSL_has_pending(ssl.get()) == 1 || got >= small_record);
}

Io ServerConnection::flush() {
  while (out_sent < out.size()) {
    const char* data = out.data() + out_sent;
    const std::size_t size = out.size() - out_sent;
    std::size_t sent = 0;
    if (ssl) {
      const int result = SSL_write_ex(ssl.get(), data, size, &sent);
      if (result != 1) return translate(result);
    } else {
      const ssize_t result = ::send(fd.get(), data, size, MSG_NOSIGNAL);
      if (result < 0) return errno == EAGAIN || errno == EINTR ? Io::again : Io::closed;
      sent = static_cast<std::size_t>(result);
    }
    out_sent += sent;
  }
  out.clear();
  out_sent = 0;
  return Io::done;
}

}  // namespace responder::net
