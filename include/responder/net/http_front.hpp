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
#include "responder/net/certificate.hpp"
#include "responder/net/http_framing.hpp"
#include "responder/net/listen_address.hpp"

namespace responder::net {

struct ServerRequest {
  std::string method;
  std::string path;  // percent-decoded, without the query
  HeaderFields headers;
  std::string body;
  std::string remote_address;  // of the TCP peer; empty on a unix socket

  std::optional<std::string_view> header(std::string_view name) const;  // the first of that name
  std::string all(std::string_view name) const;  // of that name, as one list: what stands last came last
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

  // `not_before`: the client is kept waiting until then; its connection is closed first where room is needed.
  void send(ServerReply reply, SteadyTime not_before = {});

 private:
  std::shared_ptr<Target> target_;
  std::uint64_t connection_;
};

using RequestHandler = std::function<void(ServerRequest, ReplySlot)>;

struct FrontOptions {
  ListenAddress listen;
  std::string tls_cert;  // PEM; empty: plain HTTP
  std::string tls_key;
  std::string client_ca;        // PEM; set: only clients with a certificate of one of these are let in
  bool plain_anywhere = false;  // plain HTTP on addresses that others reach, too
  FrameLimits limits;
  // Then the oldest of the address that has the most, and is not being answered, makes room. Never more than half of
  // the descriptors that the process may have when it opens.
  std::size_t max_connections = 4096;
  std::size_t max_buffered_bytes = 16U << 20U;  // of requests that are not whole yet, all together
  std::chrono::milliseconds handshake_timeout{5000};
  std::chrono::milliseconds request_timeout{10000};  // from a request's first byte to its last
  std::chrono::milliseconds idle_timeout{60000};     // between requests
  // The same on a connection on which a request was answered 200: longer than proxies and senders keep an idle one,
  // so that none is closed while the next webhook is on its way.
  std::chrono::milliseconds known_idle_timeout{180'000};
  // Told the status of each request that was refused before it came to the handler.
  std::function<void(int status)> refused = {};
};

// Who may be behind a client's address: the address, for IPv6 its /48, as a site has as many of those as it likes.
std::string client_group(const std::string& address);

class HttpFront {
 public:
  // `inherited`: listening sockets that the service manager keeps open over restarts, taken instead of opening
  // `options.listen`.
  static Result<std::unique_ptr<HttpFront>> open(FrontOptions options, RequestHandler handler, Clock& clock,
                                                 std::vector<UniqueFd> inherited = {});
  ~HttpFront();

  int port() const;
  // Where the sockets are bound: with inherited ones, not what the options say.
  std::vector<ListenAddress> addresses() const;
  // Of the certificate that new connections are shown; none: plain HTTP. From any thread.
  std::optional<Validity> certificate() const;

  // Whether the loop comes round: false when it has hung for seconds.
  bool turns() const;

  // Reads certificate, key and the clients' CA again, for the connections to come. An Error leaves the present ones
  // in use.
  Result<void> reload_certificate();

  // Closes the listening socket, lets requests in hand be answered until `deadline`, then closes every connection.
  void stop(std::chrono::milliseconds deadline);

 private:
  struct Impl;
  explicit HttpFront(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::net
