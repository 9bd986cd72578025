// The server's front: accepts connections, ends TLS, buffers one whole request under deadlines and caps, and only
// then hands it on. One thread serves every connection, so a slow or silent client costs a bounded amount of memory
// and no thread.
//
// Threads: open() starts the loop thread, stop() and the destructor join it. The handler runs on the loop thread and
// must not block; it may keep the ReplySlot and answer later from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/base/file.hpp"
#include "responder/net/http_framing.hpp"
#include "responder/net/listen_address.hpp"

namespace responder::net {

struct ServerRequest {
  std::string method;
  std::string path;  // percent-decoded, without the query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string remote_address;  // of the TCP peer; empty on a unix socket

  std::optional<std::string_view> header(std::string_view name) const;  // the first of that name
  std::size_t count(std::string_view name) const;
};

struct ServerReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// The right to answer one request, once. Dropped unanswered, the client gets 500.
class ReplySlot {
 public:
  struct Target;
  ReplySlot(std::shared_ptr<Target> target, std::uint64_t connection);
  ReplySlot(ReplySlot&&) noexcept = default;
  ReplySlot& operator=(ReplySlot&&) = delete;
  ~ReplySlot();

  void send(ServerReply reply);

 private:
  std::shared_ptr<Target> target_;
  std::uint64_t connection_;
};

using RequestHandler = std::function<void(ServerRequest, ReplySlot)>;

struct FrontOptions {
  ListenAddress listen;
  std::string tls_cert;  // PEM; empty: plain HTTP
  std::string tls_key;
  FrameLimits limits;
  std::size_t max_connections = 4096;  // the oldest that is not being answered makes room
  std::chrono::milliseconds handshake_timeout{5000};
  std::chrono::milliseconds request_timeout{10000};  // from a request's first byte to its last
  std::chrono::milliseconds idle_timeout{60000};     // between requests
};

class HttpFront {
 public:
  // `inherited`: a listening socket that the service manager keeps open over restarts, taken instead of opening
  // `options.listen`.
  static Result<std::unique_ptr<HttpFront>> open(FrontOptions options, RequestHandler handler, Clock& clock,
                                                 std::optional<UniqueFd> inherited = {});
  ~HttpFront();

  int port() const;

  // Reads the certificate and key again, for the connections to come. An Error leaves the present ones in use.
  Result<void> reload_certificate();

  // Closes the listening socket, lets requests in hand be answered until `deadline`, then closes every connection.
  void stop(std::chrono::milliseconds deadline);

 private:
  struct Impl;
  explicit HttpFront(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::net
