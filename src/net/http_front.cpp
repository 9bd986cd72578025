#include "responder/net/http_front.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/base/synchronized.hpp"

#include "connection_table.hpp"
#include "handshake_queue.hpp"
#include "http_answer.hpp"
#include "http_parse.hpp"
#include "reply_slot.hpp"
#include "server_connection.hpp"
#include "tls_server.hpp"

namespace responder::net {
namespace {

using std::chrono::milliseconds;

// What an event is of: a listening socket by its place, the wake-up, or a connection by its id.
constexpr std::size_t max_listeners = 16;
constexpr std::uint64_t wake_token = max_listeners;
constexpr std::uint64_t first_connection = wake_token + 1;
// Then others have their turn.
constexpr int accepts_at_once = 256;
constexpr milliseconds handshakes_at_once{5};  // or as long as the turn has taken with all else
constexpr milliseconds most_handshakes_at_once{50};
constexpr milliseconds sweep_interval{100};
constexpr milliseconds linger_timeout{1000};
constexpr milliseconds accept_pause{100};           // after an error that trying again at once would repeat
constexpr milliseconds complaint_interval{60'000};  // about the same trouble
constexpr milliseconds first_request_grace{1000};   // of a connection that came just before a stop
constexpr milliseconds answer_timeout{60000};

// Half of the descriptors that the process may have: the rest is for all else that it does.
std::size_t connections_allowed(std::size_t wanted) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  return std::clamp<std::size_t>(files.rlim_cur / 2, 1, wanted);
}

// An error of the connection that was to be accepted, not of accepting: the next one may be fine (accept(2)).
bool is_of_one_connection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH: return true;
    default: return false;
  }
}

}  // namespace

struct HttpFront::Impl {
  const FrontOptions options;
  const RequestHandler handler;
  Clock& clock;
  // Swapped by reload_certificate(); a connection keeps the one it began with (OpenSSL counts).
  Synchronized<SslContext> tls;
  std::vector<UniqueFd> listeners;
  UniqueFd epoll_fd;
  std::shared_ptr<ReplySlot::Target> replies = std::make_shared<ReplySlot::Target>();
  int port = 0;
  std::vector<ListenAddress> addresses;  // of the listening sockets
  bool inherited = false;                // the listening sockets

  // Of the loop thread alone.
  HeadParser parser;
  ConnectionTable connections;
  std::uint64_t next_id = first_connection;
  std::vector<std::uint64_t> unread;  // connections that have more to read
  HandshakeQueue handshakes;
  std::multimap<SteadyTime, ReplySlot::Target::Posted> held;  // answers by when they are due
  SteadyTime next_sweep;
  SteadyTime next_complaint;
  std::optional<SteadyTime> accepts_again;  // set: the listening sockets are not watched until then

  // Alone: when the loop last came round.
  std::atomic<SteadyTime::rep> turned_at{0};

  // Set once by stop(): the loop thread drains until then and ends. Epoch means "not stopping".
  std::atomic<SteadyTime::rep> drain_until{0};
  std::thread thread;

  Impl(FrontOptions options_, RequestHandler handler_, Clock& clock_)
      : options(std::move(options_)),
        handler(std::move(handler_)),
        clock(clock_),
        connections(connections_allowed(options.max_connections), options.max_buffered_bytes) {}

  Result<void> set_up(std::vector<UniqueFd> given);
  Result<SslContext> make_context() const;
  void run();
  int longest_wait_ms(SteadyTime now) const;
  bool draining() const { return drain_until.load() != 0; }

  bool accept_some(const UniqueFd& listener);  // false: nobody waits any more
  void pause_accepting(int error);
  void watch_listeners(std::uint32_t events);
  void take_in(UniqueFd fd, const sockaddr_storage& address);
  void on_event(ServerConnection& connection, std::uint32_t events);
  void queue_handshake(ServerConnection& connection);
  void continue_handshakes(SteadyTime began);
  void shake_hands(ServerConnection& connection);
  void read_later(ServerConnection& connection);
  void read_on();
  void read_request(ServerConnection& connection);
  void on_frame(ServerConnection& connection, RequestFramer::State state);
  void dispatch(ServerConnection& connection);
  void refuse(ServerConnection& connection, int status, std::string_view reason);
  void reply(ServerConnection& connection, const ServerReply& reply);
  void write_out(ServerConnection& connection);
  void after_reply(ServerConnection& connection);
  void discard_input(ServerConnection& connection);
  void deliver_replies(SteadyTime now);
  void deliver_or_hold(ReplySlot::Target::Posted posted, SteadyTime now);
  void deliver(ReplySlot::Target::Posted posted);
  void sweep(SteadyTime now);
  void take_what_has_come();
  void begin_drain();
  void close(ServerConnection& connection) { connections.erase(connection.id); }
  bool watch(int fd, std::uint64_t token, std::uint32_t events) const;
};

bool HttpFront::Impl::watch(int fd, std::uint64_t token, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  return ::epoll_ctl(epoll_fd.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

Result<SslContext> HttpFront::Impl::make_context() const {
  return make_server_context(options.tls_cert, options.tls_key, options.client_ca);
}

Result<void> HttpFront::Impl::set_up(std::vector<UniqueFd> given) {
  if (!options.tls_cert.empty()) {
    auto context = make_context();
    if (!context) return context.error();
    *tls.lock() = std::move(*context);
  }
  inherited = !given.empty();
  if (inherited) {
    for (auto& socket : given) {
      auto adopted = adopt_listening(std::move(socket));
      if (!adopted) return adopted.error();
      listeners.push_back(std::move(*adopted));
    }
  } else {
    auto opened = listen_on(options.listen);
    if (!opened) return opened.error();
    listeners = std::move(*opened);
  }
  if (listeners.size() > max_listeners)
    return Error{ErrorKind::permanent, fmt::format("more than {} sockets to listen on", max_listeners)};
  epoll_fd = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  replies->wake_fd = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  bool watched = epoll_fd && replies->wake_fd && watch(replies->wake_fd.get(), wake_token, EPOLLIN);
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    if (options.tls_cert.empty() && !options.plain_anywhere && !is_local(listeners[i]))
      return Error{ErrorKind::permanent, "its socket is reached from outside and there is no TLS certificate"};
    if (port == 0) port = bound_port(listeners[i]);
    addresses.push_back(bound_address(listeners[i]));
    watched = watched && watch(listeners[i].get(), i, EPOLLIN);
  }
  if (!watched) return errno_error(errno, "cannot set up the listener's event loop");
  return {};
}

int HttpFront::Impl::longest_wait_ms(SteadyTime now) const {
  if (!replies->own.empty() || !unread.empty() || !handshakes.empty()) return 0;
  if (held.empty()) return static_cast<int>(sweep_interval.count());
  const auto due = std::chrono::ceil<milliseconds>(held.begin()->first - now);
  return static_cast<int>(std::clamp(due, milliseconds(0), sweep_interval).count());
}

void HttpFront::Impl::run() {
  replies->loop = std::this_thread::get_id();
  std::array<epoll_event, 256> events{};
  auto now = clock.steady_now();
  next_sweep = now + sweep_interval;
  while (true) {
    turned_at.store(now.time_since_epoch().count());
    const int count = ::epoll_wait(epoll_fd.get(), events.data(), events.size(), longest_wait_ms(now));
    const auto began = clock.steady_now();
    for (int i = 0; i < count; ++i) {
      const std::uint64_t token = events[static_cast<std::size_t>(i)].data.u64;
      if (token < listeners.size()) {
        accept_some(listeners[token]);
      } else if (token == wake_token) {
        std::uint64_t counter = 0;
        [[maybe_unused]] const ssize_t drained = ::read(replies->wake_fd.get(), &counter, sizeof counter);
      } else if (auto* connection = connections.find(token); connection != nullptr) {
        on_event(*connection, events[static_cast<std::size_t>(i)].events);
      }
    }
    read_on();
    now = clock.steady_now();
    deliver_replies(now);
    connections.tidy_memory();
    continue_handshakes(began);
    if (now >= next_sweep) sweep(now);
    if (accepts_again && now >= *accepts_again) {
      accepts_again.reset();
      watch_listeners(EPOLLIN);
    }
    if (draining()) {
      begin_drain();
      if (connections.empty() || now.time_since_epoch().count() >= drain_until.load()) break;
    }
  }
  connections.clear();
}

bool HttpFront::Impl::accept_some(const UniqueFd& listener) {
  for (int i = 0; i < accepts_at_once; ++i) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    UniqueFd fd(
        ::accept4(listener.get(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      take_in(std::move(fd), address);
      continue;
    }
    if (is_of_one_connection(errno)) continue;
    if (errno != EAGAIN) pause_accepting(errno);
    return false;
  }
  return true;
}

// The listening sockets stay readable: watched, they would be tried again at once, and in vain, for ever.
void HttpFront::Impl::pause_accepting(int error) {
  const auto now = clock.steady_now();
  const bool no_descriptor = error == EMFILE || error == ENFILE;
  if (now >= next_complaint) {
    spdlog::warn(
        "listener: cannot accept connections: {}{}; trying again every {} ms", std::generic_category().message(error),
        no_descriptor ? " (see LimitNOFILE, ulimit -n); closing the oldest connections" : "", accept_pause.count());
    next_complaint = now + complaint_interval;
  }
  if (no_descriptor) connections.make_room();
  accepts_again = now + accept_pause;
  watch_listeners(0);
}

void HttpFront::Impl::watch_listeners(std::uint32_t events) {
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = i;
    ::epoll_ctl(epoll_fd.get(), EPOLL_CTL_MOD, listeners[i].get(), &event);
  }
}

void HttpFront::Impl::take_in(UniqueFd fd, const sockaddr_storage& address) {
  const int on = 1;
  if (address.ss_family != AF_UNIX) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto now = clock.steady_now();
  auto connection = std::make_unique<ServerConnection>(next_id++, std::move(fd), address, options.limits);
  connection->idle_since = now;
  connection->deadline = now + options.request_timeout;
  if (!options.tls_cert.empty()) {
    connection->phase = ServerConnection::Phase::handshake;
    connection->deadline = now + options.handshake_timeout;
  }
  // Edge-triggered, registered once: no system call per request is spent on changing the interest.
  if (!watch(connection->fd.get(), connection->id, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) return;
  connections.add(std::move(connection));
}

// Each step of a handshake begins when a whole record of it is there, and in turns: the steps are the costly part of
// a connection, and a client decides which of its records is the costly one.
void HttpFront::Impl::queue_handshake(ServerConnection& connection) {
  if (connection.handshake_queued) return;
  const auto received = connection.receive_record();
  connections.note_memory(connection);
  if (received == Io::closed) return close(connection);
  if (received == Io::again && !connection.wants_to_write()) return;
  connection.handshake_queued = true;
  handshakes.add(connection.peer_group, connection.id);
}

// `began`: when this turn of the loop began. Handshakes get as much time as reading took in this turn.
void HttpFront::Impl::continue_handshakes(SteadyTime began) {
  const auto now = clock.steady_now();
  const auto until = now + std::clamp<SteadyTime::duration>(now - began, handshakes_at_once, most_handshakes_at_once);
  while (const auto id = handshakes.next()) {
    auto* connection = connections.find(*id);
    if (connection == nullptr) continue;
    connection->handshake_queued = false;
    // A client that has gone before our first answer cannot finish the handshake.
    const bool has_gone = connection->peer_is_done && !connection->ssl;
    if (has_gone || (!connection->ssl && !connection->begin_tls((*tls.lock()).get()))) {
      close(*connection);
    } else {
      shake_hands(*connection);
    }
    if (clock.steady_now() >= until) return;
  }
}

void HttpFront::Impl::shake_hands(ServerConnection& connection) {
  switch (connection.accept_tls()) {
    case Io::again:
      // Output that did not fit into the socket is sent when epoll says that there is room.
      if (!connection.wants_to_write()) queue_handshake(connection);
      return;
    case Io::closed: return close(connection);
    case Io::done: break;
  }
  connection.phase = ServerConnection::Phase::reading;
  connection.deadline = clock.steady_now() + options.request_timeout;
  read_request(connection);
}

void HttpFront::Impl::on_event(ServerConnection& connection, std::uint32_t events) {
  using Phase = ServerConnection::Phase;
  connection.input_waiting = true;
  connection.note_event();
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.peer_is_done = true;
  switch (connection.phase) {
    case Phase::handshake: return queue_handshake(connection);
    case Phase::reading: return read_request(connection);
    case Phase::writing: return write_out(connection);
    case Phase::lingering: return discard_input(connection);
    case Phase::answering: return;  // what arrives meanwhile is read after the answer
  }
}

// One read: then others have their turn.
void HttpFront::Impl::read_request(ServerConnection& connection) {
  std::array<char, 16 * 1024> buffer;
  std::size_t got = 0;
  const auto result = connection.read(buffer, got);
  if (result == Io::closed) return close(connection);
  connection.input_waiting = result == Io::done && connection.may_have_more();
  auto state = RequestFramer::State::need_more;
  if (got > 0) {
    const bool had_begun = connection.framer.started();
    state = connection.framer.feed(std::string_view(buffer.data(), got));
    if (!had_begun && connection.framer.started()) connection.deadline = clock.steady_now() + options.request_timeout;
  }
  connections.note_memory(connection);
  if (state == RequestFramer::State::need_more && connection.input_waiting) read_later(connection);
  on_frame(connection, state);
}

void HttpFront::Impl::read_later(ServerConnection& connection) {
  if (std::exchange(connection.is_unread, true)) return;
  unread.push_back(connection.id);
}

void HttpFront::Impl::read_on() {
  std::vector<std::uint64_t> ids;
  ids.swap(unread);
  for (const auto id : ids) {
    auto* connection = connections.find(id);
    if (connection == nullptr) continue;
    connection->is_unread = false;
    if (connection->phase == ServerConnection::Phase::reading) {
      read_request(*connection);
    } else if (connection->phase == ServerConnection::Phase::lingering) {
      discard_input(*connection);
    }
  }
}

void HttpFront::Impl::on_frame(ServerConnection& connection, RequestFramer::State state) {
  switch (state) {
    case RequestFramer::State::need_more: return;
    case RequestFramer::State::send_continue:
      connection.out = "HTTP/1.1 100 Continue\r\n\r\n";
      if (connection.flush() == Io::closed) return close(connection);
      return read_later(connection);  // its body may be here already
    case RequestFramer::State::complete: return dispatch(connection);
    case RequestFramer::State::refused:
      return refuse(connection, connection.framer.refusal_status(), connection.framer.refusal_reason());
  }
}

void HttpFront::Impl::dispatch(ServerConnection& connection) {
  auto request = parser.parse(connection.framer.head(), connection.framer.fields());
  if (!request) return refuse(connection, 400, "the request is malformed");
  request->body = std::move(connection.framer.body());
  connections.note_memory(connection);
  request->remote_address = connection.peer;
  connection.note_request();
  connection.phase = ServerConnection::Phase::answering;
  connection.deadline = clock.steady_now() + answer_timeout;
  connection.close_after_reply = !connection.framer.keep_alive() || draining();
  connection.head_request = request->method == "HEAD";
  handler(std::move(*request), ReplySlot(replies, connection.id));
}

// What is left of a refused request is not looked at: the answer, then the end.
void HttpFront::Impl::refuse(ServerConnection& connection, int status, std::string_view reason) {
  if (options.refused) options.refused(status);
  JsonWriter body;
  body.begin_object().field("status", "error").field("reason", reason).end_object();
  connection.close_after_reply = true;
  connection.head_request = false;  // the one before was, perhaps
  reply(connection, ServerReply{.status = status, .body = std::move(body).str()});
}

void HttpFront::Impl::reply(ServerConnection& connection, const ServerReply& reply) {
  connection.out +=
      serialize_answer(reply, !connection.close_after_reply, !connection.head_request, connection.ssl != nullptr);
  connection.phase = ServerConnection::Phase::writing;
  connection.deadline = clock.steady_now() + options.request_timeout;
  write_out(connection);
}

void HttpFront::Impl::write_out(ServerConnection& connection) {
  switch (connection.flush()) {
    case Io::again: return;
    case Io::closed: return close(connection);
    case Io::done: return after_reply(connection);
  }
}

void HttpFront::Impl::after_reply(ServerConnection& connection) {
  const auto now = clock.steady_now();
  connection.idle_since = now;
  if (connection.close_after_reply) {
    // A close with unread input would be a reset, and could take the answer with it.
    connection.end_output();
    connection.phase = ServerConnection::Phase::lingering;
    connection.deadline = now + linger_timeout;
    return discard_input(connection);
  }
  connection.served = true;
  connection.phase = ServerConnection::Phase::reading;
  connection.deadline = now + (connection.sent_valid ? options.known_idle_timeout : options.idle_timeout);
  const auto state = connection.framer.next();
  connections.note_memory(connection);
  if (connection.framer.started()) connection.deadline = now + options.request_timeout;
  if (state != RequestFramer::State::need_more) return on_frame(connection, state);
  if (connection.input_waiting) read_request(connection);
}

// One read only, so that other connections have their turn.
void HttpFront::Impl::discard_input(ServerConnection& connection) {
  constexpr std::size_t most = 2U << 20U;  // what a client may have under way when it is refused
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) connection.discarded += static_cast<std::size_t>(got);
  if (got <= 0 || connection.discarded >= most) return close(connection);
  read_later(connection);
}

void HttpFront::Impl::deliver_replies(SteadyTime now) {
  if (replies->wake_pending.exchange(false)) {
    ReplySlot::Target::Posted posted;
    while (replies->replies.try_dequeue(posted)) deliver_or_hold(std::move(posted), now);
  }
  // Those that are there now: answering one may bring the next of the same connection, and others want their turn.
  for (auto left = replies->own.size(); left > 0; --left) {
    auto posted = std::move(replies->own.front());
    replies->own.pop_front();
    deliver_or_hold(std::move(posted), now);
  }
  while (!held.empty() && (held.begin()->first <= now || draining()))
    deliver(std::move(held.extract(held.begin()).mapped()));
}

void HttpFront::Impl::deliver_or_hold(ReplySlot::Target::Posted posted, SteadyTime now) {
  if (posted.not_before <= now || draining()) return deliver(std::move(posted));
  auto* connection = connections.find(posted.connection);
  if (connection == nullptr) return;
  connection->answer_held = true;
  held.emplace(posted.not_before, std::move(posted));
}

void HttpFront::Impl::deliver(ReplySlot::Target::Posted posted) {
  auto* connection = connections.find(posted.connection);
  if (connection == nullptr || connection->phase != ServerConnection::Phase::answering) return;
  connection->answer_held = false;
  if (posted.reply.status == 200) {
    connection->sent_valid = true;
    connections.welcome(connection->peer_group);
  }
  reply(*connection, posted.reply);
}

void HttpFront::Impl::sweep(SteadyTime now) {
  next_sweep = now + sweep_interval;
  const auto overdue = connections.ids_where([&](const ServerConnection& one) { return one.deadline <= now; });
  for (const auto id : overdue) {
    auto* connection = connections.find(id);
    if (connection == nullptr) continue;
    const bool half_sent = connection->phase == ServerConnection::Phase::reading && connection->framer.started();
    half_sent ? refuse(*connection, 408, "the request took too long") : close(*connection);
  }
}

// What waits to be accepted or read at the moment of the stop. The queue of an inherited socket is for who comes
// after.
void HttpFront::Impl::take_what_has_come() {
  if (!inherited) {
    constexpr int rounds = 8;  // more than the queue holds; a flood does not hold up the stop
    for (const auto& listener : listeners) {
      for (int i = 0; i < rounds && accept_some(listener); ++i) {
      }
    }
  }
  const auto idle = connections.ids_where([](const ServerConnection& one) {
    return one.phase == ServerConnection::Phase::reading && !one.framer.started();
  });
  for (const auto id : idle) {
    if (auto* connection = connections.find(id); connection != nullptr) read_request(*connection);
  }
}

// Connections that idle are closed. Those that have only just come bring a request that nobody sends again: they are
// given a moment.
void HttpFront::Impl::begin_drain() {
  if (!listeners.empty()) take_what_has_come();
  if (!listeners.empty() && !inherited && !options.listen.unix_path.empty())
    ::unlink(options.listen.unix_path.c_str());
  // Those that are inherited stay open elsewhere, and would be told of for ever.
  for (const auto& listener : listeners) ::epoll_ctl(epoll_fd.get(), EPOLL_CTL_DEL, listener.get(), nullptr);
  listeners.clear();
  const auto came_before = clock.steady_now() - first_request_grace;
  connections.erase_if([&](const ServerConnection& connection) {
    const bool without_request =
        connection.phase == ServerConnection::Phase::handshake ||
        (connection.phase == ServerConnection::Phase::reading && !connection.framer.started());
    return without_request && (connection.served || connection.idle_since < came_before);
  });
}

HttpFront::HttpFront(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpFront::~HttpFront() { stop(milliseconds(0)); }
int HttpFront::port() const { return impl_->port; }

std::vector<ListenAddress> HttpFront::addresses() const { return impl_->addresses; }

std::optional<Validity> HttpFront::certificate() const {
  auto context = impl_->tls.lock();
  if (!*context) return std::nullopt;
  return validity_of(SSL_CTX_get0_certificate(context->get()));
}

bool HttpFront::turns() const {
  constexpr milliseconds longest_turn{5000};
  const auto age = impl_->clock.steady_now().time_since_epoch().count() - impl_->turned_at.load();
  return SteadyTime::duration(age) < longest_turn;
}

Result<void> HttpFront::reload_certificate() {
  if (impl_->options.tls_cert.empty()) return {};
  auto context = impl_->make_context();
  if (!context) return context.error();
  std::swap(*impl_->tls.lock(), *context);
  return {};
}

Result<std::unique_ptr<HttpFront>> HttpFront::open(FrontOptions options, RequestHandler handler, Clock& clock,
                                                   std::vector<UniqueFd> inherited) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler), clock);
  if (auto ready = impl->set_up(std::move(inherited)); !ready) return ready.error();
  impl->turned_at.store(clock.steady_now().time_since_epoch().count());
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
