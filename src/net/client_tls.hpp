// Our side of TLS: whom to believe, and how much a peer may send that is not data.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include <openssl/ssl.h>

#include "responder/net/http_client.hpp"

namespace responder::net {

// The sockets of one HttpConnection: several while addresses are tried side by side, one afterwards.
class ClientSockets {
 public:
  int open(int family, int type, int protocol);  // -1 and errno on failure
  int close(int socket);
  // Ends what is read from and written to them. They stay open.
  void shut_down();
  std::size_t opened() const { return opened_; }  // so far

 private:
  std::vector<int> sockets_;
  std::size_t opened_ = 0;
};

// Of one HttpConnection, and of its thread. Must outlive the connection: OpenSSL calls it until that is closed.
class ClientTls {
 public:
  ClientTls(Trust trust, ClientSockets& sockets) : trust_(std::move(trust)), sockets_(sockets) {}

  const Trust& trust() const { return trust_; }

  // Prepares the context of a new connection. False when ca_file cannot be loaded.
  bool prepare(SSL_CTX* context);

  // A request begins: what the peer may send is counted from here.
  void begin_request();
  // Told of the body's bytes. False when they come in so small records that they cost more than they bring.
  bool received(std::size_t bytes);

  std::optional<Error> take_refusal() { return std::exchange(refused_, std::nullopt); }  // of accept_key
  bool flooded() const { return flooded_; }            // it sent messages without end, and was cut
  bool hello_sent() const { return hello_sent_; }      // TCP connected, and the handshake began
  bool peer_answered() const { return records_ > 0; }  // with the beginning of one, at least

 private:
  static int verify_key(X509_STORE_CTX* context, void* self);
  static void on_message(int written, int version, int type, const void* data, std::size_t size, SSL* ssl,
                         void* self);
  void count(int type);

  const Trust trust_;
  ClientSockets& sockets_;
  std::optional<Error> refused_;
  bool hello_sent_ = false;
  bool flooded_ = false;
  std::size_t messages_ = 0;
  std::size_t records_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace responder::net
