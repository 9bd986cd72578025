#include "responder/ops/admin_endpoint.hpp"

#include <atomic>
#include <thread>

#include <catch2/catch.hpp>
#include <httplib.h>

#include "manual_clock.hpp"

using namespace responder;
using namespace responder::ops;
using namespace responder::test;
using namespace std::chrono_literals;

namespace {

// The endpoint behind a front of its own; the journal answers when the test says so.
struct Fixture {
  SystemClock front_clock;
  ManualClock clock;
  Metrics metrics{"1.2.3"};
  bool alive = true;
  Readiness part;
  std::function<void(Result<void>)> journal_answer;
  std::atomic<bool> asked{false};  // journal_answer is there
  Result<void> journal_says;
  bool journal_is_silent = false;
  std::atomic<int> tries{0};  // of the journal
  std::unique_ptr<AdminEndpoint> endpoint;
  std::unique_ptr<net::HttpFront> front;

  explicit Fixture(const std::string& token = "") {
    AdminEndpoint::Options options;
    options.token = Secret(token);
    options.refresh = [] {};
    options.alive = [this] { return alive; };
    options.try_journal = [this](std::function<void(Result<void>)> tell) {
      ++tries;
      if (journal_is_silent) {
        journal_answer = std::move(tell);
        asked = true;
      } else {
        tell(journal_says);
      }
    };
    endpoint = std::make_unique<AdminEndpoint>(std::move(options), metrics, clock);
    endpoint->add_probe("part", [this] { return part; });
    net::FrontOptions front_options;
    front_options.listen = *net::ListenAddress::parse("127.0.0.1:0");
    front = std::move(*net::HttpFront::open(
        front_options,
        [this](const net::ServerRequest& request, net::ReplySlot reply) {
          endpoint->handle(request, std::move(reply));
        },
        front_clock));
  }

  httplib::Result get(const std::string& path, const httplib::Headers& headers = {}) const {
    httplib::Client client("127.0.0.1", front->port());
    auto answer = client.Get(path, headers);
    REQUIRE(answer);
    return answer;
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE_METHOD(Fixture, "readiness is that of the worst part") {
  auto answer = get("/readyz");
  CHECK(answer->status == 200);
  CHECK(has(answer->body, R"("journal":{"status":"ok")"));
  CHECK(has(answer->body, R"("status":"ok"})"));
  part = {Readiness::State::degraded, "the NAS is away"};
  answer = get("/readyz");
  CHECK(answer->status == 200);
  CHECK(has(answer->body, "the NAS is away"));
  CHECK(has(answer->body, R"("status":"degraded"})"));
  journal_says = Error{ErrorKind::no_space, "no room"};
  clock.advance(5s);
  answer = get("/readyz");
  CHECK(answer->status == 503);
  CHECK(has(answer->body, "no room"));
}

TEST_CASE_METHOD(Fixture, "the journal is tried once for all who ask within seconds, sooner once it has failed") {
  for (int i = 0; i < 100; ++i) CHECK(get("/readyz")->status == 200);
  CHECK(tries == 1);
  journal_says = Error{ErrorKind::no_space, "no room"};
  clock.advance(4999ms);
  CHECK(get("/readyz")->status == 200);
  CHECK(tries == 1);
  clock.advance(1ms);
  CHECK(get("/readyz")->status == 503);
  CHECK(get("/readyz")->status == 503);
  CHECK(tries == 2);
  // The other parts are looked at each time.
  part = {Readiness::State::degraded, "the NAS is away"};
  CHECK(has(get("/readyz")->body, "the NAS is away"));
  journal_says = {};
  clock.advance(1s);
  CHECK(get("/readyz")->status == 200);
  CHECK(tries == 3);
  // An alert that could not be recorded, say.
  journal_says = Error{ErrorKind::no_space, "no room"};
  endpoint->doubt_readiness();
  CHECK(get("/readyz")->status == 503);
  CHECK(tries == 4);
}

TEST_CASE_METHOD(Fixture, "a journal that does not answer makes nobody wait for ever") {
  journal_is_silent = true;
  std::thread asking([&] {
    const auto answer = get("/readyz");
    CHECK(answer->status == 503);
    CHECK(has(answer->body, "not answered for seconds"));
  });
  while (!asked) std::this_thread::yield();
  endpoint->tick();  // too early
  clock.advance(2s);
  endpoint->tick();
  asking.join();
  CHECK(get("/readyz")->status == 503);
  journal_answer({});
  journal_is_silent = false;
  CHECK(get("/readyz")->status == 200);
}

TEST_CASE_METHOD(Fixture, "health is that the loops come round") {
  CHECK(get("/healthz")->status == 200);
  alive = false;
  CHECK(get("/healthz")->status == 503);
  CHECK(get("/other")->status == 404);
  CHECK(has(get("/metrics")->body, "rhombus_responder_build_info{version=\"1.2.3\"} 1"));
}

TEST_CASE_METHOD(Fixture, "the listener's certificate is a metric where there is one") {
  CHECK_FALSE(has(get("/metrics")->body, "tls_not_after"));
  metrics.set_tls_not_after(WallTime(std::chrono::seconds(1'800'000'000)));
  metrics.set_tls_not_after(WallTime(std::chrono::seconds(1'900'000'000)));
  CHECK(has(get("/metrics")->body, "\nrhombus_responder_tls_not_after_timestamp_seconds 1900000000\n"));
}

TEST_CASE_METHOD(Fixture, "deliveries are counted by target") {
  metrics.count_delivery("ticket", "delivered");
  metrics.set_deliveries("ticket", 3, 1);
  const auto deliveries = get("/metrics")->body;
  CHECK(has(deliveries, "rhombus_responder_deliveries_total{result=\"delivered\",target=\"ticket\"} 1"));
  CHECK(has(deliveries, "rhombus_responder_deliveries_waiting{target=\"ticket\"} 3"));
  CHECK(has(deliveries, "rhombus_responder_deliveries_given_up{target=\"ticket\"} 1"));
}

TEST_CASE("with a token, nothing is told without it") {
  Fixture fixture("a token");
  for (const std::string path : {"/healthz", "/readyz", "/metrics", "/other"}) {
    const auto answer = fixture.get(path);
    CHECK(answer->status == 401);
    CHECK(answer->get_header_value("WWW-Authenticate") == "Bearer");
    CHECK(fixture.get(path, {{"Authorization", "Bearer a tokem"}})->status == 401);
    CHECK(fixture.get(path, {{"Authorization", "Bearer a token2"}})->status == 401);
    CHECK(fixture.get(path, {{"Authorization", "Bearer a token"}})->status != 401);
  }
}
