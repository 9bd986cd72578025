#include <atomic>
#include <latch>
#include <thread>

#include <catch2/catch.hpp>

#include "responder/rhombus/directory.hpp"
#include "responder/rhombus/media_access.hpp"

#include "fake_rhombus.hpp"
#include "manual_clock.hpp"

using namespace responder;
using namespace responder::rhombus;

namespace {

struct Fixture {
  fake_rhombus::FakeRhombus fake;
  SystemClock clock;
  std::string camera = fake.add_camera({.name = "Front Door", .video = {.width = 64, .height = 64}});
  std::string gateway = fake.add_gateway({.name = "Ears", .cameras = {camera}});

  Fixture() { fake.start(); }

  ApiOptions options() const {
    ApiOptions options;
    options.url = *net::Url::parse(fake.api_url());
    options.api_key = Secret(fake.api_key());
    options.ca_file = fake.ca_file();
    return options;
  }
  ApiClient client(ApiOptions with) {
    return {std::move(with), clock, [](std::string_view, int) {}};
  }

  void answer(std::string body, int status = 200) {
    fake.intercept([=](const fake_rhombus::Request&) {
      return fake_rhombus::Reply{status, body, "application/json"};
    });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the devices are listed and the sound is found") {
  auto api = client(options());
  DeviceDirectory directory(api, clock);
  const auto found = directory.find(DeviceId(camera + ".v0"), {});
  REQUIRE(found);
  REQUIRE(*found);
  CHECK((*found)->camera.name == "Front Door");
  REQUIRE((*found)->gateway);
  CHECK((*found)->gateway->id.str() == gateway);
  CHECK_FALSE(*directory.find(DeviceId("nobody"), {}));
}

TEST_CASE_METHOD(Fixture, "a list of devices that cannot be refreshed is asked for again after some seconds only") {
  test::ManualClock ours(clock.wall_now());
  auto api = client(options());
  DeviceDirectory directory(api, ours);
  REQUIRE(directory.find(DeviceId(camera), {}));
  ours.advance(std::chrono::minutes(6));
  fake.forget_requests();
  answer("oops", 500);
  for (int i = 0; i < 3; ++i) {
    const auto known = directory.find(DeviceId(camera), {});
    REQUIRE(known);
    CHECK(*known);
    const auto unknown = directory.find(DeviceId("nobody"), {});
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().kind == ErrorKind::transient);
  }
  CHECK(fake.requests().size() == 1);
  ours.advance(std::chrono::seconds(4));
  CHECK(directory.find(DeviceId(camera), {}));
  CHECK(fake.requests().size() == 2);
}

TEST_CASE_METHOD(Fixture, "gateways that could not be listed are unknown, and are asked for again") {
  test::ManualClock ours(clock.wall_now());
  auto api = client(options());
  DeviceDirectory directory(api, ours);
  const auto status = GENERATE(500, 403);
  std::atomic<bool> fails{true};
  fake.intercept([&](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (!fails || !request.path.ends_with("getMinimalAudioGatewayStateList")) return std::nullopt;
    return fake_rhombus::Reply{status, "oops", "application/json"};
  });
  const auto look = [&] {
    const auto found = directory.find(DeviceId(camera), {});
    REQUIRE(found);
    REQUIRE(*found);
    return **found;
  };
  // Our key may have no right to them: then no capture waits for them.
  CHECK(look().gateway_is_known == (status == 403));
  if (status == 403) return;

  SECTION("they come back") {
    fails = false;
    CHECK_FALSE(look().gateway_is_known);  // was asked just now
    ours.advance(std::chrono::seconds(4));
    CHECK(look().gateway_is_known);
    CHECK(look().gateway);
  }
  SECTION("they never come") {
    ours.advance(std::chrono::minutes(5));
    CHECK_FALSE(look().gateway_is_known);
    ours.advance(std::chrono::minutes(6));
    CHECK(look().gateway_is_known);
    CHECK_FALSE(look().gateway);
  }
}

TEST_CASE_METHOD(Fixture, "while the devices are asked for, a camera that is known waits for nobody") {
  test::ManualClock ours(clock.wall_now());
  auto api = client(options());
  DeviceDirectory directory(api, ours);
  REQUIRE(directory.find(DeviceId(camera), {}));
  ours.advance(std::chrono::minutes(6));
  std::latch asked{1};
  std::latch let_go{1};
  std::atomic<int> lists{0};
  fake.intercept([&](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path.ends_with("getMinimalCameraStateList") && lists++ == 0) {
      asked.count_down();
      let_go.wait();
    }
    return std::nullopt;
  });
  const auto look_for = [&](const char* id, std::optional<bool>& found) {
    return std::jthread([&, id] {
      const auto answer = directory.find(DeviceId(id), {});
      if (answer) found = answer->has_value();
    });
  };
  std::optional<bool> refreshed;
  std::optional<bool> unknown;
  {
    const auto refreshing = look_for(camera.c_str(), refreshed);
    asked.wait();
    CHECK(directory.find(DeviceId(camera), {}));
    std::stop_source stop;
    stop.request_stop();
    CHECK(directory.find(DeviceId("nobody"), stop.get_token()).error().kind == ErrorKind::cancelled);
    const auto waiting = look_for("nobody", unknown);
    let_go.count_down();
  }
  CHECK(refreshed == true);
  CHECK(unknown == false);
  CHECK(lists == 1);
}

TEST_CASE_METHOD(Fixture, "media paths: LAN first, templates filled in") {
  auto api = client(options());
  MediaLocator locator(api, clock);
  const auto paths = locator.locate(DeviceKind::camera, DeviceId(camera), {});
  REQUIRE(paths);
  REQUIRE(paths->size() == 2);
  CHECK((*paths)[0].route == Route::lan);
  const auto mpd =
      (*paths)[0].mpd(std::chrono::sys_seconds(std::chrono::seconds(1700000000)), std::chrono::seconds(60));
  CHECK(mpd->path == "/" + camera + "/store/1700000000_60/clip.mpd");
  CHECK_FALSE(locator.locate(DeviceKind::camera, DeviceId("nobody"), {}));
  CHECK_FALSE(MediaPath{Route::lan, "http://h/{START_TIME}"}.mpd({}, {}));
}

TEST_CASE_METHOD(Fixture, "credentials stay with their origin") {
  auto api = client(options());
  TokenCache tokens(api, clock);
  const auto mpd = *net::Url::parse("https://127.0.0.9:443/x/clip.mpd");
  const auto stranger = *net::Url::parse("https://127.0.0.8:443/x/clip.mpd");
  const auto text = [](const net::Headers& headers) {
    std::string all;
    for (const auto& [name, value] : headers) all += name + ": " + value + "\n";
    return all;
  };

  MediaCredentials lan(Route::lan, DeviceId(camera), mpd, api, tokens);
  const auto lan_headers = text(lan.grant_for(mpd, {})->headers);
  CHECK(lan_headers.find(fake.api_key()) == std::string::npos);
  CHECK(lan_headers.find("x-auth-scheme: federated-token") != std::string::npos);
  CHECK(lan_headers.find("RSESSIONID=RFT:") != std::string::npos);
  CHECK(lan.grant_for(stranger, {})->headers.empty());

  MediaCredentials wan(Route::wan, DeviceId(camera), mpd, api, tokens);
  CHECK(text(wan.grant_for(mpd, {})->headers).find(fake.api_key()) != std::string::npos);
  CHECK(wan.grant_for(stranger, {})->headers.empty());

  // One token for the device, one for the organization, however often they are used; another after a refusal.
  const auto count = [&] {
    const auto requests = fake.requests();
    return std::count_if(requests.begin(), requests.end(),
                         [](const auto& r) { return r.path.ends_with("generateFederatedSessionToken"); });
  };
  const auto first = lan.grant_for(mpd, {});
  REQUIRE(first);
  CHECK(count() == 2);
  CHECK(lan.renew(first->token));
  REQUIRE(lan.grant_for(mpd, {}));
  CHECK(count() == 3);
  // Of several requests that were refused with the old token, each asks again: with the one new token.
  for (int refused = 0; refused < 3; ++refused) {
    CHECK(lan.renew(first->token));
    CHECK(lan.grant_for(mpd, {}));
  }
  CHECK(count() == 3);
  CHECK_FALSE(lan.renew(lan.grant_for(stranger, {})->token));
}

TEST_CASE_METHOD(Fixture, "answers that are none are errors of the right kind") {
  auto api = client(options());
  const auto error_of = [&](const std::string& body, int status = 200) {
    answer(body, status);
    const auto cameras = api.cameras({});
    REQUIRE_FALSE(cameras);
    CHECK(cameras.error().message.find(fake.api_key()) == std::string::npos);
    return cameras.error();
  };
  CHECK(error_of("<html>busy</html>").message.find("not a JSON object") != std::string::npos);
  CHECK(error_of("\n <html>sign in</html>").message.find("but HTML: from a proxy or a login page?") !=
        std::string::npos);
  CHECK(error_of("").message.find("not a JSON object") != std::string::npos);
  CHECK(error_of(R"({"error":true,"errorMsg":"out of order"})").message.find("out of order") != std::string::npos);
  CHECK(error_of("{}").message.find("lacks cameraStates") != std::string::npos);
  CHECK(error_of(R"({"cameraStates":{}})").message.find("lacks a list cameraStates") != std::string::npos);
  CHECK(error_of("{}", 403).kind == ErrorKind::auth);
  CHECK(error_of("oops", 500).kind == ErrorKind::transient);
  CHECK(error_of("no", 400).kind == ErrorKind::permanent);
}

TEST_CASE_METHOD(Fixture, "our key and secrets are masked in what Rhombus says of an error") {
  auto with = options();
  with.webhook_secrets = {Secret("of-our-webhook"), Secret("of")};
  auto api = client(with);
  const auto said = [&](const std::string& text) {
    answer(R"({"error":true,"errorMsg":")" + text + R"("})");
    const auto cameras = api.cameras({});
    REQUIRE_FALSE(cameras);
    return cameras.error().message;
  };
  const auto echoed = said("key " + fake.api_key() + " and " + fake.api_key() + "; secret of-our-webhook of yours");
  CHECK(echoed.ends_with("Rhombus says: key [secret] and [secret]; secret [secret] of yours"));
  // Where the line is cut, too.
  for (std::size_t before = 170; before < 210; ++before)
    CHECK(said(std::string(before, '.') + fake.api_key()).find(fake.api_key().substr(0, 4)) == std::string::npos);

  fake.intercept({});
  fake.add_webhook("https://theirs/y", "a-secret-of-others");
  REQUIRE(api.webhook_settings({}));
  CHECK(said("a-secret-of-others").ends_with("Rhombus says: [secret]"));
}

TEST_CASE_METHOD(Fixture, "a bad key is said to be one") {
  auto with = options();
  with.api_key = Secret("wrong-key");
  auto api = client(with);
  const auto cameras = api.cameras({});
  REQUIRE_FALSE(cameras);
  CHECK(cameras.error().kind == ErrorKind::auth);
  CHECK(cameras.error().message.find("rhombus.api_key") != std::string::npos);
  CHECK(cameras.error().message.find("wrong-key") == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "429 is waited out") {
  std::atomic<int> refused{0};
  fake.intercept([&](const fake_rhombus::Request&) -> std::optional<fake_rhombus::Reply> {
    if (refused++ > 0) return std::nullopt;
    return fake_rhombus::Reply{429, "slow down", "text/plain", {{"Retry-After", "1"}}};
  });
  auto api = client(options());
  const auto began = clock.steady_now();
  CHECK(api.cameras({}));
  CHECK(clock.steady_now() - began >= std::chrono::seconds(1));
}

TEST_CASE_METHOD(Fixture, "a client that may wait so long only gives up, and then asks nothing more") {
  fake.intercept([](const fake_rhombus::Request&) {
    return fake_rhombus::Reply{429, "slow down", "text/plain", {{"Retry-After", "31"}}};
  });
  auto with = options();
  with.longest_wait = std::chrono::seconds(30);
  auto api = client(with);
  for (int i = 0; i < 3; ++i) {
    const auto cameras = api.cameras({});
    REQUIRE_FALSE(cameras);
    CHECK(cameras.error().kind == ErrorKind::transient);
    CHECK(cameras.error().message.find("too many requests") != std::string::npos);
  }
  CHECK(fake.requests().size() == 1);
}

TEST_CASE_METHOD(Fixture, "who has asked for alerts too often does not ask for them in the other way") {
  // Without a Retry-After that could be taken for the reason.
  fake.intercept([](const fake_rhombus::Request&) { return fake_rhombus::Reply{429, "slow down", "text/plain"}; });
  test::ManualClock ours(clock.wall_now());
  ApiClient api(options(), ours, [](std::string_view, int) {});
  CHECK_FALSE(api.policy_alerts({}, {}));
  const auto requests = fake.requests();
  CHECK(requests.size() == 6);
  for (const auto& request : requests) CHECK(request.path.ends_with("getPolicyAlertsV2"));
}

TEST_CASE_METHOD(Fixture, "a server with another CA's certificate is not talked to") {
  auto with = options();
  with.ca_file.clear();
  auto api = client(with);
  const auto cameras = api.cameras({});
  REQUIRE_FALSE(cameras);
  CHECK(cameras.error().message.find("not trusted") != std::string::npos);
  CHECK(fake.requests().empty());
}

TEST_CASE_METHOD(Fixture, "Rhombus's time is told by its answers, whatever our clock does meanwhile") {
  test::ManualClock ours(clock.wall_now());
  ApiClient api(options(), ours, [](std::string_view, int) {});
  CHECK_FALSE(api.their_time());
  CHECK(api.clock_ahead() == std::chrono::seconds(0));
  REQUIRE(api.cameras({}));
  const auto before = api.their_time();
  REQUIRE(before);
  CHECK(std::chrono::abs(*before - clock.wall_now()) < std::chrono::seconds(60));
  ours.jump(std::chrono::hours(24));
  ours.advance(std::chrono::seconds(5));
  CHECK(*api.their_time() == *before + std::chrono::seconds(5));
  CHECK(std::chrono::abs(api.clock_ahead() - std::chrono::hours(24)) < std::chrono::seconds(60));
}

TEST_CASE_METHOD(Fixture, "a secret of the settings that cannot be used is an error, too") {
  fake.intercept([](const fake_rhombus::Request& request) {
    const bool is_change = request.path.ends_with("updateWebhookIntegrationV2");
    return fake_rhombus::Reply{
        200,
        is_change ? "{}" : R"({"orgIntegrationV2":{"activityWebhooksV2":{"https://a/x":{"webhookSecret":"a b"}}}})",
        "application/json"};
  });
  auto api = client(options());
  const auto registered = api.register_webhook({}, "https://a/x", false, {});
  REQUIRE_FALSE(registered);
  CHECK(registered.error().message.find("webhookSecret is not") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "webhook settings that had to be repaired are never sent back") {
  auto api = client(options());
  WebhookSettings settings;
  settings.is_exact = false;
  const auto registered = api.register_webhook(settings, "https://a.example/x", false, {});
  REQUIRE_FALSE(registered);
  CHECK(registered.error().kind == ErrorKind::permanent);
  CHECK_FALSE(api.unregister_webhook(settings, "https://a.example/x", false, {}));
  CHECK(fake.requests().empty());
}
