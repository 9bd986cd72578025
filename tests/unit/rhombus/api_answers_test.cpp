#include "api_answers.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::rhombus;
using namespace std::chrono_literals;

namespace {

const std::string path = "/api/x";
const WallTime now(1'700'009'000s);

std::string alert(const std::string& id, const std::string& more, std::int64_t at_ms = 1'700'000'000'000) {
  return R"({"uuid":")" + id + R"(","deviceUuid":"C1","timestampMs":)" + std::to_string(at_ms) + "," + more + "}";
}

AlertPage page_of(const std::vector<std::string>& entries) {
  std::string text = R"({"policyAlerts":[)";
  for (std::size_t i = 0; i < entries.size(); ++i) text += (i == 0 ? "" : ",") + entries[i];
  const auto page = read_alerts(path, text + "]}", now);
  REQUIRE(page);
  return *page;
}

}  // namespace

TEST_CASE("one odd alert of a list costs the others nothing, and what of it is needed is read") {
  for (const std::string odd :
       {R"("textDescription":"\ud83d")", R"("x":99999999999999999999)", R"("x":1e400)", "\"x\":\"Caf\xe9\"",
        R"("durationSec":7.5)", R"("durationSec":-1)", R"("durationSec":"long")", R"("locationUuid":"no/id")",
        R"("policyAlertTriggers":[null,7,{"x":[]}])", R"("policyAlertTriggers":"FACE")",
        R"("clipLocationMap":{"a/b":"r"})", R"("clipLocationMap":[1])", R"("deviceType":7)"}) {
    CAPTURE(odd);
    const auto page = page_of({alert("A1", R"("durationSec":5)"), alert("A2", R"("x":1)"), alert("A3", odd),
                               alert("A4", R"("x":1)"), alert("A5", R"("x":1)")});
    CHECK(page.unusable.empty());
    REQUIRE(page.alerts.size() == 5);
    CHECK(page.alerts[2].alert.id.str() == "A3");
    REQUIRE(page.alerts[2].alert.cameras.size() == 1);
    CHECK(page.alerts[2].at == WallTime(1'700'000'000s));
  }
}

TEST_CASE("an alert that cannot be used is named by its id, or by its place") {
  const auto page = page_of({alert("A1", R"("x":1)"), R"("text")", R"({"uuid":7,"deviceUuid":"C1"})",
                             R"({"uuid":"A3","deviceUuid":"no/id"})", "null", alert("A5", R"("x":1)")});
  REQUIRE(page.alerts.size() == 2);
  REQUIRE(page.unusable.size() == 4);
  CHECK(page.unusable[0].find("entry 1") != std::string::npos);
  CHECK(page.unusable[1].find("entry 2") != std::string::npos);
  CHECK(page.unusable[2].find("A3") != std::string::npos);
  CHECK(page.unusable[3].find("entry 4") != std::string::npos);
}

TEST_CASE("an alert that tells no time is taken for one of those beside it") {
  const auto timeless = [](const std::string& id, const std::string& at) {
    return R"({"uuid":")" + id + R"(","deviceUuid":"C1","timestampMs":)" + at + "}";
  };
  const auto page = page_of({timeless("A0", "0"), alert("A1", R"("x":1)", 1'700'000'500'000), timeless("A2", "-1"),
                             alert("A3", R"("x":1)"), timeless("A4", "\"soon\"")});
  REQUIRE(page.alerts.size() == 5);
  CHECK(page.alerts[0].at == WallTime(1'700'000'500s));
  CHECK(page.alerts[2].at == WallTime(1'700'000'500s));
  CHECK(page.alerts[4].at == WallTime(1'700'000'000s));
  CHECK(page.alerts[4].alert.cameras.at(0).at == WallTime(1'700'000'000s));
  CHECK_FALSE(page.alerts[4].at_is_told);
  CHECK(page.alerts[3].at_is_told);
  REQUIRE(page.told.size() == 2);
  CHECK(page.told.back().id.str() == "A3");
  CHECK_FALSE(page.alerts[4].alert.remarks.empty());
}

TEST_CASE("an answer without a list of alerts is an error, and no empty list") {
  const auto read = [](const std::string& text) { return read_alerts(path, text, now); };
  for (const std::string none : {R"({"policyAlerts":null})", R"({"policyAlerts":[]})", R"({"alerts":null})",
                                 R"({"alerts":[]})", R"({"policyAlerts":null,"alerts":[]})"}) {
    CAPTURE(none);
    const auto page = read(none);
    REQUIRE(page);
    CHECK(page->alerts.empty());
  }
  for (const std::string odd : {"{}", R"({"policyAlert":[]})", R"({"policyAlerts":{}})", R"({"policyAlerts":"none"})",
                                R"({"policyAlerts":0})", R"({"alerts":false})"}) {
    CAPTURE(odd);
    const auto page = read(odd);
    REQUIRE_FALSE(page);
    CHECK(page.error().kind == ErrorKind::transient);
    CHECK(page.error().message.starts_with(path + ": the answer lacks "));
  }
  CHECK(read("{}").error().message == path + ": the answer lacks policyAlerts");
  const auto older = read(R"({"policyAlerts":null,"alerts":[{"alertId":"A1","cameraUuid":"C1"}]})");
  REQUIRE(older);
  CHECK(older->alerts.size() == 1);
}

TEST_CASE("an answer that says authenticationFailed is a refusal of the key, in every call") {
  const std::string refused = R"({"authenticationFailed":true,"policyAlerts":[],"cameraStates":[]})";
  const auto alerts = read_alerts(path, refused, now);
  REQUIRE_FALSE(alerts);
  CHECK(alerts.error().kind == ErrorKind::auth);
  CHECK(alerts.error().message.find("rhombus.api_key") != std::string::npos);
  const auto cameras = read_cameras(path, refused);
  REQUIRE_FALSE(cameras);
  CHECK(cameras.error().kind == ErrorKind::auth);
  const auto as_error = read_cameras(path, R"({"error":true,"errorMsg":"no","authenticationFailed":true})");
  REQUIRE_FALSE(as_error);
  CHECK(as_error.error().kind == ErrorKind::auth);
  CHECK(read_cameras(path, R"({"authenticationFailed":false,"cameraStates":[]})"));
}

TEST_CASE("a list of one alert without a time is a whole list") {
  std::vector<std::string> seen;
  const auto listing = list_alerts(
      [](const AlertQuery&, std::stop_token) {
        return read_alerts(path, R"({"policyAlerts":[{"uuid":"A1","deviceUuid":"C1"}]})", now);
      },
      {}, {},
      [&](std::vector<ListedAlert> page) -> Result<bool> {
        for (const auto& listed : page) {
          seen.push_back(listed.alert.id.str());
          CHECK(listed.at == now);
        }
        return true;
      });
  REQUIRE(listing);
  CHECK(listing->complete);
  CHECK(seen == std::vector<std::string>{"A1"});
}

TEST_CASE("a full page of alerts without times may not be all of them") {
  for (const std::size_t count : {page_size - 1, page_size}) {
    CAPTURE(count);
    std::string entries;
    for (std::size_t i = 0; i < count; ++i)
      entries += (i == 0 ? "" : ",") + (R"({"uuid":"A)" + std::to_string(i) + R"(","deviceUuid":"C1"})");
    std::size_t seen = 0;
    const auto listing =
        list_alerts([&](const AlertQuery&,
                        std::stop_token) { return read_alerts(path, R"({"policyAlerts":[)" + entries + "]}", now); },
                    {}, {},
                    [&](std::vector<ListedAlert> page) -> Result<bool> {
                      seen += page.size();
                      return true;
                    });
    REQUIRE(listing);
    CHECK(seen == count);
    CHECK(listing->complete == (count < page_size));
  }
}

TEST_CASE("a time before 2015, or in seconds, counts as not told") {
  const auto page = page_of({alert("A1", R"("x":1)", 1'700'000'000), alert("A2", R"("x":1)", 1'420'070'399'999),
                             alert("A3", R"("x":1)"), alert("A4", R"("x":1)", 1'420'070'400'000)});
  REQUIRE(page.alerts.size() == 4);
  CHECK_FALSE(page.alerts[0].at_is_told);
  CHECK_FALSE(page.alerts[0].alert.remarks.empty());
  CHECK_FALSE(page.alerts[1].at_is_told);
  CHECK(page.alerts[2].at_is_told);
  CHECK(page.alerts[3].at_is_told);
}

TEST_CASE("an odd time of the last alert of a page does not end the listing") {
  const WallTime after(1'699'999'000s);
  for (const std::int64_t odd : {std::int64_t{5}, std::int64_t{1'700'000'000}, std::int64_t{1'450'000'000'000},
                                 std::int64_t{4'000'000'000'000}}) {
    CAPTURE(odd);
    std::vector<AlertQuery> asked;
    std::vector<std::string> seen;
    const auto ask = [&](const AlertQuery& query, std::stop_token) {
      asked.push_back(query);
      const std::int64_t first = asked.size() == 1 ? 500 : 200;
      std::string text = R"({"policyAlerts":[)";
      for (std::int64_t i = 0; i < 3; ++i)
        text += alert("A" + std::to_string(first - i), R"("x":1)", 1'700'000'000'000 + (first - i) * 1000) + ",";
      text += alert("Odd", R"("x":1)", asked.size() == 1 ? odd : 1'600'000'000'000);
      return read_alerts(path, asked.size() > 2 ? R"({"policyAlerts":[]})" : text + "]}", now);
    };
    const auto listing = list_alerts(ask, {.after = after}, {}, [&](std::vector<ListedAlert> page) -> Result<bool> {
      for (const auto& listed : page) seen.push_back(listed.alert.id.str());
      return true;
    });
    REQUIRE(listing);
    CHECK(listing->complete);
    REQUIRE(asked.size() == 3);
    REQUIRE(asked[1].cursor);
    CHECK(asked[1].cursor->id.str() == "A498");
    REQUIRE(asked[2].cursor);
    CHECK(asked[2].cursor->id.str() == "A198");
    CHECK(std::count(seen.begin(), seen.end(), "A199") == 1);
  }
}

TEST_CASE("a page of alerts before the wanted time ends the listing") {
  int asked = 0;
  const auto listing = list_alerts(
      [&](const AlertQuery&, std::stop_token) {
        ++asked;
        return read_alerts(path, R"({"policyAlerts":[)" + alert("A1", R"("x":1)", 1'600'000'000'000) + "]}", now);
      },
      {.after = now}, {}, [](std::vector<ListedAlert>) -> Result<bool> { return true; });
  REQUIRE(listing);
  CHECK(listing->complete);
  CHECK(asked == 1);
}

TEST_CASE("a server that lists the same page again is done where the page goes back far enough") {
  for (const std::int64_t oldest : {std::int64_t{1'600'000'000'000}, std::int64_t{1'699'999'999'000}}) {
    CAPTURE(oldest);
    const auto text = R"({"policyAlerts":[)" + alert("A3", R"("x":1)") + "," +
                      alert("A2", R"("x":1)", 1'699'999'999'500) + "," + alert("A1", R"("x":1)", oldest) + "]}";
    const auto listing = list_alerts([&](const AlertQuery&, std::stop_token) { return read_alerts(path, text, now); },
                                     {.after = WallTime(1'699'999'000s)}, {},
                                     [](std::vector<ListedAlert>) -> Result<bool> { return true; });
    REQUIRE(listing);
    CHECK(listing->complete == (oldest == 1'600'000'000'000));
  }
}

TEST_CASE("an alert whose device cannot be used is taken for the cameras of its map") {
  const std::string beginning = R"({"uuid":"A1","timestampMs":1700000000000,"deviceUuid":)";
  for (const std::string device : {R"("no/id")", "7", R"("")"}) {
    CAPTURE(device);
    const auto page = page_of({beginning + device + R"(,"clipLocationMap":{"C7":"us-west-2","no/id":"x"}})"});
    REQUIRE(page.alerts.size() == 1);
    const auto& alert = page.alerts[0].alert;
    CHECK(alert.device.empty());
    REQUIRE(alert.cameras.size() == 1);
    CHECK(alert.cameras[0].camera.str() == "C7");
    CHECK_FALSE(alert.remarks.empty());
  }
  CHECK(page_of({beginning + R"("no/id","clipLocationMap":{"no/id":"x"}})"}).unusable.size() == 1);
}

TEST_CASE("one odd device of a list costs the others nothing") {
  const auto cameras = read_cameras(
      path,
      "{\"cameraStates\":[7,null,{\"uuid\":\"no/id\"},{\"uuid\":\"C1\",\"name\":\"Caf\xe9 \\ud83d\",\"x\":1e400},"
      "{\"uuid\":\"C2\",\"name\":7,\"locationUuid\":\"no/id\",\"connectionStatus\":[]}]}");
  REQUIRE(cameras);
  REQUIRE(cameras->size() == 2);
  CHECK((*cameras)[0].name == "Caf\xEF\xBF\xBD \xEF\xBF\xBD");
  CHECK((*cameras)[1].id.str() == "C2");
  CHECK((*cameras)[1].location.empty());

  const auto gateways = read_audio_gateways(path,
                                            "{\"audioGatewayStates\":[{},{\"uuid\":\"G1\",\"name\":\"\xff\","
                                            "\"associatedCameras\":[null,\"a/b\",\"C1\"]}]}");
  REQUIRE(gateways);
  REQUIRE(gateways->size() == 1);
  CHECK((*gateways)[0].cameras == std::vector{DeviceId("C1")});
}

TEST_CASE("presence is that of the two keys of video, and an answer that cannot be read says nothing") {
  const auto presence = read_presence(
      path, R"({"presenceWindows":{"x":7,"Audio":[{"startSeconds":5,"durationSeconds":5}],"VideoCloud":[],)"
            R"("VideoLocal":[{"startSeconds":"1700000000","durationSeconds":10.9}]}})");
  REQUIRE(presence);
  REQUIRE(*presence);
  REQUIRE((*presence)->size() == 1);
  CHECK((*presence)->front().start == std::chrono::sys_seconds(1'700'000'000s));
  CHECK((*presence)->front().end == std::chrono::sys_seconds(1'700'000'010s));
  for (const std::string windows : {"{}", R"({"Audio":[]})", R"({"VideoLocal":"x"})", R"({"VideoLocal":[null]})",
                                    R"({"VideoCloud":[],"VideoLocal":[{"startSeconds":"soon","durationSeconds":5}]})",
                                    R"({"VideoLocal":[{"startSeconds":1e400,"durationSeconds":5}]})"}) {
    CAPTURE(windows);
    const auto odd = read_presence(path, "{\"presenceWindows\":" + windows + "}");
    REQUIRE(odd);
    CHECK_FALSE(*odd);
  }
  CHECK_FALSE(*read_presence(path, "{}"));
}

TEST_CASE("one odd address or map entry costs the others nothing") {
  const auto uris = read_media_uris(path, R"({"lanVodMpdUrisTemplates":[7,"https://h/x",""],"lanCheckUrls":{}})");
  REQUIRE(uris);
  CHECK(uris->lan == std::vector<std::string>{"https://h/x"});
  CHECK(uris->lan_checks.empty());

  const auto details = read_alert_details(
      path,
      "{\"policyAlert\":{\"durationSec\":7.2,\"finalized\":\"no\",\"x\":\"\xff\",\"clipLocationMap\":"
      "{\"a/b\":\"r\",\"C1\":\"us-west-2\",\"C2\":[]}}}");
  REQUIRE(details);
  CHECK(details->duration == 8s);
  CHECK(details->clip_regions.size() == 1);
  CHECK_FALSE(read_alert_details(path, R"({"policyAlert":{"durationSec":"long"}})")->duration);
}

TEST_CASE("webhook settings that had to be repaired are read, and not sent back") {
  const auto settings = [](const std::string& more) {
    const auto read = read_webhook_settings(
        path, R"({"orgIntegrationV2":{"activityWebhooksV2":{"https://a/x":7,"https://b/x":{"webhookSecret":"s"}},)" +
                  more + "}}");
    REQUIRE(read);
    REQUIRE(read->webhooks.size() == 2);
    CHECK(read->webhooks[1].secret.reveal() == "s");
    return *read;
  };
  CHECK(settings("\"x\":1").is_exact);
  CHECK_FALSE(settings("\"x\":\"\xff\"").is_exact);
  CHECK_FALSE(settings("\"x\":1e400").is_exact);
}

TEST_CASE("an answer without webhook settings is an error, and no empty settings") {
  const auto none = read_webhook_settings(path, R"({"orgIntegrationV2":null})");
  REQUIRE(none);
  CHECK(none->webhooks.empty());
  for (const std::string odd : {"{}", R"({"orgIntegrationV2":[]})", R"({"orgIntegrationV2":"on"})",
                                R"({"orgIntegration":{"enabled":true}})"}) {
    CAPTURE(odd);
    const auto settings = read_webhook_settings(path, odd);
    REQUIRE_FALSE(settings);
    CHECK(settings.error().message == path + ": the answer lacks orgIntegrationV2, the webhook settings");
  }
}

TEST_CASE("a list that is null is empty, and one of another type is an error") {
  const auto cameras = read_cameras(path, R"({"cameraStates":null})");
  REQUIRE(cameras);
  CHECK(cameras->empty());
  const auto locations = read_locations(path, R"({"locations":null})");
  REQUIRE(locations);
  CHECK(locations->empty());
  for (const std::string odd : {"{}", "0", R"("none")", "false"}) {
    CAPTURE(odd);
    CHECK_FALSE(read_cameras(path, R"({"cameraStates":)" + odd + "}"));
    CHECK_FALSE(read_locations(path, R"({"locations":)" + odd + "}"));
    CHECK_FALSE(read_audio_gateways(path, R"({"audioGatewayStates":)" + odd + "}"));
    CHECK_FALSE(read_doors(path, R"({"doorStates":)" + odd + "}", Door::Kind::sensor));
    CHECK_FALSE(read_doors(path, R"({"accessControlledDoors":)" + odd + "}", Door::Kind::access_controlled));
  }
  for (const std::string none : {"{}", R"({"audioGatewayStates":null,"doorStates":null})"}) {
    CAPTURE(none);
    CHECK(read_audio_gateways(path, none)->empty());
    CHECK(read_doors(path, none, Door::Kind::sensor)->doors.empty());
  }
}

TEST_CASE("what is listed twice is read once, as it is listed first") {
  const auto cameras = read_cameras(path, R"({"cameraStates":[{"uuid":"C1","name":"Lobby"},{"uuid":"C2"},)"
                                          R"({"uuid":"C1","name":"Lobby, again"}]})");
  REQUIRE(cameras);
  REQUIRE(cameras->size() == 2);
  CHECK((*cameras)[0].name == "Lobby");
  CHECK((*cameras)[1].id.str() == "C2");
  CHECK(read_audio_gateways(path, R"({"audioGatewayStates":[{"uuid":"G1"},{"uuid":"G1"}]})")->size() == 1);
  const auto locations = read_locations(
      path, R"({"locations":[{"uuid":"L1","subLocations":[{"uuid":"L2"}]},{"uuid":"L2","name":"Cellar"}]})");
  REQUIRE(locations);
  CHECK(locations->size() == 2);
}

TEST_CASE("a webhook secret is 1 to 256 visible ASCII characters, or an error that does not tell it") {
  const auto read = [](const std::string& secret) {
    return read_registration(path, R"({"webhookSecret":)" + secret + "}");
  };
  for (const auto& usable : {std::string("s"), std::string(256, '~')}) {
    const auto secret = read("\"" + usable + "\"");
    REQUIRE(secret);
    REQUIRE(*secret);
    CHECK((*secret)->reveal() == usable);
  }
  for (const std::string none : {"null", R"("")"}) {
    const auto secret = read(none);
    REQUIRE(secret);
    CHECK_FALSE(*secret);
  }
  for (const auto& odd : {"\"" + std::string(257, 's') + "\"", std::string(R"("odd one")"),
                          std::string(R"("odd\u0000one")"), std::string(R"("odd\u00e9one")"),
                          std::string(R"("odd\u007fone")"), std::string("7"), std::string(R"({"odd":"one"})")}) {
    CAPTURE(odd);
    const auto secret = read(odd);
    REQUIRE_FALSE(secret);
    CHECK(secret.error().message.find("webhookSecret is not 1 to 256 visible ASCII characters") != std::string::npos);
    CHECK(secret.error().message.find("odd") == std::string::npos);
  }
}
