// A server that does what a test says, badly behaved if need be: over plain TCP or TLS with a certificate of its own.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include <openssl/ssl.h>

#include "responder/base/clock.hpp"
#include "responder/base/file.hpp"
#include "responder/net/url.hpp"

#include "temp_folder.hpp"

namespace responder::test {

struct ServerKind {
  bool tls = false;
  long valid_from = -3600;  // seconds from now
  long valid_until = 3600;
  bool weak_dhe = false;  // TLS 1.2 with Diffie-Hellman of 1,024 bits and nothing else
};

// One connection, in its thread. What is sent or received after the client is gone fails; nothing throws.
class Peer {
 public:
  Peer(int fd, SSL_CTX* context, std::stop_token stop);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool handshake();
  std::string read_head();  // up to the empty line; empty when the client is gone
  bool send(std::string_view data);
  bool send_raw(std::string_view data);  // below TLS
  bool answer_ok() { return send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); }
  bool update_keys();     // one KeyUpdate of TLS 1.3
  void close_politely();  // with a close_notify
  void wait_for_end();    // until the client closes, or the test is over
  // False when the test is over.
  bool wait(std::chrono::milliseconds time);

 private:
  int fd_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  std::stop_token stop_;
};

class RoughServer {
 public:
  // Called for each connection; with TLS, before the handshake.
  using Behaviour = std::function<void(Peer&)>;
  RoughServer(ServerKind kind, Behaviour behaviour);
  ~RoughServer();

  net::Url url() const;  // its origin, by address
  std::string ca_file() const { return folder_ / "cert.pem"; }
  std::size_t connections() const;

 private:
  void accept_all(std::stop_token stop);

  TempFolder folder_;
  const ServerKind kind_;
  const Behaviour behaviour_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  UniqueFd listening_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::list<std::jthread> connections_;
  std::jthread accepting_;
};

}  // namespace responder::test
