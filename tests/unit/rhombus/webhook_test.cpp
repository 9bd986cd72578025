#include <algorithm>

#include <catch2/catch.hpp>

#include "responder/rhombus/alert.hpp"

#include "json.hpp"

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
      {R"({"uuid":"R1","deviceEvents":[{"deviceUuid":"a b"}]})", "deviceUuid"},
      {R"({"uuid":"R1","deviceEvents":["x"]})", "deviceEvents"},
      {"{" + base + ",\xff\"x\":1}", "not JSON"},
      {"{" + base + ",\"x\":NaN}", "not JSON"},
      {"{" + base + ",\"x\":01}", "not JSON"},
      {R"({"alertUuid":"A\ud83d","deviceUuid":"C1"})", "alertUuid"},
      {"{\"alertUuid\":\"A\xe9\",\"deviceUuid\":\"C1\"}", "alertUuid"},
      {R"({"alertUuid":1e400,"deviceUuid":"C1"})", "neither alertUuid nor uuid"},
      {"{" + base + ",\"x\":1e400,\"\\u0061lertUuid\":\"A2\"}", "twice"},
      {"\xEF\xBB\xBF{" + base + ",\"x\":\"\xff\",\"x\":1}", "twice"},
      {"{" + base + ",\"a\xEF\xBF\xBD\":1,\"a\xEF\xBF\xBD\":2}", "twice"},
      {"{" + base + ",\"a b\":1,\"a b\":2}", "twice"},
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

TEST_CASE("what only helps never loses an alert") {
  struct Odd {
    std::string fields, remark;
    std::optional<std::chrono::seconds> duration;
    bool has_time = true;
  };
  const Odd table[] = {
      {R"("durationSec":7.5)", "", 8s},
      {R"("durationSec":"7.5")", "", 8s},
      {R"("durationSec":"7")", "", 7s},
      {R"("durationSec":-1)", "durationSec", {}},
      {R"("durationSec":"long")", "durationSec", {}},
      {R"("durationSec":"nan")", "durationSec", {}},
      {R"("durationSec":[7])", "durationSec", {}},
      {R"("durationSec":1e400)", "", {}},
      {R"("durationSec":99999999999999999999999)", "", {}},
      {R"("durationSec":1e300)", "", 365 * 24h},
      {R"("timestampMs":0)", "timestampMs", {}, false},
      {R"("timestampMs":-5)", "timestampMs", {}, false},
      {R"("timestampMs":{})", "timestampMs", {}, false},
      {R"("timestampMs":99999999999999999)", "timestampMs", {}, false},
      {R"("timestampMs":"soon")", "timestampMs", {}, false},
      {R"("timestampMs":1700000000000.9)", "", {}},
      {R"("location":"not/an/id")", "location", {}},
      {R"("location":["L1"])", "location", {}},
      {R"("clipLocationMap":{"a/b":"r"})", "a/b", {}},
      {R"("clipLocationMap":{"a/b":"r","C1":7},"clipLocationMapV2":[])", "a/b", {}},
  };
  for (const auto& odd : table) {
    CAPTURE(odd.fields);
    const bool tells_time = odd.fields.find("timestampMs") != std::string::npos;
    const auto alert = parse(R"({"alertUuid":"A1","deviceUuid":"C1",)" +
                             (tells_time ? "" : std::string(R"("timestampMs":1700000000000,)")) + odd.fields + "}");
    REQUIRE(alert);
    REQUIRE(alert->cameras.size() == 1);
    CHECK(alert->cameras[0].camera.str() == "C1");
    CHECK(alert->cameras[0].duration == odd.duration);
    CHECK(alert->cameras[0].at.has_value() == odd.has_time);
    CHECK(alert->location.empty());
    CHECK(alert->remarks.size() == (odd.remark.empty() ? 0 : 1));
    if (!odd.remark.empty()) CHECK(alert->remarks.at(0).find(odd.remark) != std::string::npos);
  }
}

TEST_CASE("a field that nobody reads may hold anything, and what is beside it is read") {
  for (const std::string odd :
       {R"("summary":"\ud83d")", R"("summary":"\ude00 \ud83d!")", R"("count":18446744073709551616)",
        R"("count":-9223372036854775809)", R"("count":1e400)", R"("count":[-1E+999,1e-999])", "\"name\":\"Caf\xe9\"",
        "\"name\":\"\xc3\"", "\"name\":\"a\nb\"", "\"Caf\xe9\":{\"x\":\"\xff\"}", R"("summary":null)",
        R"("summary":[[["\udfff"]]],"activityTrigger":{"x":1})"}) {
    for (const std::string mark : {"", "\xEF\xBB\xBF"}) {
      CAPTURE(odd);
      const auto alert = parse(mark + "{" + odd + "," + base + R"(,"durationSec":12})");
      REQUIRE(alert);
      CHECK(alert->id.str() == "A1");
      REQUIRE(alert->cameras.size() == 1);
      CHECK(alert->cameras[0].at == WallTime(1'700'000'000s));
      CHECK(alert->cameras[0].duration == 12s);
    }
  }
}

TEST_CASE("keys that only a repair has made the same cost no alert, and the first of them stays") {
  for (const std::string odd : {"\"Caf\xe9\":1,\"Caf\xe8\":2", "\"a\\ud83d\":1,\"a\\ude00\":2",
                                "\"a\tb\":1,\"a\nb\":2", "\"x\":[{\"\xe9\":1,\"\xe8\":{}}]"}) {
    CAPTURE(odd);
    const auto alert = parse("{" + odd + "," + base + "}");
    REQUIRE(alert);
    CHECK(alert->id.str() == "A1");
    CHECK(alert->cameras.size() == 1);
  }
  simdjson::dom::parser parser;
  json::Element root;
  bool repaired = false;
  REQUIRE(json::parse(parser, "{\"\xe9\":\"first\",\"\xe8\":\"second\"}", root, &repaired) == simdjson::SUCCESS);
  CHECK_FALSE(json::has_duplicate_key(root, repaired));
  json::Object object;
  REQUIRE(root.get(object) == simdjson::SUCCESS);
  CHECK(json::text(object, "\xEF\xBF\xBD") == "first");
}

TEST_CASE("an event of a rule action that is of no use costs itself only, and is named") {
  const auto alert = parse(
      R"({"uuid":"R1","triggeredTimestampMs":1700000005000,"deviceEvents":["x",{"deviceUuid":"a b"},7,)"
      R"({"deviceUuid":"C1","timestampMs":0,"durationSec":"long","locationUuid":"no/id"},{"deviceUuid":"C2"}]})");
  REQUIRE(alert);
  REQUIRE(alert->cameras.size() == 2);
  CHECK(alert->cameras[0].camera.str() == "C1");
  CHECK(alert->cameras[0].at == WallTime(1'700'000'005s));
  CHECK(alert->cameras[1].camera.str() == "C2");
  const auto named = [&](std::string_view what) {
    return std::count_if(alert->remarks.begin(), alert->remarks.end(),
                         [&](const auto& line) { return line.find(what) != std::string::npos; });
  };
  CHECK(named("deviceEvents[0]") == 1);
  CHECK(named("deviceEvents[1]") == 1);
  CHECK(named("deviceEvents[2]") == 1);
  CHECK(named("timestampMs") == 1);
  CHECK(named("durationSec") == 1);
  CHECK(named("locationUuid") == 1);
}

TEST_CASE("of more cameras than an alert has, the first are taken") {
  std::string events;
  std::string map;
  for (int i = 0; i < 300; ++i) {
    const auto name = "C" + std::to_string(i);
    events += (i == 0 ? "" : ",") + (R"({"deviceUuid":")" + name) + "\"}";
    map += (i == 0 ? "" : ",") + ("\"" + name) + R"(":"us-west-2")";
  }
  const auto rule = parse(R"({"uuid":"R1","deviceEvents":[)" + events + "]}");
  REQUIRE(rule);
  CHECK(rule->cameras.size() == 256);
  CHECK(rule->remarks.size() == 1);
  const auto organization = parse("{" + base + R"(,"clipLocationMap":{)" + map + "}}");
  REQUIRE(organization);
  CHECK(organization->cameras.size() == 256);
  CHECK(organization->remarks.size() == 1);
}
