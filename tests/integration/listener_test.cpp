#include <csignal>
#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <httplib.h>

#include "responder_process.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using fake_rhombus::hmac_hex;
using fake_rhombus::organization_body;

namespace {

struct Fixture {
  FakeRhombus rhombus;
  std::string camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  std::unique_ptr<Responder> responder;

  explicit Fixture(const std::string& extra = "") {
    rhombus.start();
    responder = std::make_unique<Responder>(rhombus, extra);
    responder->start();
  }

  httplib::Result post(const std::string& body, httplib::Headers headers,
                       const std::string& path = "/webhook/rhombus") {
    const auto url = responder->url();
    httplib::Client client(url.substr(0, url.find('/', 8)));
    client.enable_server_certificate_verification(false);
    auto answer = client.Post(path, headers, body, "application/json");
    REQUIRE(answer);
    return answer;
  }
  httplib::Result signed_post(const std::string& body) {
    return post(body, {{"x-rhombus-signature-sha1", hmac_hex(body, responder->secret(), false)}});
  }
  std::string body(const std::string& alert = "A1") { return organization_body(alert, camera, now_ms() - 60'000, 2); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a signed webhook is taken whatever its fields hold that nobody needs") {
  int count = 0;
  for (const std::string odd :
       {R"("summary":"\ud83d")", R"("x":18446744073709551616)", R"("x":[1e400])", "\"name\":\"Caf\xe9\"",
        R"("location":7)", R"("durationSec":-1)", R"("timestampMs":0)", R"("clipLocationMap":{"a/b":"r"})"}) {
    CAPTURE(odd);
    const auto answer = signed_post(
        fmt::format("\xEF\xBB\xBF{{\"alertUuid\":\"odd{}\",\"deviceUuid\":\"{}\",{}}}", ++count, camera, odd));
    CHECK(answer->status == 200);
    CHECK(answer->body == R"({"status":"accepted"})");
  }
  CHECK(responder->events().size() == static_cast<std::size_t>(count));
  CHECK(signed_post(R"({"alertUuid":"A1","deviceUuid":"C1","x":1e400,"\u0061lertUuid":"A2"})")->status == 400);
  CHECK(signed_post(R"({"alertUuid":"\ud83d","deviceUuid":"C1"})")->status == 400);
}

TEST_CASE_METHOD(Fixture, "the table of answers") {
  auto answer = signed_post(body());
  CHECK(answer->status == 200);
  CHECK(answer->body == R"({"status":"accepted"})");
  CHECK(answer->get_header_value("Content-Type") == "application/json");
  CHECK(signed_post(body())->body == R"({"status":"duplicate"})");

  const std::string diagnostic =
      R"({"alertUuid":"D1","deviceUuid":"X","diagnosticTrigger":"CAMERA_OFFLINE","timestampMs":1700000000000})";
  answer = signed_post(diagnostic);
  CHECK(answer->status == 200);
  CHECK(answer->body == R"({"status":"ignored","reason":"diagnostic"})");
  CHECK(signed_post(R"({"alertUuid":"S1","deviceUuid":"X","deviceType":"DOOR_SENSOR"})")->body ==
        R"({"status":"ignored","reason":"no camera"})");

  CHECK(post(body("A2"), {})->status == 401);
  CHECK(post(body("A2"), {{"x-rhombus-signature-sha1", std::string(40, '0')}})->status == 401);
  CHECK(post(body("A2"), {{"x-rhombus-signature-sha256", hmac_hex(body("A2"), "not ours", true)}})->status == 401);
  const auto good = hmac_hex(body("A2"), responder->secret(), false);
  CHECK(post(body("A2"), {{"x-rhombus-signature-sha1", good}, {"x-rhombus-signature-sha1", good}})->status == 401);

  for (const std::string bad : {"[]", "{", "{}", R"({"alertUuid":"A","alertUuid":"B","deviceUuid":"C"})",
                                R"({"alertUuid":"../x","deviceUuid":"C"})", "\xff\xfe"}) {
    CAPTURE(bad);
    CHECK(signed_post(bad)->status == 400);
  }
  CHECK(signed_post(std::string(4097, ' '))->status == 413);
  CHECK(post(body("A2"), {}, "/elsewhere")->status == 404);

  const auto url = responder->url();
  httplib::Client client(url.substr(0, url.find('/', 8)));
  client.enable_server_certificate_verification(false);
  const auto got = client.Get("/webhook/rhombus");
  REQUIRE(got);
  CHECK(got->status == 405);
  CHECK(got->get_header_value("Allow") == "POST");

  // Nothing of what was refused is in the journal.
  for (const auto& event : responder->events())
    CHECK((event.alert == "A1" || event.alert == "D1" || event.alert == "S1"));
}

TEST_CASE_METHOD(Fixture, "several secrets, both digests, any case of the header's name") {
  const auto one = body("A1");
  CHECK(post(one, {{"X-Rhombus-Signature-SHA256", hmac_hex(one, "an older secret", true)}})->status == 200);
  const auto two = body("A2");
  CHECK(post(two, {{"X-RHOMBUS-SIGNATURE-SHA1", hmac_hex(two, responder->secret(), false)}})->status == 200);
}

TEST_CASE("filtered alerts are ignored with their reason") {
  Fixture fixture("[filter]\nactivities = [\"FACE\"]\n");
  const auto answer = fixture.signed_post(fixture.body());
  CHECK(answer->status == 200);
  CHECK(answer->body == R"({"status":"ignored","reason":"filtered: activity"})");
  const auto events = fixture.responder->events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].state == "ignored");
}

TEST_CASE("unsigned rule actions are let in only where that is allowed") {
  Fixture strict;
  const auto rule = fake_rhombus::rule_body("R1", {strict.camera}, now_ms() - 60'000);
  CHECK(strict.post(rule, {})->status == 401);
}

TEST_CASE_METHOD(Fixture, "SIGHUP takes new secrets without a restart") {
  std::ifstream in(responder->config());
  std::string config((std::istreambuf_iterator<char>(in)), {});
  const auto at = config.find("an older secret");
  config.replace(at, 15, "a newer secret!");
  std::ofstream(responder->config()) << config;
  const auto one = body("A1");
  const httplib::Headers headers{{"x-rhombus-signature-sha256", hmac_hex(one, "a newer secret!", true)}};
  CHECK(post(one, headers)->status == 401);
  ::kill(responder->pid(), SIGHUP);
  const auto deadline = now_ms() + 5000;
  while (now_ms() < deadline && responder->log().find("reload: 2 webhook secrets") == std::string::npos)
    std::this_thread::yield();
  CHECK(post(one, headers)->status == 200);
}
