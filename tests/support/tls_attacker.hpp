// A TLS client of a hostile kind: after a handshake as any other's it writes whatever records it likes, in keys of
// its own making; or it never ends its handshake. It reads nothing of what the server sends but how much that is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "responder/base/file.hpp"

namespace responder::test {

enum class TlsVersion { tls12, tls13 };

// What stands in a TLS record.
enum class RecordType : std::uint8_t { alert = 21, handshake = 22, application_data = 23 };

// A socket whose bytes are the test's. Sends and receives wait 5 s at most.
class RawSocket {
 public:
  // Connected to `port` on loopback, from 127.0.0.`host`; throws where that fails.
  explicit RawSocket(int port, std::uint32_t host = 1);

  int fd() const { return fd_.get(); }
  // How many of the bytes were taken before the server had enough.
  std::size_t send(std::string_view bytes) const;
  // The same, without waiting; nullopt: the connection is gone.
  std::optional<std::size_t> send_some(std::string_view bytes) const;
  // So many bytes, or those that come before the server closes.
  std::string receive(std::size_t enough) const;
  // Waits for the end: true when it came, false after 5 s.
  bool closed_by_server() const;

 private:
  UniqueFd fd_;
};

// Connected, with the handshake done and one request answered.
class TlsAttacker {
 public:
  TlsAttacker(int port, TlsVersion version, std::uint32_t host = 1);

  const RawSocket& socket() const { return socket_; }
  // The next record of this connection, encrypted: to be sent in the order in which they were made.
  std::string record(RecordType type, std::string_view content);
  std::string application_data(std::string_view text) { return record(RecordType::application_data, text); }
  // TLS 1.3; what is made after it is in the new keys.
  std::string key_update();
  // TLS 1.2: as a renegotiation begins, in the least bytes.
  std::string renegotiation() { return record(RecordType::handshake, std::string_view("\x01\0\0\0", 4)); }
  std::string warning();  // an alert that ends nothing
  // Whether the server understands what is made here: an answer to this request comes.
  bool is_answered(std::string_view request);

 private:
  void set_keys(const std::string& secret);  // TLS 1.3
  std::string seal(const std::string& nonce, const std::string& header, const std::string& plain) const;

  RawSocket socket_;
  const TlsVersion version_;
  std::string secret_;  // TLS 1.3
  std::string key_;
  std::string iv_;
  std::uint64_t sequence_ = 0;
};

// A client's first message as one handshake message, without its record.
struct HelloOptions {
  std::uint16_t group = 0x001D;  // of the key share; X25519
  std::size_t share_size = 32;
  std::size_t padding = 0;          // bytes that mean nothing
  std::size_t ticket_size = 0;      // of a garbage session ticket
  std::size_t garbage_tickets = 0;  // so many to resume from, TLS 1.3
};
std::string client_hello(const HelloOptions& options = {});

// The message in records of so many bytes each.
std::string in_handshake_records(std::string_view message, std::size_t bytes_each);

}  // namespace responder::test
