// Posts to receivers that are no good. Those that are: tests/integration/hooks_test.cpp.
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/deliver/target.hpp"

using namespace responder;
using namespace responder::deliver;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  SystemClock clock;
  UniqueFd listening{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int port = 0;
  journal::Delivery delivery;

  Fixture() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(listening.get(), 4) == 0);
    REQUIRE(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port = ntohs(address.sin_port);
  }
  std::unique_ptr<Target> hook(std::chrono::seconds timeout) {
    return make_target(UrlHook{.name = "posts",
                               .url = *net::Url::parse(fmt::format("http://127.0.0.1:{}/x?key=secret", port)),
                               .key = *SigningKey::parse(Secret("secret")),
                               .ca_file = {},
                               .timeout = timeout,
                               .archive = "/clips"},
                       clock);
  }
  Result<void> deliver(std::chrono::seconds timeout, std::stop_token stop = {}) {
    auto told = hook(timeout)->deliver({delivery, "msg_x_1"}, std::move(stop));
    if (!told) CHECK(told.error().message.find("secret") == std::string::npos);
    return told;
  }
  // Takes one connection and answers so.
  std::jthread answering(std::string head, std::string drip = "") {
    return std::jthread([this, head = std::move(head), drip = std::move(drip)](std::stop_token stop) {
      const UniqueFd peer(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
      bool taken = ::send(peer.get(), head.data(), head.size(), MSG_NOSIGNAL) > 0;
      while (!drip.empty() && taken && !stop.stop_requested()) {
        taken = ::send(peer.get(), drip.data(), drip.size(), MSG_NOSIGNAL) > 0;
        clock.sleep(50ms, stop);
      }
      // All that was sent is taken in first, or the answer would be lost with the connection.
      std::array<char, 4096> rest{};
      ::shutdown(peer.get(), SHUT_WR);
      while (::recv(peer.get(), rest.data(), rest.size(), 0) > 0) continue;
    });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a receiver that is silent is cut when its time is up") {
  const auto silent = deliver(1s);
  REQUIRE_FALSE(silent);
  CHECK(silent.error().kind == ErrorKind::transient);
  CHECK(silent.error().message == fmt::format("http://127.0.0.1:{}: no answer within 1 s", port));

  listening = UniqueFd();
  CHECK(deliver(1s).error().message.find("cannot connect") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a receiver that drips is cut when its time is up") {
  const auto dripping = answering("HTTP/1.1 200 OK\r\nX: ", "x");
  const auto dripped = deliver(1s);
  REQUIRE_FALSE(dripped);
  CHECK(dripped.error().message == fmt::format("http://127.0.0.1:{}: no answer within 1 s", port));
}

TEST_CASE_METHOD(Fixture, "an answer's status decides") {
  const auto told = [&](const std::string& status, const std::string& fields = "") {
    const auto receiver = answering("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n" + fields + "\r\n");
    return deliver(60s);
  };
  CHECK(told("200 OK"));
  CHECK(told("202 Accepted"));
  CHECK(told("410 Gone").error().kind == ErrorKind::permanent);
  for (const auto* status : {"400 Bad", "401 No", "404 Not Found", "500 Oops"}) {
    INFO(status);
    CHECK(told(status).error().kind == ErrorKind::transient);
  }
  const auto moved = told("307 Moved", "Location: https://example.com/\r\n");
  CHECK(moved.error().message.find("redirects are not followed") != std::string::npos);
  CHECK(told("503 Later", "Retry-After: 120\r\n").error().retry_after == 120s);
}

TEST_CASE_METHOD(Fixture, "a long answer counts by its status, and so does one without an end") {
  const std::string page(200'000, 'x');
  for (const auto* status : {"200 OK", "500 Oops"}) {
    CAPTURE(status);
    const auto whole = answering(fmt::format("HTTP/1.1 {}\r\nContent-Length: 200000\r\n\r\n{}", status, page));
    const auto told = deliver(60s);
    CHECK(static_cast<bool>(told) == (std::string(status) == "200 OK"));
  }
  const auto endless = answering("HTTP/1.1 200 OK\r\n\r\n", page);
  CHECK(deliver(60s));
}

TEST_CASE_METHOD(Fixture, "a stop breaks a post off") {
  std::stop_source stop;
  const std::jthread stopping([&] {
    const UniqueFd peer(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char byte = 0;
    ::recv(peer.get(), &byte, 1, 0);  // the post is on its way
    stop.request_stop();
    while (::recv(peer.get(), &byte, 1, 0) > 0) continue;
  });
  CHECK(deliver(600s, stop.get_token()).error().kind == ErrorKind::cancelled);
}
