#include <catch2/catch.hpp>

#include "responder/rhombus/alert.hpp"

using namespace responder;
using namespace responder::rhombus;
using namespace std::chrono_literals;

namespace {
Result<Alert> parse(std::string_view body) { return WebhookParser().parse(body); }
const std::string base = R"("alertUuid":"A1","deviceUuid":"C1","timestampMs":1700000000000)";
}  // namespace

TEST_CASE("an organization webhook of a camera") {
  const auto alert = parse(
      R"({"version":2,"activityTrigger":"MOTION_HUMAN,FACE","summary":"x","deviceUuid":"C1","deviceType":"CAMERA",)"
      R"("location":"L1","timestampMs":"1700000000000","alertUuid":"A1","durationSec":12.0,"thumbnailLocation":null,)"
      R"("clipLocationMap":{"C1":"us-west-2"},"later":{"deep":[1,{"x":null}]}})");
  REQUIRE(alert);
  CHECK(alert->id.str() == "A1");
  CHECK(alert->location.str() == "L1");
  CHECK(alert->activities == std::vector<std::string>{"MOTION_HUMAN", "FACE"});
  REQUIRE(alert->cameras.size() == 1);
  CHECK(alert->cameras[0].camera.str() == "C1");
  CHECK(alert->cameras[0].at == WallTime(1'700'000'000s));
  CHECK(alert->cameras[0].duration == 12s);
}

TEST_CASE("whose footage an alert is about") {
  const auto cameras = [](const std::string& fields) {
    const auto alert = parse("{" + base + "," + fields + "}");
    REQUIRE(alert);
    std::string names;
    for (const auto& camera : alert->cameras) names += camera.camera.str() + " ";
    return names;
  };
  CHECK(cameras(R"("deviceType":null)") == "C1 ");
  CHECK(cameras(R"("deviceType":"DOOR_SENSOR")") == "");
  CHECK(cameras(R"("deviceType":"DOOR_SENSOR","clipLocationMap":{"C2":"r","C3":"r"})") == "C2 C3 ");
  CHECK(cameras(R"("clipLocationMap":{"C2":"r"})") == "C2 ");
  CHECK(cameras(R"("deviceType":"CAMERA","clipLocationMap":null)") == "C1 ");
  CHECK(cameras(R"("deviceType":"CAMERA","clipLocationMap":{"C1":"r","C2":"r"})") == "C1 C2 ");
}

TEST_CASE("a diagnostic has nothing to capture") {
  const auto alert = parse("{" + base + R"(,"diagnosticTrigger":"CAMERA_OFFLINE"})");
  REQUIRE(alert);
  CHECK(alert->diagnostic);
  CHECK(alert->cameras.empty());
}

TEST_CASE("a rule action may name several cameras, and one of them several times") {
  const auto alert =
      parse(R"({"uuid":"R1","orgUuid":"O","ruleUuid":"U","triggeredTimestampMs":1700000005000,"deviceEvents":[)"
            R"({"deviceUuid":"C1","timestampMs":1700000000000,"activities":["MOTION_HUMAN"]},)"
            R"({"deviceUuid":"C2","activities":null},null,)"
            R"({"deviceUuid":"C1","timestampMs":1700000007500,"activities":["FACE",3,"../x"]}],"ruleTriggers":[]})");
  REQUIRE(alert);
  REQUIRE(alert->cameras.size() == 2);
  CHECK(alert->cameras[0].at == WallTime(1'700'000'000s));
  CHECK(alert->cameras[0].last_at == WallTime(1'700'000'007s) + 500ms);
  CHECK_FALSE(alert->cameras[0].duration);
  CHECK(alert->cameras[0].activities == std::vector<std::string>{"MOTION_HUMAN", "FACE"});
  CHECK(alert->cameras[1].at == WallTime(1'700'000'005s));
  CHECK_FALSE(alert->cameras[1].duration);
  CHECK(parse(R"({"uuid":"R1"})")->cameras.empty());
  CHECK(parse(R"({"uuid":"R1","deviceEvents":[{"deviceUuid":null}]})")->cameras.empty());
}

TEST_CASE("what is unusable is refused with the field's name") {
  const std::pair<std::string, std::string> table[] = {
      {"", "not JSON"},
      {"{", "not JSON"},
      {"[]", "not a JSON object"},
      {"\"x\"", "not a JSON object"},
      {"{}", "neither alertUuid nor uuid"},
      {R"({"alertUuid":null,"uuid":null})", "neither"},
      {"{" + base + ",\"alertUuid\":\"A2\"}", "twice"},
      {"{" + base + R"(,"x":[{"y":1,"y":2}]})", "twice"},
      {R"({"alertUuid":"A1"})", "deviceUuid is missing"},
      {R"({"alertUuid":"../../etc","deviceUuid":"C1"})", "alertUuid"},
      {R"({"alertUuid":"A/1","deviceUuid":"C1"})", "alertUuid"},
      {R"({"alertUuid":"A\u0000","deviceUuid":"C1"})", "alertUuid"},
      {R"({"alertUuid":")" + std::string(10000, 'a') + R"(","deviceUuid":"C1"})", "alertUuid"},
      {R"({"alertUuid":7,"deviceUuid":"C1"})", "alertUuid"},
      {R"({"alertUuid":"A1","deviceUuid":"C 1"})", "deviceUuid"},
      {R"({"alertUuid":"A1","deviceUuid":"C1","clipLocationMap":{"a/b":"r"}})", "clipLocationMap"},
      {R"({"alertUuid":"A1","deviceUuid":"C1","timestampMs":{}})", "timestampMs"},
      {R"({"alertUuid":"A1","deviceUuid":"C1","timestampMs":-5})", "timestampMs"},
      {R"({"alertUuid":"A1","deviceUuid":"C1","timestampMs":99999999999999999})", "timestampMs"},
      {R"({"alertUuid":"A1","deviceUuid":"C1","durationSec":"long"})", "durationSec"},
      {R"({"alertUuid":"A1","deviceUuid":"C1","durationSec":-1})", "durationSec"},
      {R"({"uuid":"R1","deviceEvents":[{"deviceUuid":"a b"}]})", "deviceUuid"},
      {R"({"uuid":"R1","deviceEvents":["x"]})", "deviceEvents"},
      {"{" + base + ",\"x\":\"\xff\"}", "not JSON"},
      {"{" + base + ",\"x\":" + std::string(1000, '[') + std::string(1000, ']') + "}", "not JSON"},
  };
  for (const auto& [body, expected] : table) {
    CAPTURE(body.substr(0, 200));
    const auto alert = parse(body);
    REQUIRE_FALSE(alert);
    CHECK(alert.error().message.find(expected) != std::string::npos);
  }
}

TEST_CASE("a valid body cut anywhere is refused, never misread") {
  const std::string body = "{" + base + R"(,"durationSec":5})";
  for (std::size_t cut = 0; cut < body.size(); ++cut) CHECK_FALSE(parse(body.substr(0, cut)));
}
