// HTTP and HTTPS requests over kept-alive connections. One HttpConnection is one connection and belongs to one thread
// at a time; a ConnectionPool hands them out and bounds how many there are to one origin. src/README.md says why this
// is made with libcurl.
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
  // Called during the handshake, from the thread that makes the request. An Error refuses the connection and becomes
  // the request's.
  std::function<Result<void>(const KeyHash&)> accept_key;
  // Old devices have keys and Diffie-Hellman parameters of 1,024 bits. Where the key itself decides (pinned), or
  // nobody asks who it is (insecure), they are accepted; `verify` never accepts them.
  bool allow_1024_bits = false;
};

// How long a request may take. Up to the body by absolute deadlines, however the peer drips; the body by its
// progress, however large it is.
struct ClientLimits {
  std::chrono::milliseconds connect{5000};              // name resolution, TCP and TLS handshake, all together
  std::chrono::milliseconds first_byte{10000};          // from the start of the request to the first byte of the body
  std::chrono::milliseconds interval{10000};            // of the body, each interval must bring
  std::uint64_t least_bytes = 40'000;                   // this many bytes
  std::optional<std::chrono::milliseconds> total = {};  // for the whole request
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;

  std::optional<std::string> header(std::string_view name) const;
  // A header that is an HTTP date.
  std::optional<WallTime> time(std::string_view name) const;
};

// Where a streamed body goes. Both return false to break the transfer off.
struct BodyReceiver {
  std::function<bool(const Response&)> on_headers;
  std::function<bool(std::string_view)> on_data;
};

// Whether a request may reach the server twice. A server may close a kept connection in the moment in which a request
// is sent on it: a request that may be repeated is then sent again on a new connection, one that may not be repeated
// is always sent on a new one.
enum class Repeat { allowed, never };

// What becomes of an answer whose body is longer than was allowed: no answer, or one with the beginning of the body.
// Either way nothing more of it is read.
enum class LongBody { error, cut };

// One connection, kept between requests for up to 20 s without use. Belongs to one thread at a time; only the stop
// token of a request may be used from another.
//
// The requests return an answer of any status as a Response; an Error is the lack of one. Redirects are not followed.
// The head of an answer is bounded (256 KiB, 1,000 lines). When `stop` is requested, before or meanwhile, they return
// at once, whatever the request is waiting for, with an Error of kind `cancelled`.
class HttpConnection {
 public:
  HttpConnection(const Url& origin, Trust trust, const ClientLimits& limits);
  // Plain HTTP to whoever listens on a unix socket.
  HttpConnection(const std::string& unix_path, const ClientLimits& limits);
  ~HttpConnection();
  HttpConnection(HttpConnection&&) noexcept;
  HttpConnection& operator=(HttpConnection&&) noexcept;

  Result<Response> get(const std::string& target, const Headers& headers, std::size_t max_body_bytes,
                       std::stop_token stop);
  Result<Response> get(const std::string& target, const Headers& headers, const BodyReceiver& receiver,
                       std::stop_token stop);
  Result<Response> post_json(const std::string& target, const Headers& headers, const std::string& body,
                             std::size_t max_body_bytes, Repeat repeat, std::stop_token stop,
                             LongBody long_body = LongBody::error);

  // Whether the last request failed because the peer was silent or too slow (ClientLimits, but `connect`).
  bool stood_still() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ConnectionPool {
 public:
  ConnectionPool(Url origin, Trust trust, ClientLimits limits, std::size_t max_connections);

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
  const ClientLimits limits_;
  const std::size_t max_connections_;
  Synchronized<State> state_;
};

// Whether a PEM file holds CA certificates that can be used.
Result<void> check_ca_file(const std::string& path);

// What an HTTP status other than 2xx means for the one who asked: the one table from status to ErrorKind.
// `retry-after` of the answer, seconds or an HTTP date, is taken along.
Error status_error(const Response& response, std::string_view what);

}  // namespace responder::net
