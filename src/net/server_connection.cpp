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
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::again : Io::closed;
}

Io ServerConnection::receive_record() {
  constexpr unsigned char handshake_record = 0x16;
  std::array<char, TlsRecords::max_record> part;
  while (!records_.is_first_complete()) {
    const ssize_t got = ::recv(fd.get(), part.data(), part.size(), 0);
    socket_is_empty_ = got < static_cast<ssize_t>(part.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Io::again;
    if (got <= 0) return Io::closed;
    records_.add(std::string_view(part.data(), static_cast<std::size_t>(got)));
    const bool is_tls = ssl != nullptr || records_.type() == handshake_record;
    if (!is_tls || records_.is_too_long()) return Io::closed;
    if (socket_is_empty_ && !peer_is_done) break;
  }
  return records_.is_first_complete() ? Io::done : Io::again;
}

bool ServerConnection::begin_tls(SSL_CTX* context) {
  ssl.reset(SSL_new(context));
  BIO* bio = ssl ? make_record_bio(records_, fd.get()) : nullptr;
  if (bio == nullptr) return false;
  SSL_set_bio(ssl.get(), bio, bio);  // takes it over
  return true;
}

Io ServerConnection::accept_tls() {
  // Far beyond what a client needs that sends its certificates in small records.
  constexpr std::size_t most_records = 256;
  constexpr std::size_t most_bytes = 2 * max_client_certificates;
  if (records_.is_first_complete()) {
    const auto released = records_.release_first();
    handshake_records_ += released > 0 ? 1 : 0;
    handshake_bytes_ += released;
  }
  if (handshake_records_ > most_records || handshake_bytes_ > most_bytes) return Io::closed;
  ERR_clear_error();
  const int result = SSL_accept(ssl.get());
  return result == 1 ? Io::done : translate(result);
}

Io ServerConnection::read(std::span<char> buffer, std::size_t& got) {
  got = 0;
  if (ssl) return read_record(buffer, got);
  const ssize_t result = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  socket_is_empty_ = result < static_cast<ssize_t>(buffer.size());
  if (result > 0) {
    got = static_cast<std::size_t>(result);
    return Io::done;
  }
  return result < 0 && (errno == EAGAIN || errno == EINTR) ? Io::again : Io::closed;
}

Io ServerConnection::read_record(std::span<char> buffer, std::size_t& got) {
  // A client that changes its keys does so once in millions of records.
  constexpr std::size_t most_without_data = 32;
  const bool is_next = !tls_has_work_;
  if (is_next) {
    if (const auto received = receive_record(); received != Io::done) return received;
    records_.release_first();
  }
  records_.forget_starved();
  ERR_clear_error();
  const int result = SSL_read_ex(ssl.get(), buffer.data(), buffer.size(), &got);
  tls_has_work_ = false;
  if (result == 1) return Io::done;
  if (translate(result) == Io::closed) return Io::closed;
  if (is_next && ++records_without_data_ > most_without_data) return Io::closed;
  // It may stop before it has worked off its input: to answer a key update, say.
  const bool waits_to_write = SSL_want_write(ssl.get());
  tls_has_work_ = waits_to_write || !records_.starved();
  return waits_to_write ? Io::again : Io::done;
}

Io ServerConnection::flush() {
  while (out_sent < out.size()) {
    const char* data = out.data() + out_sent;
    const std::size_t size = out.size() - out_sent;
    std::size_t sent = 0;
    if (ssl) {
      ERR_clear_error();
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

void ServerConnection::end_output() {
  ERR_clear_error();
  if (ssl) SSL_shutdown(ssl.get());
  ::shutdown(fd.get(), SHUT_WR);
}

}  // namespace responder::net
