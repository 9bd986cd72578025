#include "responder/net/http_front.hpp"

#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace responder;
using namespace responder::net;
using namespace std::chrono_literals;

namespace {

// A plain client: what is sent is what is written here.
class RawClient {
 public:
  // `host`: the last number of 127.0.0.x that it comes from.
  explicit RawClient(int port, std::uint32_t host = 1) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
    CHECK(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(address);
  }
  struct V6 {};
  RawClient(V6, int port) : fd_(::socket(AF_INET6, SOCK_STREAM, 0)) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(static_cast<std::uint16_t>(port));
    address.sin6_addr = in6addr_loopback;
    connect(address);
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& text) {
    CHECK(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }

  // One answer with its Content-Length, or what came before the connection ended.
  std::string answer() {
    char buffer[4096];
    while (true) {
      const auto head = received_.find("\r\n\r\n");
      const auto length = received_.find("Content-Length: ");
      if (head != std::string::npos && length != std::string::npos) {
        const auto size = head + 4 + static_cast<std::size_t>(std::atol(received_.c_str() + length + 16));
        if (received_.size() >= size) {
          const auto one = received_.substr(0, size);
          received_.erase(0, size);
          return one;
        }
      }
      const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return std::exchange(received_, {});
      received_.append(buffer, static_cast<std::size_t>(got));
    }
  }
  // A reset counts: that is how a connection ends whose bytes nobody read.
  bool closed_by_server() {
    char byte = 0;
    const ssize_t got = ::recv(fd_, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

 private:
  template <class Address>
  void connect(const Address& address) {
    timeval timeout{5, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  int fd_;
  bool connected_ = false;
  std::string received_;
};

FrontOptions quick_options() {
  FrontOptions options;
  options.listen = *ListenAddress::parse("127.0.0.1:0");
  options.request_timeout = 300ms;
  options.idle_timeout = 600ms;
  return options;
}

RequestHandler echo() {
  return [](ServerRequest request, ReplySlot reply) {
    reply.send({.status = 200, .body = request.method + " " + request.path + " " + request.body});
  };
}

}  // namespace

TEST_CASE("requests are answered in order on one connection, pipelined or not") {
  SystemClock clock;
  auto front = HttpFront::open(quick_options(), echo(), clock);
  REQUIRE(front);
  RawClient client((*front)->port());
  client.send("POST /a%20b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(client.answer().ends_with("POST /a b hi"));
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  CHECK(client.answer().ends_with("GET /1 "));
  CHECK(client.answer().ends_with("GET /2 "));
  CHECK(client.closed_by_server());
}

TEST_CASE("an answer may come later and from another thread") {
  SystemClock clock;
  std::vector<std::thread> threads;
  auto front = HttpFront::open(
      quick_options(),
      [&](ServerRequest, ReplySlot reply) {
        threads.emplace_back(
            [slot = std::make_shared<ReplySlot>(std::move(reply))] { slot->send({.status = 200, .body = "late"}); });
      },
      clock);
  REQUIRE(front);
  RawClient client((*front)->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.answer().ends_with("late"));
  for (auto& thread : threads) thread.join();
}

TEST_CASE("a slot that is dropped answers 500") {
  SystemClock clock;
  auto front = HttpFront::open(
      quick_options(), [](ServerRequest, ReplySlot) {}, clock);
  RawClient client((*front)->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.answer().starts_with("HTTP/1.1 500 "));
}

TEST_CASE("malformed requests are refused and the connection is closed") {
  SystemClock clock;
  auto front = HttpFront::open(quick_options(), echo(), clock);
  for (const auto* text :
       {"nonsense\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"}) {
    CAPTURE(text);
    RawClient client((*front)->port());
    client.send(text);
    CHECK(client.answer().starts_with("HTTP/1.1 400 "));
    CHECK(client.closed_by_server());
  }
}

TEST_CASE("a method nobody knows is the handler's to refuse") {
  SystemClock clock;
  auto front = HttpFront::open(quick_options(), echo(), clock);
  RawClient client((*front)->port());
  client.send("FROB /x HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.answer().ends_with("FROB /x "));
}

TEST_CASE("headers that cpp-httplib would act on change nothing") {
  SystemClock clock;
  auto front = HttpFront::open(
      quick_options(),
      [](ServerRequest request, ReplySlot reply) {
        reply.send({.status = 200, .body = request.remote_address + " " + request.body});
      },
      clock);
  RawClient client((*front)->port());
  client.send(
      "POST / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nREMOTE_ADDR: 6.6.6.6\r\nContent-Encoding: "
      "gzip\r\nContent-Type: "
      "multipart/form-data\r\nContent-Length: 3\r\n\r\nabc");
  const auto answer = client.answer();
  CHECK(answer.starts_with("HTTP/1.1 200 "));
  CHECK(answer.ends_with("127.0.0.1 abc"));
}

TEST_CASE("a request that drips is cut off by its deadline, an idle connection by its own") {
  SystemClock clock;
  auto front = HttpFront::open(quick_options(), echo(), clock);
  RawClient slow((*front)->port());
  slow.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Le");
  CHECK(slow.answer().starts_with("HTTP/1.1 408 "));
  RawClient silent((*front)->port());
  CHECK(silent.closed_by_server());
}

TEST_CASE("who has sent something valid may idle for longer, on that connection") {
  SystemClock clock;
  auto options = quick_options();
  options.idle_timeout = 100ms;
  auto front = HttpFront::open(
      options,
      [](const ServerRequest& request, ReplySlot reply) {
        reply.send({.status = request.path == "/valid" ? 200 : 401, .body = ""});
      },
      clock);
  RawClient known((*front)->port());
  RawClient stranger((*front)->port());
  known.send("GET /valid HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(known.answer().starts_with("HTTP/1.1 200 "));
  stranger.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(stranger.answer().starts_with("HTTP/1.1 401 "));
  CHECK(stranger.closed_by_server());
  // What stands behind a request begins none: it neither shortens nor lengthens the time.
  known.send("\r\n");
  known.send("GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(known.answer().starts_with("HTTP/1.1 401 "));
  CHECK(FrontOptions{}.known_idle_timeout > 120s);
  CHECK(FrontOptions{}.idle_timeout <= 60s);
}

TEST_CASE("an empty line behind a request leaves the connection idle") {
  SystemClock clock;
  auto options = quick_options();
  options.request_timeout = 60s;
  options.idle_timeout = 100ms;
  auto front = HttpFront::open(
      options, [](const ServerRequest&, ReplySlot reply) { reply.send({.status = 401, .body = ""}); }, clock);
  RawClient client((*front)->port());
  client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n\r\n");
  CHECK(client.answer().starts_with("HTTP/1.1 401 "));
  client.send("\r\n");
  CHECK(client.closed_by_server());
}

TEST_CASE("a target that names the host leads where the path alone does") {
  SystemClock clock;
  auto front = HttpFront::open(quick_options(), echo(), clock);
  RawClient client((*front)->port());
  client.send("POST http://other.example:8443/a%20b?c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
  CHECK(client.answer().ends_with("POST /a b hi"));
  client.send("GET HTTP://h?/x HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.answer().ends_with("GET / "));
}

TEST_CASE("it is known where the sockets are bound, given ones too") {
  SystemClock clock;
  auto front = HttpFront::open(quick_options(), echo(), clock);
  REQUIRE((*front)->addresses().size() == 1);
  CHECK((*front)->addresses()[0].str() == "127.0.0.1:" + std::to_string((*front)->port()));
  const auto elsewhere = *ListenAddress::parse("[::1]:0");
  auto given = listen_on(elsewhere);
  REQUIRE(given);
  auto other = HttpFront::open(quick_options(), echo(), clock, std::move(*given));
  CHECK((*other)->addresses()[0].str() == "[::1]:" + std::to_string((*other)->port()));
}

TEST_CASE("at the cap the oldest connection makes room") {
  SystemClock clock;
  auto options = quick_options();
  options.max_connections = 3;
  options.request_timeout = 5000ms;
  auto front = HttpFront::open(options, echo(), clock);
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(std::make_unique<RawClient>((*front)->port()));
    held.back()->send("POST / HTTP/1.1\r\nHost: h\r\n");
  }
  RawClient fresh((*front)->port());
  fresh.send("GET /fresh HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(fresh.answer().ends_with("GET /fresh "));
  CHECK(held.front()->closed_by_server());
}

TEST_CASE("who has the most connections makes room, not who has few") {
  SystemClock clock;
  auto options = quick_options();
  options.max_connections = 6;
  options.request_timeout = 5000ms;
  auto front = HttpFront::open(options, echo(), clock);
  RawClient modest((*front)->port(), 7);
  modest.send("GET /first HTTP/1.1\r\n");  // and so the oldest
  std::vector<std::unique_ptr<RawClient>> greedy;
  for (int i = 0; i < 40; ++i) {
    greedy.push_back(std::make_unique<RawClient>((*front)->port()));
    greedy.back()->send("GET /many HTTP/1.1\r\nHost: h\r\n");
  }
  greedy.back()->send("\r\n");
  CHECK(greedy.back()->answer().ends_with("GET /many "));
  modest.send("Host: h\r\n\r\n");
  CHECK(modest.answer().ends_with("GET /first "));
}

TEST_CASE("half-sent bodies make room for one another, and idle connections stay") {
  SystemClock clock;
  auto options = quick_options();
  options.max_buffered_bytes = 100'000;
  options.request_timeout = 5000ms;
  options.idle_timeout = 5000ms;
  auto front = HttpFront::open(options, echo(), clock);
  RawClient idle((*front)->port());
  idle.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(idle.answer().ends_with("GET /first "));
  std::vector<std::unique_ptr<RawClient>> half_sent;
  for (int i = 0; i < 8; ++i) {
    half_sent.push_back(std::make_unique<RawClient>((*front)->port()));
    half_sent.back()->send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + std::string(40'000, 'x'));
  }
  CHECK(half_sent.front()->closed_by_server());
  idle.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(idle.answer().ends_with("GET /second "));
}

TEST_CASE("an answer that is held back comes when it is due, and its place is the first to go") {
  SystemClock clock;
  auto options = quick_options();
  options.max_connections = 2;
  std::atomic<int> held{0};
  auto front = HttpFront::open(
      options,
      [&](const ServerRequest& request, ReplySlot reply) {
        const auto delay = request.path == "/long" ? 60s : request.path == "/short" ? 1s : 0s;
        reply.send({.status = 401, .body = ""}, clock.steady_now() + delay);
        ++held;
      },
      clock);
  RawClient waiting((*front)->port());
  const auto began = clock.steady_now();
  waiting.send("GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(waiting.answer().starts_with("HTTP/1.1 401 "));
  CHECK(clock.steady_now() - began >= 1s);
  waiting.send("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
  RawClient too((*front)->port());
  too.send("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
  while (held < 3) std::this_thread::yield();
  RawClient fresh((*front)->port());
  fresh.send("GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(fresh.answer().starts_with("HTTP/1.1 401 "));
  CHECK(waiting.closed_by_server());
  // A stop does not wait for what is held back.
  (*front)->stop(5000ms);
  CHECK(too.answer().starts_with("HTTP/1.1 401 "));
}

TEST_CASE("without a host both families are listened on, one port for both") {
  SystemClock clock;
  auto options = quick_options();
  options.listen = *ListenAddress::parse("localhost:0");
  auto front = HttpFront::open(
      options,
      [](const ServerRequest& request, ReplySlot reply) {
        reply.send({.status = 200, .body = request.remote_address});
      },
      clock);
  REQUIRE(front);
  RawClient v4((*front)->port());
  v4.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(v4.answer().ends_with("127.0.0.1"));
  RawClient v6(RawClient::V6{}, (*front)->port());
  REQUIRE(v6.connected());
  v6.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(v6.answer().ends_with("::1"));
}

TEST_CASE("clients are grouped by what one of them can have") {
  CHECK(client_group("192.0.2.7") == "192.0.2.7");
  CHECK(client_group("2001:db8:1:2:3:4:5:6") == "2001:db8:1::/48");
  CHECK(client_group("2001:db8:1:2::1") == "2001:db8:1::/48");
  CHECK(client_group("").empty());
}

TEST_CASE("stop lets the request in hand be answered and refuses new ones") {
  SystemClock clock;
  std::optional<ReplySlot> held;
  std::atomic<bool> arrived{false};
  auto front = HttpFront::open(
      quick_options(),
      [&](ServerRequest, ReplySlot reply) {
        held.emplace(std::move(reply));
        arrived = true;
      },
      clock);
  const int port = (*front)->port();
  RawClient client(port);
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  while (!arrived) std::this_thread::yield();
  std::thread stopping([&] { (*front)->stop(5000ms); });
  held->send({.status = 200, .body = "in time"});
  CHECK(client.answer().ends_with("in time"));
  stopping.join();
  CHECK_FALSE(RawClient(port).connected());
}

TEST_CASE("a port in use is an error that says so") {
  SystemClock clock;
  auto first = HttpFront::open(quick_options(), echo(), clock);
  auto options = quick_options();
  options.listen.port = (*first)->port();
  const auto second = HttpFront::open(options, echo(), clock);
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("another program has it") != std::string::npos);
}
