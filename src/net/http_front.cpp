#include "responder/net/http_front.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>
#include <unordered_map>

#include <arpa/inet.h>
#include <concurrentqueue/concurrentqueue.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/base/synchronized.hpp"

#include "http_parse.hpp"
#include "tls_server.hpp"

namespace responder::net {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t listen_token = 0;
constexpr std::uint64_t wake_token = 1;
constexpr std::uint64_t first_connection = 2;
constexpr milliseconds sweep_interval{100};
constexpr milliseconds linger_timeout{1000};
constexpr milliseconds first_request_grace{1000};  // of a connection that came just before a stop
constexpr milliseconds answer_timeout{60000};

std::string_view status_text(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Status";
  }
}

std::string serialize(const ServerReply& reply, bool keep_alive, bool with_body) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", reply.status,
                                 status_text(reply.status), reply.content_type, reply.body.size());
  for (const auto& [name, value] : reply.headers) text.append(name).append(": ").append(value).append("\r\n");
  text += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  if (with_body) text += reply.body;
  return text;
}

std::string peer_address(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* binary = nullptr;
  if (address.ss_family == AF_INET) binary = &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr;
  if (address.ss_family == AF_INET6) binary = &reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
  if (binary == nullptr || ::inet_ntop(address.ss_family, binary, text.data(), text.size()) == nullptr) return {};
  return text.data();
}

enum class Io { done, again, closed };

struct Connection {
  enum class Phase { handshake, reading, answering, writing, lingering };

  Connection(std::uint64_t id_, UniqueFd fd_, FrameLimits limits) : id(id_), fd(std::move(fd_)), framer(limits) {}

  const std::uint64_t id;
  UniqueFd fd;
  Ssl ssl;  // empty: plain HTTP
  std::string peer;
  Phase phase = Phase::reading;
  SteadyTime deadline;
  SteadyTime idle_since;
  RequestFramer framer;
  std::string out;
  std::size_t out_sent = 0;
  bool close_after_reply = false;
  bool head_request = false;
  bool served = false;  // a request of it was answered
  // Whether there may be bytes that no event will tell of: since the last read that found none.
  bool input_waiting = true;
  bool peer_is_done = false;  // its end of input is to be read, however short the reads before it

  bool being_answered() const { return phase == Phase::answering || phase == Phase::writing; }

  Io translate(int result) const {
    const int error = SSL_get_error(ssl.get(), result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::again : Io::closed;
  }

  Io accept_tls() {
    const int result = SSL_accept(ssl.get());
    return result == 1 ? Io::done : translate(result);
  }

  Io read(std::span<char> buffer, std::size_t& got) {
    if (ssl) {
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

  // After a read of `got` bytes. A read that did not fill its buffer has emptied the socket; OpenSSL reads ahead by
  // itself.
  bool may_have_more(std::size_t got, std::size_t asked) const {
    if (got == asked || peer_is_done) return true;
    return ssl && (SSL_has_pending(ssl.get()) == 1 || got >= 4096);
  }

  // Sends what is left of `out`.
  Io flush() {
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
};

}  // namespace

// Where replies from other threads arrive; outlives the front as long as a slot does.
struct ReplySlot::Target {
  struct Posted {
    std::uint64_t connection = 0;
    ServerReply reply;
  };

  moodycamel::ConcurrentQueue<Posted> replies;
  UniqueFd wake_fd;
  // Whether the loop has been told already: one eventfd write serves a whole batch of replies.
  std::atomic<bool> wake_pending{false};

  void wake() {
    if (wake_pending.exchange(true)) return;
    const std::uint64_t one = 1;
    // The counter cannot overflow, so the only failure left is a closed descriptor, when nobody listens any more.
    [[maybe_unused]] const ssize_t written = ::write(wake_fd.get(), &one, sizeof one);
  }
};

ReplySlot::ReplySlot(std::shared_ptr<Target> target, std::uint64_t connection)
    : target_(std::move(target)), connection_(connection) {}

ReplySlot::~ReplySlot() {
  if (target_) send(ServerReply{.status = 500, .body = R"({"status":"error"})"});
}

void ReplySlot::send(ServerReply reply) {
  const auto target = std::move(target_);
  if (!target) return;
  target->replies.enqueue({connection_, std::move(reply)});
  target->wake();
}

struct HttpFront::Impl {
  const FrontOptions options;
  const RequestHandler handler;
  Clock& clock;
  // Swapped by reload_certificate(); a connection keeps the one it began with (OpenSSL counts).
  Synchronized<SslContext> tls;
  UniqueFd listen_fd;
  UniqueFd epoll_fd;
  std::shared_ptr<ReplySlot::Target> replies = std::make_shared<ReplySlot::Target>();
  int port = 0;
  bool inherited = false;  // the listening socket

  // Of the loop thread alone.
  HeadParser parser;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections;
  std::uint64_t next_id = first_connection;
  SteadyTime next_sweep;

  // Set once by stop(): the loop thread drains until then and ends. Epoch means "not stopping".
  std::atomic<SteadyTime::rep> drain_until{0};
  std::thread thread;

  Impl(FrontOptions options_, RequestHandler handler_, Clock& clock_)
      : options(std::move(options_)), handler(std::move(handler_)), clock(clock_) {}

  Result<void> set_up(std::optional<UniqueFd> given);
  void run();
  bool draining() const { return drain_until.load() != 0; }

  void accept_all();
  void make_room();
  void on_event(Connection& connection, std::uint32_t events);
  void read_request(Connection& connection);
  void on_frame(Connection& connection, RequestFramer::State state);
  void dispatch(Connection& connection);
  void refuse(Connection& connection, int status, std::string_view reason);
  void reply(Connection& connection, const ServerReply& reply);
  void write_out(Connection& connection);
  void after_reply(Connection& connection);
  void discard_input(Connection& connection);
  void deliver_replies();
  void sweep(SteadyTime now);
  void take_what_has_come();
  void begin_drain();
  void close(Connection& connection) { connections.erase(connection.id); }
  bool watch(int fd, std::uint64_t token, std::uint32_t events) const;
};

bool HttpFront::Impl::watch(int fd, std::uint64_t token, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  return ::epoll_ctl(epoll_fd.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

Result<void> HttpFront::Impl::set_up(std::optional<UniqueFd> given) {
  if (!options.tls_cert.empty()) {
    auto context = make_server_context(options.tls_cert, options.tls_key);
    if (!context) return context.error();
    *tls.lock() = std::move(*context);
  }
  inherited = given.has_value();
  auto socket = given ? adopt_listening(std::move(*given)) : listen_on(options.listen);
  if (!socket) return socket.error();
  if (options.tls_cert.empty() && !is_local(*socket))
    return Error{ErrorKind::permanent, "its socket is reached from outside and there is no TLS certificate"};
  listen_fd = std::move(*socket);
  port = bound_port(listen_fd);
  epoll_fd = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  replies->wake_fd = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_fd || !replies->wake_fd || !watch(listen_fd.get(), listen_token, EPOLLIN) ||
      !watch(replies->wake_fd.get(), wake_token, EPOLLIN)) {
    return errno_error(errno, "cannot set up the listener's event loop");
  }
  return {};
}

void HttpFront::Impl::run() {
  std::array<epoll_event, 256> events{};
  next_sweep = clock.steady_now() + sweep_interval;
  while (true) {
    const int count =
        ::epoll_wait(epoll_fd.get(), events.data(), events.size(), static_cast<int>(sweep_interval.count()));
    for (int i = 0; i < count; ++i) {
      const std::uint64_t token = events[static_cast<std::size_t>(i)].data.u64;
      if (token == listen_token) {
        accept_all();
      } else if (token == wake_token) {
        std::uint64_t counter = 0;
        [[maybe_unused]] const ssize_t drained = ::read(replies->wake_fd.get(), &counter, sizeof counter);
      } else if (const auto found = connections.find(token); found != connections.end()) {
        on_event(*found->second, events[static_cast<std::size_t>(i)].events);
      }
    }
    deliver_replies();
    const auto now = clock.steady_now();
    if (now >= next_sweep) sweep(now);
    if (draining()) {
      begin_drain();
      if (connections.empty() || now.time_since_epoch().count() >= drain_until.load()) break;
    }
  }
  connections.clear();
}

void HttpFront::Impl::accept_all() {
  while (listen_fd) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    UniqueFd fd(
        ::accept4(listen_fd.get(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno == EMFILE || errno == ENFILE) {
        spdlog::warn("listener: out of file descriptors, closing the oldest connection");
        make_room();
      }
      return;
    }
    if (connections.size() >= options.max_connections) make_room();
    const int on = 1;
    if (address.ss_family != AF_UNIX) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    const auto now = clock.steady_now();
    auto connection = std::make_unique<Connection>(next_id++, std::move(fd), options.limits);
    connection->peer = peer_address(address);
    connection->idle_since = now;
    connection->deadline = now + options.request_timeout;
    if (!options.tls_cert.empty()) {
      connection->ssl.reset(SSL_new((*tls.lock()).get()));
      if (!connection->ssl || SSL_set_fd(connection->ssl.get(), connection->fd.get()) != 1) continue;
      connection->phase = Connection::Phase::handshake;
      connection->deadline = now + options.handshake_timeout;
    }
    // Edge-triggered, registered once: no system call per request is spent on changing the interest.
    if (!watch(connection->fd.get(), connection->id, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) continue;
    connections.emplace(connection->id, std::move(connection));
  }
}

void HttpFront::Impl::make_room() {
  const Connection* oldest = nullptr;
  for (const auto& [id, connection] : connections) {
    if (connection->being_answered()) continue;
    if (oldest == nullptr || connection->idle_since < oldest->idle_since) oldest = connection.get();
  }
  if (oldest != nullptr) connections.erase(oldest->id);
}

void HttpFront::Impl::on_event(Connection& connection, std::uint32_t events) {
  using Phase = Connection::Phase;
  connection.input_waiting = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.peer_is_done = true;
  if (connection.phase == Phase::handshake) {
    switch (connection.accept_tls()) {
      case Io::again: return;
      case Io::closed: return close(connection);
      case Io::done: break;
    }
    connection.phase = Phase::reading;
    connection.deadline = clock.steady_now() + options.request_timeout;
  }
  switch (connection.phase) {
    case Phase::reading: return read_request(connection);
    case Phase::writing: return write_out(connection);
    case Phase::lingering: return discard_input(connection);
    case Phase::handshake:
    case Phase::answering: return;  // what arrives meanwhile is read after the answer
  }
}

void HttpFront::Impl::read_request(Connection& connection) {
  std::array<char, 16 * 1024> buffer;
  const std::uint64_t id = connection.id;
  // `connection` may be gone after any call that answers it.
  while (connections.contains(id) && connection.phase == Connection::Phase::reading) {
    std::size_t got = 0;
    switch (connection.read(buffer, got)) {
      case Io::again: connection.input_waiting = false; return;
      case Io::closed: return close(connection);
      case Io::done: break;
    }
    connection.input_waiting = connection.may_have_more(got, buffer.size());
    if (!connection.framer.started()) connection.deadline = clock.steady_now() + options.request_timeout;
    on_frame(connection, connection.framer.feed(std::string_view(buffer.data(), got)));
  }
}

void HttpFront::Impl::on_frame(Connection& connection, RequestFramer::State state) {
  switch (state) {
    case RequestFramer::State::need_more: return;
    case RequestFramer::State::send_continue:
      connection.out = "HTTP/1.1 100 Continue\r\n\r\n";
      if (connection.flush() == Io::closed) close(connection);
      return;
    case RequestFramer::State::complete: return dispatch(connection);
    case RequestFramer::State::refused:
      return refuse(connection, connection.framer.refusal_status(), connection.framer.refusal_reason());
  }
}

void HttpFront::Impl::dispatch(Connection& connection) {
  auto request = parser.parse(connection.framer.head());
  if (!request) return refuse(connection, 400, "the request is malformed");
  request->body = connection.framer.body();
  request->remote_address = connection.peer;
  connection.phase = Connection::Phase::answering;
  connection.deadline = clock.steady_now() + answer_timeout;
  connection.close_after_reply = !connection.framer.keep_alive() || draining();
  connection.head_request = request->method == "HEAD";
  handler(std::move(*request), ReplySlot(replies, connection.id));
}

// What is left of a refused request is not looked at: the answer, then the end.
void HttpFront::Impl::refuse(Connection& connection, int status, std::string_view reason) {
  JsonWriter body;
  body.begin_object().field("status", "error").field("reason", reason).end_object();
  connection.close_after_reply = true;
  reply(connection, ServerReply{.status = status, .body = std::move(body).str()});
}

void HttpFront::Impl::reply(Connection& connection, const ServerReply& reply) {
  connection.out += serialize(reply, !connection.close_after_reply, !connection.head_request);
  connection.phase = Connection::Phase::writing;
  connection.deadline = clock.steady_now() + options.request_timeout;
  write_out(connection);
}

void HttpFront::Impl::write_out(Connection& connection) {
  switch (connection.flush()) {
    case Io::again: return;
    case Io::closed: return close(connection);
    case Io::done: return after_reply(connection);
  }
}

void HttpFront::Impl::after_reply(Connection& connection) {
  const auto now = clock.steady_now();
  connection.idle_since = now;
  if (connection.close_after_reply) {
    // A close with unread input would be a reset, and could take the answer with it.
    if (connection.ssl) SSL_shutdown(connection.ssl.get());
    ::shutdown(connection.fd.get(), SHUT_WR);
    connection.phase = Connection::Phase::lingering;
    connection.deadline = now + linger_timeout;
    return discard_input(connection);
  }
  connection.served = true;
  connection.phase = Connection::Phase::reading;
  connection.deadline = now + options.idle_timeout;
  const auto state = connection.framer.next();
  if (connection.framer.started()) connection.deadline = now + options.request_timeout;
  if (state != RequestFramer::State::need_more) return on_frame(connection, state);
  if (connection.input_waiting) read_request(connection);
}

void HttpFront::Impl::discard_input(Connection& connection) {
  std::array<char, 16 * 1024> buffer;
  // Bounded: a client that never stops sending is closed by the deadline, not read for ever.
  for (int rounds = 0; rounds < 64; ++rounds) {
    const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(connection);
  }
}

void HttpFront::Impl::deliver_replies() {
  if (!replies->wake_pending.exchange(false)) return;
  ReplySlot::Target::Posted posted;
  while (replies->replies.try_dequeue(posted)) {
    const auto found = connections.find(posted.connection);
    if (found == connections.end() || found->second->phase != Connection::Phase::answering) continue;
    reply(*found->second, posted.reply);
  }
}

void HttpFront::Impl::sweep(SteadyTime now) {
  next_sweep = now + sweep_interval;
  std::vector<std::uint64_t> overdue;
  for (const auto& [id, connection] : connections) {
    if (connection->deadline <= now) overdue.push_back(id);
  }
  for (const auto id : overdue) {
    Connection& connection = *connections.at(id);
    const bool half_sent = connection.phase == Connection::Phase::reading && connection.framer.started();
    half_sent ? refuse(connection, 408, "the request took too long") : close(connection);
  }
}

// What waits to be accepted or read at the moment of the stop. The queue of an inherited socket is for who comes
// after.
void HttpFront::Impl::take_what_has_come() {
  if (!inherited) accept_all();
  std::vector<std::uint64_t> idle;
  for (const auto& [id, connection] : connections) {
    if (connection->phase == Connection::Phase::reading && !connection->framer.started()) idle.push_back(id);
  }
  for (const auto id : idle) {
    if (const auto found = connections.find(id); found != connections.end()) read_request(*found->second);
  }
}

// Connections that idle are closed. Those that have only just come bring a request that nobody sends again: they are
// given a moment.
void HttpFront::Impl::begin_drain() {
  if (listen_fd) take_what_has_come();
  listen_fd = UniqueFd();
  const auto came_before = clock.steady_now() - first_request_grace;
  std::erase_if(connections, [&](const auto& entry) {
    const Connection& connection = *entry.second;
    const bool without_request = connection.phase == Connection::Phase::handshake ||
                                 (connection.phase == Connection::Phase::reading && !connection.framer.started());
    return without_request && (connection.served || connection.idle_since < came_before);
  });
}

HttpFront::HttpFront(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpFront::~HttpFront() { stop(milliseconds(0)); }
int HttpFront::port() const { return impl_->port; }

Result<void> HttpFront::reload_certificate() {
  if (impl_->options.tls_cert.empty()) return {};
  auto context = make_server_context(impl_->options.tls_cert, impl_->options.tls_key);
  if (!context) return context.error();
  std::swap(*impl_->tls.lock(), *context);
  return {};
}

Result<std::unique_ptr<HttpFront>> HttpFront::open(FrontOptions options, RequestHandler handler, Clock& clock,
                                                   std::optional<UniqueFd> inherited) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler), clock);
  if (auto ready = impl->set_up(std::move(inherited)); !ready) return ready.error();
  impl->thread = std::thread([loop = impl.get()] { loop->run(); });
  return std::unique_ptr<HttpFront>(new HttpFront(std::move(impl)));
}

void HttpFront::stop(milliseconds deadline) {
  if (!impl_->thread.joinable()) return;
  impl_->drain_until.store((impl_->clock.steady_now() + deadline).time_since_epoch().count());
  impl_->replies->wake();
  impl_->thread.join();
}

}  // namespace responder::net
