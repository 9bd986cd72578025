// HTTPS requests over kept-alive connections. One HttpConnection is one connection and belongs to one thread at a
// time; a ConnectionPool hands them out and bounds how many there are to one origin.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/net/url.hpp"

namespace responder::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

// SHA-256 of a certificate's SubjectPublicKeyInfo.
using KeyHash = std::array<unsigned char, 32>;

// Whom to believe. `verify` checks the chain and the host name. `pinned` asks `accept_key` and checks neither: for
// devices with self-signed certificates. `insecure` takes anybody.
struct Trust {
  enum class Mode { verify, pinned, insecure };
  Mode mode = Mode::verify;
  std::string ca_file;      // extra CA certificates (PEM) beside the system's; empty: none
  std::string client_cert;  // for mTLS; empty: none
  std::string client_key;
  // Called during the handshake, from the thread that connects. An Error refuses the connection and becomes the
  // request's.
  std::function<Result<void>(const KeyHash&)> accept_key;
};

struct ClientTimeouts {
  std::chrono::milliseconds connect{5000};
  std::chrono::milliseconds read{10000};  // for each read, not in total
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;

  std::optional<std::string> header(std::string_view name) const;
};

// Where a streamed body goes. Both return false to break the transfer off.
struct BodyReceiver {
  std::function<bool(const Response&)> on_headers;
  std::function<bool(std::string_view)> on_data;
};

class HttpConnection {
 public:
  HttpConnection(const Url& origin, const Trust& trust, const ClientTimeouts& timeouts);
  // Plain HTTP to whoever listens on a unix socket.
  HttpConnection(const std::string& unix_path, const ClientTimeouts& timeouts);
  ~HttpConnection();
  HttpConnection(HttpConnection&&) noexcept;
  HttpConnection& operator=(HttpConnection&&) noexcept;

  // An answer of any status is a Response; an Error is the lack of one. Redirects are not followed.
  Result<Response> get(const std::string& target, const Headers& headers, std::size_t max_body_bytes);
  Result<Response> get(const std::string& target, const Headers& headers, const BodyReceiver& receiver);
  Result<Response> post_json(const std::string& target, const Headers& headers, const std::string& body,
                             std::size_t max_body_bytes);

  // Breaks off what this connection does, from another thread.
  void abort();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ConnectionPool {
 public:
  ConnectionPool(Url origin, Trust trust, ClientTimeouts timeouts, std::size_t max_connections);

  // A connection on loan; goes back to the pool on destruction.
  class Loan {
   public:
    Loan(ConnectionPool& pool, std::unique_ptr<HttpConnection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    Loan(Loan&&) = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan();
    HttpConnection* operator->() { return connection_.get(); }

   private:
    ConnectionPool* pool_;
    std::unique_ptr<HttpConnection> connection_;
  };

  // Waits for a free connection; an Error of kind `cancelled` when `stop` is requested first.
  Result<Loan> borrow(std::stop_token stop);
  const Url& origin() const { return origin_; }

 private:
  struct State {
    std::vector<std::unique_ptr<HttpConnection>> idle;
    std::size_t lent = 0;
  };
  void give_back(std::unique_ptr<HttpConnection> connection);

  const Url origin_;
  const Trust trust_;
  const ClientTimeouts timeouts_;
  const std::size_t max_connections_;
  Synchronized<State> state_;
};

// Whether a PEM file holds CA certificates that can be used.
Result<void> check_ca_file(const std::string& path);

// What an HTTP status other than 2xx means for the one who asked: the one table from status to ErrorKind.
// `retry-after` of the answer is taken along.
Error status_error(const Response& response, std::string_view what);

}  // namespace responder::net
