// The client against servers that are slow, silent, endless or gone. Against good ones: tests/integration.
#include "responder/net/http_client.hpp"

#include <atomic>
#include <fstream>
#include <latch>
#include <string>
#include <thread>

#include <catch2/catch.hpp>
#include <dlfcn.h>
#include <fmt/format.h>
#include <netdb.h>

#include "responder/net/connections.hpp"

#include "rough_server.hpp"
#include "sanitizers.hpp"

using namespace responder;
using namespace responder::net;
using namespace std::chrono_literals;
using test::Peer;
using test::RoughServer;

namespace {

constexpr std::size_t max_body = 64 * 1024;

// While it is there, no name is resolved: who asks waits.
class SilentDns {
 public:
  SilentDns() { silent = true; }
  ~SilentDns() { silent = false; }
  SilentDns(const SilentDns&) = delete;
  SilentDns& operator=(const SilentDns&) = delete;

  static inline std::atomic<bool> silent{false};
  static inline std::atomic<int> asked{0};
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Trust trusting(const RoughServer& server) {
  Trust trust;
  trust.ca_file = server.ca_file();
  return trust;
}

Trust anybody() {
  Trust trust;
  trust.mode = Trust::Mode::insecure;
  return trust;
}

std::string error_of(const Result<Response>& answer) { return answer ? "none" : answer.error().message; }

// Most of what the process has used since the last call, in bytes.
class PeakMemory {
 public:
  PeakMemory() {
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = peak();
  }
  std::size_t growth() const { return peak() - before_; }

 private:
  static std::size_t peak() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
    }
    return 0;
  }
  std::size_t before_ = 0;
};

constexpr std::size_t most_growth = (test::is_sanitized ? 256U : 8U) << 20U;

}  // namespace

// In place of the C library's, for this program and libcurl.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  using Function = int(const char*, const char*, const addrinfo*, addrinfo**);
  ++SilentDns::asked;
  while (SilentDns::silent) std::this_thread::sleep_for(5ms);
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, result);
}

TEST_CASE("no request is lost to a connection that was closed politely") {
  RoughServer server({.tls = true}, [](Peer& peer) {
    if (!peer.handshake() || peer.read_head().empty()) return;
    peer.answer_ok();
    peer.close_politely();
  });
  HttpConnection connection(server.url(), trusting(server), {});
  for (int i = 0; i < 5; ++i) {
    const auto answer = connection.post_json("/", {}, "{}", max_body, Repeat::allowed, {});
    CHECK(error_of(answer) == "none");
    const auto got = connection.get("/", {}, max_body, {});
    CHECK(error_of(got) == "none");
  }
  CHECK(server.connections() == 10);
}

TEST_CASE("what must not be repeated goes over a new connection, and only once") {
  std::atomic<int> requests{0};
  RoughServer server({}, [&](Peer& peer) {
    while (!peer.read_head().empty()) {
      if (++requests % 2 == 0) return;  // taken, and not answered
      peer.answer_ok();
    }
  });
  HttpConnection connection(server.url(), {}, {});
  REQUIRE(connection.get("/", {}, max_body, {}));
  const auto lost = connection.post_json("/", {}, "{}", max_body, Repeat::never, {});
  CHECK(has(error_of(lost), "closed the connection without an answer"));
  CHECK(requests == 2);
  CHECK(server.connections() == 2);
  REQUIRE(connection.get("/", {}, max_body, {}));
  // The same on a kept connection is sent once more.
  CHECK(connection.post_json("/", {}, "{}", max_body, Repeat::allowed, {}));
  CHECK(requests == 5);
}

TEST_CASE("connections are kept between requests") {
  RoughServer server({.tls = true}, [](Peer& peer) {
    if (!peer.handshake()) return;
    while (!peer.read_head().empty()) peer.answer_ok();
  });
  ConnectionPool pool(server.url(), trusting(server), {}, 2);
  for (int i = 0; i < 4; ++i) {
    auto connection = pool.borrow({});
    REQUIRE(connection);
    CHECK((*connection)->post_json("/x", {}, "{}", max_body, Repeat::allowed, {}));
  }
  CHECK(server.connections() == 1);
}

namespace {

struct Phase {
  const char* name;
  bool tls;
  std::function<void(Peer&, std::latch&)> behaviour;
};

const Phase phases[] = {
    {"a handshake that drips", true,
     [](Peer& peer, std::latch& reached) {
       const std::string record("\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", 9);
       for (std::size_t i = 0; peer.send_raw(std::string_view(i < record.size() ? &record[i] : "\0", 1)); ++i) {
         if (i == record.size()) reached.count_down();
         if (!peer.wait(2ms)) return;
       }
     }},
    {"a silent handshake", true,
     [](Peer& peer, std::latch& reached) {
       reached.count_down();
       peer.wait_for_end();
     }},
    {"no answer", false,
     [](Peer& peer, std::latch& reached) {
       peer.read_head();
       reached.count_down();
       peer.wait_for_end();
     }},
    {"a head that drips", false,
     [](Peer& peer, std::latch& reached) {
       peer.read_head();
       peer.send("HTTP/1.1 200 OK\r\nX: ");
       reached.count_down();
       while (peer.send("x") && peer.wait(2ms)) continue;
     }},
    {"a body that drips", false,
     [](Peer& peer, std::latch& reached) {
       peer.read_head();
       peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
       reached.count_down();
       while (peer.send("x") && peer.wait(2ms)) continue;
     }},
};

}  // namespace

TEST_CASE("a stop ends a request at once, whatever it is waiting for") {
  constexpr ClientLimits patient{.connect = 100s, .first_byte = 100s, .interval = 100s};
  SystemClock clock;
  for (const auto& phase : phases) {
    INFO(phase.name);
    std::latch reached{1};
    RoughServer server({.tls = phase.tls}, [&](Peer& peer) { phase.behaviour(peer, reached); });
    HttpConnection connection(server.url(), anybody(), patient);
    std::stop_source stop;
    SteadyTime stopped;
    const std::jthread stopping([&] {
      reached.wait();
      stopped = clock.steady_now();
      stop.request_stop();
    });
    const auto answer = connection.get("/", {}, max_body, stop.get_token());
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::cancelled);
    CHECK(clock.steady_now() - stopped < 5s);
    CHECK_FALSE(connection.stood_still());
  }
}

TEST_CASE("a stop ends the resolution of a name at once, and so does its deadline") {
  const SilentDns silent;
  SystemClock clock;
  const auto began = clock.steady_now();
  {
    HttpConnection connection(*Url::parse("https://camera.example"), {}, {.connect = 100s, .first_byte = 100s});
    std::stop_source stop;
    const auto asked = SilentDns::asked.load();
    const std::jthread stopping([&] {
      while (SilentDns::asked == asked) std::this_thread::yield();
      stop.request_stop();
    });
    const auto answer = connection.get("/", {}, max_body, stop.get_token());
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::cancelled);
  }
  {
    HttpConnection connection(*Url::parse("https://camera.example"), {}, {.connect = 300ms});
    CHECK(error_of(connection.get("/", {}, max_body, {})) ==
          "https://camera.example:443: cannot connect: its name was not resolved within 0.3 s (does DNS work on this "
          "machine?)");
  }
  CHECK(clock.steady_now() - began < 20s);  // no thread that still asks was waited for
}

TEST_CASE("a request that was stopped before it began is not sent") {
  RoughServer server({}, [](Peer& peer) {
    if (!peer.read_head().empty()) peer.answer_ok();
  });
  HttpConnection connection(server.url(), {}, {});
  std::stop_source stop;
  stop.request_stop();
  const auto answer = connection.get("/", {}, max_body, stop.get_token());
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::cancelled);
  CHECK(connection.get("/", {}, max_body, {}));
  CHECK(server.connections() == 1);
}

TEST_CASE("handshakes and heads have absolute deadlines, and bodies have to move") {
  constexpr ClientLimits limits{.connect = 2000ms, .first_byte = 3000ms, .interval = 1000ms, .least_bytes = 10'000};
  constexpr const char* silent =
      ": it accepted the connection and then sent nothing for 2 s (is there a firewall or a proxy?)";
  const char* expected[] = {": it did not finish the TLS handshake within 2 s", silent, ": no answer within 3 s",
                            ": no answer within 3 s", ": its answer stood still: less than 10000 bytes in 1 s"};
  for (std::size_t i = 0; i < std::size(phases); ++i) {
    INFO(phases[i].name);
    std::latch reached{1};
    RoughServer server({.tls = phases[i].tls}, [&](Peer& peer) { phases[i].behaviour(peer, reached); });
    HttpConnection connection(server.url(), anybody(), limits);
    CHECK(error_of(connection.get("/", {}, max_body, {})) == server.url().origin() + expected[i]);
    CHECK(connection.stood_still() == (i >= 2));
  }
}

TEST_CASE("what a server sends without end takes little memory, and ends") {
  struct Endless {
    const char* name;
    bool tls;
    std::function<void(Peer&)> behaviour;
    const char* error;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const auto repeat = [](std::string once, std::string_view what, std::size_t size) {
    while (once.size() < size) once += what;
    return once;
  };
  const auto endless = [](std::string begin, std::string more) {
    return [=](Peer& peer) {
      peer.read_head();
      if (!peer.send(begin)) return;
      while (peer.send(more)) continue;
    };
  };
  const Endless cases[] = {
      {"fields", false, endless(ok, repeat("", "a:b\r\n", 16000)), "the head of its answer is too large"},
      {"one field", false, endless(ok + "a: ", repeat("", "x", 16000)), "the head of its answer is too large"},
      {"interim answers", false, endless("", "HTTP/1.1 100 Continue\r\n\r\n"), "the head of its answer is too large"},
      {"a body", false, endless(ok + "\r\n", repeat("", "x", 16000)), "the answer is larger than 65536 bytes"},
      {"trailers", false, endless(ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n", repeat("", "a:b\r\n", 16000)),
       "the head of its answer is too large"},
      {"a chunk's extension", false, endless(ok + "Transfer-Encoding: chunked\r\n\r\n1;", repeat("", "x", 16000)),
       "no complete answer within 2 s"},
      {"key updates", true,
       [](Peer& peer) {
         if (!peer.handshake()) return;
         peer.read_head();
         while (peer.update_keys()) continue;
       },
       "it sends TLS records without end"},
      {"records of one byte", true,
       [&](Peer& peer) {
         if (!peer.handshake()) return;
         peer.read_head();
         peer.send(ok + "Content-Length: 1000000000\r\n\r\n");
         while (peer.send("x")) continue;
       },
       "it sends TLS records without end"},
  };
  for (const auto& one : cases) {
    RoughServer server({.tls = one.tls}, [&](Peer& peer) {
      if (one.tls || one.behaviour) one.behaviour(peer);
    });
    HttpConnection connection(server.url(), anybody(), {.first_byte = 2s});
    const PeakMemory memory;
    const auto answer = connection.get("/", {}, max_body, {});
    INFO(one.name << ": " << error_of(answer) << ", " << memory.growth() / 1024 << " KiB");
    CHECK(has(error_of(answer), one.error));
    CHECK(memory.growth() < most_growth);
  }
}

TEST_CASE("an error says why there is no connection") {
  const auto message = [](const std::string& url, Trust trust = {}) {
    HttpConnection connection(*Url::parse(url), std::move(trust), {.connect = 3s});
    return error_of(connection.get("/x?key=secret", {{"x-auth-apikey", "secret"}}, max_body, {}));
  };
  int closed_port = 0;
  {
    RoughServer gone({}, [](Peer&) {});
    closed_port = gone.url().port;
  }
  CHECK(message(fmt::format("https://127.0.0.1:{}", closed_port)) ==
        fmt::format("https://127.0.0.1:{}: cannot connect: connection refused, nothing listens there", closed_port));
  CHECK(has(message("https://no-such-name.invalid"), "cannot connect: its name cannot be resolved"));
  HttpConnection nobody("/nowhere/at-all.sock", {});
  CHECK(has(error_of(nobody.get("/", {}, max_body, {})), "cannot connect: No such file or directory"));

  RoughServer plain({}, [](Peer& peer) { peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"); });
  CHECK(has(message(fmt::format("https://127.0.0.1:{}", plain.url().port)), "it does not speak TLS on this port"));
  RoughServer babble({}, [](Peer& peer) {
    peer.read_head();
    peer.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    peer.wait_for_end();
  });
  CHECK(has(message(babble.url().str()), "its answer is not HTTP"));
}

TEST_CASE("an error says why a certificate is not trusted") {
  const auto serve = [](Peer& peer) {
    if (peer.handshake() && !peer.read_head().empty()) peer.answer_ok();
  };
  const auto asked = [](Url url, Trust trust) {
    HttpConnection connection(url, std::move(trust), {});
    return connection.get("/", {}, max_body, {});
  };
  RoughServer good({.tls = true}, serve);
  CHECK(asked(good.url(), trusting(good)));
  const auto unknown = asked(good.url(), {});
  CHECK(has(error_of(unknown), "its certificate is not trusted: self-signed certificate"));
  CHECK(unknown.error().kind == ErrorKind::permanent);
  auto other_name = good.url();
  other_name.host = "localhost";
  CHECK(error_of(asked(other_name, trusting(good))) ==
        other_name.origin() + ": its certificate is not trusted: it is not for localhost");
  Trust lost_file;
  lost_file.ca_file = "/nowhere/ca.pem";
  CHECK(has(error_of(asked(good.url(), lost_file)), "cannot be loaded (ca_file)"));

  RoughServer early({.tls = true, .valid_from = 3600, .valid_until = 7200}, serve);
  const auto not_yet = asked(early.url(), trusting(early));
  CHECK(has(error_of(not_yet), "not trusted: it is not valid yet (is this machine's clock right?)"));
  CHECK(not_yet.error().kind == ErrorKind::transient);
  RoughServer late({.tls = true, .valid_from = -7200, .valid_until = -3600}, serve);
  CHECK(has(error_of(asked(late.url(), trusting(late))), "not trusted: it has expired"));
}

TEST_CASE("of a pinned device the key decides, and is asked for at each handshake") {
  RoughServer server({.tls = true}, [](Peer& peer) {
    if (peer.handshake() && !peer.read_head().empty()) peer.answer_ok();
  });
  int asked = 0;
  std::optional<Error> refusal;
  KeyHash seen{};
  Trust trust;
  trust.mode = Trust::Mode::pinned;
  trust.accept_key = [&](const KeyHash& key) -> Result<void> {
    ++asked;
    seen = key;
    if (refusal) return *refusal;
    return {};
  };
  HttpConnection connection(server.url(), trust, {});
  CHECK(connection.get("/", {}, max_body, {}));
  CHECK(asked == 1);
  CHECK(seen != KeyHash{});
  CHECK(connection.get("/", {}, max_body, {}));
  CHECK(asked == 2);
  refusal = Error{ErrorKind::auth, "another key"};
  const auto refused = connection.get("/", {}, max_body, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::auth);
  CHECK(refused.error().message == "another key");
}

TEST_CASE("1,024 bits are enough for old devices alone") {
  RoughServer server({.tls = true, .weak_dhe = true}, [](Peer& peer) {
    if (peer.handshake() && !peer.read_head().empty()) peer.answer_ok();
  });
  auto trust = anybody();
  trust.allow_1024_bits = true;
  CHECK(error_of(HttpConnection(server.url(), trust, {}).get("/", {}, max_body, {})) == "none");
  const auto strict = HttpConnection(server.url(), trusting(server), {}).get("/", {}, max_body, {});
  CHECK(has(error_of(strict), "the TLS handshake failed"));
  CHECK(has(error_of(strict), "dh key too small"));
}

TEST_CASE("what would begin another header is not sent") {
  RoughServer server({}, [](Peer& peer) { peer.read_head(); });
  HttpConnection connection(server.url(), {}, {});
  const auto answer = connection.get("/", {{"x-auth-ft", "secret\r\nX-Evil: 1"}}, max_body, {});
  REQUIRE_FALSE(answer);
  CHECK(has(error_of(answer), "the header x-auth-ft has a line end in it"));
  CHECK_FALSE(has(error_of(answer), "secret"));
  CHECK_FALSE(connection.get("/x HTTP/1.1\r\nX-Evil: 1", {}, max_body, {}));
  CHECK(server.connections() == 0);
}

TEST_CASE("requests carry what they are given, and redirects are not followed") {
  std::string head;
  RoughServer server({}, [&](Peer& peer) {
    head = peer.read_head();
    peer.send("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    peer.wait_for_end();
  });
  HttpConnection connection(server.url(), {}, {});
  const auto answer = connection.get("/a/../b%20c?d=1", {{"X-Empty", ""}, {"Cookie", "a=b"}}, max_body, {});
  REQUIRE(answer);
  CHECK(answer->status == 302);
  CHECK(answer->header("location") == "/elsewhere");
  CHECK(head.starts_with("GET /a/../b%20c?d=1 HTTP/1.1\r\n"));
  CHECK(has(head, "\r\nX-Empty:\r\n"));
  CHECK(has(head, "\r\nCookie: a=b\r\n"));
  CHECK_FALSE(has(head, "Expect"));
  CHECK_FALSE(has(head, "Accept-Encoding"));
}

TEST_CASE("a device leads from https to https, and to a few hosts only") {
  Connections connections(*Url::parse("https://10.0.0.1"), {}, {}, {}, 4);
  CHECK(connections.to(*Url::parse("https://10.0.0.1/x")));
  CHECK(connections.to(*Url::parse("https://10.0.0.2/x")));
  const auto downgraded = connections.to(*Url::parse("http://10.0.0.1/x"));
  REQUIRE_FALSE(downgraded);
  CHECK(has(downgraded.error().message, "from https to http"));
}

TEST_CASE("Retry-After is seconds or an HTTP date") {
  const auto wait = [](const std::string& text, const std::string& date = "Sun, 06 Nov 1994 08:49:37 GMT") {
    return status_error({429, {{"Date", date}, {"Retry-After", text}}, {}}, "asked").retry_after;
  };
  using std::chrono::seconds;
  CHECK(wait("17") == seconds(17));
  CHECK(wait("999999") == seconds(3600));
  CHECK(wait("Sun, 06 Nov 1994 08:51:07 GMT") == seconds(90));
  CHECK(wait("Mon, 07 Nov 1994 08:49:37 GMT") == seconds(3600));
  CHECK(wait("Sun, 06 Nov 1994 08:00:00 GMT") == seconds(0));
  CHECK(wait("Fri, 31 Dec 2100 23:59:59 GMT", "no date") == seconds(3600));
  CHECK_FALSE(wait("-5"));
  CHECK_FALSE(wait("soon"));
}
