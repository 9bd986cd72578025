// The listener while the system's calls on its sockets fail.
#include <cerrno>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <httplib.h>

#include "faulty_system.hpp"
#include "responder_process.hpp"
#include "tls_attacker.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using fake_rhombus::hmac_hex;
using fake_rhombus::organization_body;
using faulty_system::FaultySystem;

namespace {

struct Fixture {
  FakeRhombus rhombus;
  std::unique_ptr<Responder> responder;
  std::unique_ptr<FaultySystem> system;
  int sent = 0;

  Fixture() {
    rhombus.start();
    responder = std::make_unique<Responder>(rhombus);
    system = std::make_unique<FaultySystem>(responder->folder() / "state");
    responder->start(system->environment());
    system->controls().listener_port = responder->port();
  }
  faulty_system::Controls& controls() const { return system->controls(); }

  // A new connection, a request, and the end that the client asks for. The status; 0: none came.
  int send_webhook() {
    httplib::SSLClient client("127.0.0.1", responder->port());
    client.enable_server_certificate_verification(false);
    const auto body =
        organization_body(fmt::format("A{}", ++sent), "CameraAAAAAAAAAAAAAAAA", now_ms() - 9 * 86'400'000LL, 1);
    const auto answer = client.Post(
        "/webhook/rhombus",
        {{"x-rhombus-signature-sha1", hmac_hex(body, responder->secret(), false)}, {"Connection", "close"}}, body,
        "application/json");
    return answer ? answer->status : 0;
  }
  std::size_t descriptors() const {
    const std::filesystem::directory_iterator all(fmt::format("/proc/{}/fd", responder->pid()));
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  std::size_t lines_with(const std::string& text) const {
    const auto log = responder->log();
    std::size_t lines = 0;
    for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++lines;
    return lines;
  }
  template <class Condition>
  static bool comes_true(Condition condition, std::int64_t longest_ms = 10'000) {
    const auto deadline = now_ms() + longest_ms;
    while (!condition()) {
      if (now_ms() > deadline) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "where accepting fails the listener waits, says so once, and goes on") {
  constexpr int failures = 5;
  for (const int error : {ENOBUFS, ENOMEM, EPERM, EMFILE, ENFILE}) {
    CAPTURE(error);
    const int calls_before = controls().accept_calls;
    controls().accept_errno = error;
    controls().failing_accepts = failures;
    const auto began = now_ms();
    CHECK(send_webhook() == 200);
    CHECK(controls().failing_accepts == 0);
    // It was tried again after a pause each time; at once, it would be over in a millisecond.
    CHECK(now_ms() - began >= failures * 100);
    CHECK(controls().accept_calls - calls_before <= failures + 4);
  }
  CHECK(comes_true([&] { return lines_with("cannot accept connections") > 0; }));
  CHECK(lines_with("cannot accept connections") == 1);
  // What is wrong with one connection concerns that one alone.
  for (const int error : {ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH}) {
    controls().accept_errno = error;
    controls().failing_accepts = failures;
    CHECK(send_webhook() == 200);
    CHECK(controls().failing_accepts == 0);
  }
  CHECK(lines_with("cannot accept connections") == 1);
}

TEST_CASE_METHOD(Fixture, "a connection that is reset in any phase ends, and nothing else does") {
  CHECK(send_webhook() == 200);
  const auto descriptors_before = descriptors();
  std::size_t broken = 0;
  for (auto countdown : {&faulty_system::Controls::reset_at_receive, &faulty_system::Controls::reset_at_send}) {
    // Each of the calls of one connection in turn: of the handshake, of the request, of the answer, of what comes
    // after.
    int call = 0;
    bool had_fewer_calls = false;
    while (!had_fewer_calls && ++call < 50) {
      CAPTURE(call);
      controls().*countdown = call;
      const bool answered = send_webhook() == 200;
      broken += answered ? 0 : 1;
      // The last calls come behind the answer, if they come.
      had_fewer_calls = !comes_true([&] { return controls().*countdown == 0; }, 500);
      controls().*countdown = 0;
      CHECK(send_webhook() == 200);
    }
    CHECK(had_fewer_calls);
    CHECK(call >= 4);
  }
  CHECK(broken >= 4);
  // The program opens and closes some for itself; each of the connections above would be one too many.
  constexpr std::size_t others = 4;
  CHECK(comes_true([&] { return descriptors() <= descriptors_before + others; }));
  CHECK(responder->stop(SIGTERM) == 0);
}
