// What Rhombus says of cameras, locations and doors, in the shapes that its documents and its clients know.
#include <catch2/catch.hpp>

#include "responder/rhombus/activities.hpp"
#include "responder/rhombus/api_client.hpp"

#include "fake_rhombus.hpp"

using namespace responder;
using namespace responder::rhombus;

namespace {

struct Fixture {
  fake_rhombus::FakeRhombus fake;
  SystemClock clock;
  std::string camera = fake.add_camera({.name = "Front Door",
                                        .video = {.width = 64, .height = 64},
                                        .facets = {{"v0", "Left"}, {"v1", "Right"}},
                                        .lan_addresses = {"10.1.2.3"}});
  std::string main_door = fake.add_door({.name = "Main", .cameras = {camera}});
  std::string side_door = fake.add_door({.name = "Side"});
  std::string sensor = fake.add_door({.name = "Window", .cameras = {camera}, .is_sensor = true});
  std::unique_ptr<ApiClient> api;

  Fixture() {
    fake.start();
    ApiOptions options;
    options.url = *net::Url::parse(fake.api_url());
    options.api_key = Secret(fake.api_key());
    options.ca_file = fake.ca_file();
    options.requests_per_second = 100;
    api = std::make_unique<ApiClient>(options, clock, [](std::string_view, int) {});
  }
  void answer(const std::string& body) {
    fake.intercept([=](const fake_rhombus::Request&) { return fake_rhombus::Reply{200, body, "application/json"}; });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "cameras come with their lenses and addresses") {
  const auto cameras = api->cameras({});
  REQUIRE(cameras);
  REQUIRE(cameras->size() == 1);
  CHECK(cameras->front().facets == std::vector<Facet>{{"v0", "Left"}, {"v1", "Right"}});
  CHECK(cameras->front().lan_addresses == std::vector<std::string>{"10.1.2.3"});
}

TEST_CASE_METHOD(Fixture, "lenses and addresses in any shape, or none, cost only themselves") {
  answer(R"({"cameraStates":[
    {"uuid":"A","supportedFacets":["v0","a0",7,null,"../x"],"facetNameMap":{"v0":null,"v1":"Right"},"lanAddresses":[null,"10.0.0.1",""]},
    {"uuid":"B","facetNameMap":{"B.v1":"Far"},"lanAddresses":"10.0.0.2"},
    {"uuid":"C","supportedFacets":null,"facetNameMap":null,"lanAddresses":null},
    {"uuid":"D","supportedFacets":"v0","facetNameMap":["v0"],"lanAddresses":{"eth0":"10.0.0.3"}},
    {"uuid":"not a uuid"}, null, 3]})");
  const auto cameras = api->cameras({});
  REQUIRE(cameras);
  REQUIRE(cameras->size() == 4);
  CHECK((*cameras)[0].facets == std::vector<Facet>{{"v0", ""}, {"a0", ""}, {"v1", "Right"}});
  CHECK((*cameras)[0].lan_addresses == std::vector<std::string>{"10.0.0.1"});
  CHECK((*cameras)[1].facets == std::vector<Facet>{{"v1", "Far"}});
  CHECK((*cameras)[1].lan_addresses == std::vector<std::string>{"10.0.0.2"});
  CHECK((*cameras)[2].facets.empty());
  CHECK((*cameras)[3].facets.empty());
  CHECK((*cameras)[3].lan_addresses.empty());
}

TEST_CASE_METHOD(Fixture, "locations are listed with those that lie in others") {
  CHECK(api->locations({})->front().name == "Headquarters");
  answer(R"({"locations":[{"uuid":"L1","name":"Campus","subLocations":[{"uuid":"L2","name":null,"subLocations":
    [{"uuid":"L3","name":"Cellar"}]},null]},{"uuid":"b a d"},{"name":"no id"},5]})");
  const auto locations = api->locations({});
  REQUIRE(locations);
  REQUIRE(locations->size() == 3);
  CHECK((*locations)[1].id.str() == "L2");
  CHECK((*locations)[1].name.empty());
  CHECK((*locations)[2].name == "Cellar");
  answer(R"({"locations":null})");
  REQUIRE(api->locations({}));
  CHECK(api->locations({})->empty());
  for (const auto* odd : {"{}", R"({"locations":{}})", R"({"locations":"none"})"}) {
    CAPTURE(odd);
    answer(odd);
    CHECK_FALSE(api->locations({}));
  }
  std::string deep = R"({"uuid":"L","name":"x")";
  std::string body = "null";
  for (int i = 0; i < 200; ++i) body = deep + R"(,"subLocations":[)" + body + "]}";
  answer(R"({"locations":[)" + body + "]}");
  CHECK(api->locations({})->size() <= 10);
}

TEST_CASE_METHOD(Fixture, "doors of both kinds are listed over all pages") {
  const auto list = api->doors(Door::Kind::access_controlled, {});
  CHECK_FALSE(list.error);
  REQUIRE(list.doors.size() == 2);
  CHECK(list.doors.front().id.str() == main_door);
  CHECK(list.doors.front().cameras == std::vector<DeviceId>{DeviceId(camera + ".v0")});
  CHECK(list.doors.back().id.str() == side_door);
  const auto sensors = api->doors(Door::Kind::sensor, {});
  CHECK_FALSE(sensors.error);
  REQUIRE(sensors.doors.size() == 1);
  CHECK(sensors.doors.front().id.str() == sensor);
  CHECK(sensors.doors.front().kind == Door::Kind::sensor);
}

TEST_CASE_METHOD(Fixture, "a door that cannot be read costs itself, and a list without an end is said to be one") {
  answer(R"({"accessControlledDoors":[{"uuid":"D1","name":null,"associatedCameras":null},{"uuid":7},null,
    {"uuid":"D2","associatedCameras":["C1.v0",null,"../x",3]}],"lastEvaluatedKey":"same for ever"})");
  const auto list = api->doors(Door::Kind::access_controlled, {});
  REQUIRE(list.error);
  CHECK(list.error->message.find("the list does not end") != std::string::npos);
  CHECK(fake.requests().size() == 2);
  REQUIRE(list.doors.size() == 2);  // each once, though the page came twice
  CHECK(list.doors[1].cameras == std::vector<DeviceId>{DeviceId("C1.v0")});
  answer(R"({"doorStates":null})");
  const auto none = api->doors(Door::Kind::sensor, {});
  CHECK(none.doors.empty());
  CHECK_FALSE(none.error);
  answer(R"({"error":true,"errorMsg":"not allowed"})");
  CHECK(api->doors(Door::Kind::sensor, {}).error);
}

TEST_CASE_METHOD(Fixture, "doors are listed over more than a hundred pages, and those before an error are kept") {
  int page = 0;
  std::string last = "null";
  int status = 200;
  fake.intercept([&](const fake_rhombus::Request&) {
    ++page;
    const auto key = page < 120 ? "\"key" + std::to_string(page) + "\"" : last;
    return fake_rhombus::Reply{
        page < 120 ? 200 : status,
        R"({"doorStates":[{"uuid":"D)" + std::to_string(page) + R"("}],"lastEvaluatedKey":)" + key + "}",
        "application/json"};
  });
  SECTION("they end") {
    const auto list = api->doors(Door::Kind::sensor, {});
    CHECK(list.doors.size() == 120);
    CHECK_FALSE(list.error);
  }
  SECTION("the last page comes with a key of an earlier one") {
    last = R"("key7")";
    const auto list = api->doors(Door::Kind::sensor, {});
    CHECK(list.doors.size() == 120);
    CHECK(list.error);
  }
  SECTION("the last page comes with a key that is no text") {
    last = R"({"S":"key"})";
    const auto list = api->doors(Door::Kind::sensor, {});
    CHECK(list.doors.size() == 120);
    CHECK(list.error);
  }
  SECTION("the last page fails") {
    status = 403;
    const auto list = api->doors(Door::Kind::sensor, {});
    CHECK(list.doors.size() == 119);
    REQUIRE(list.error);
    CHECK(list.error->kind == ErrorKind::auth);
  }
}

TEST_CASE_METHOD(Fixture, "a URL is taken from the settings, and everybody else's stay") {
  fake.add_webhook("https://ours/x", "s1");
  fake.add_webhook("https://theirs/y?key=1", "s2");
  fake.add_webhook("https://ours/x", "s3", true);
  const auto urls = [&] {
    std::vector<std::string> shown;
    const auto settings = api->webhook_settings({});
    for (const auto& one : settings->webhooks)
      shown.push_back(one.url + (one.diagnostic ? " diagnostic" : "") + (one.disabled ? " off" : ""));
    return shown;
  };
  REQUIRE(api->unregister_webhook(*api->webhook_settings({}), "https://ours/x", false, {}));
  CHECK(urls() == std::vector<std::string>{"https://theirs/y?key=1", "https://ours/x diagnostic"});
  fake.keep_removed_webhooks(true);
  REQUIRE(api->unregister_webhook(*api->webhook_settings({}), "https://ours/x", true, {}));
  CHECK(urls() == std::vector<std::string>{"https://theirs/y?key=1", "https://ours/x diagnostic off"});
}

TEST_CASE("what is sent to take a URL away has all else of the settings as it was, in old and new accounts") {
  WebhookSettings now;
  now.as_given =
      Secret(R"({"enabled":false,"orgUuid":"O","other":[1],"activityWebhooks":{"u":"old","v":"kept"},)"
             R"("activityWebhooksV2":{"u":{"webhookSecret":"s"},"v":{"webhookSecret":"k","webhookDisabled":true}},)"
             R"("diagnosticWebhooksV2":{"u":{"webhookSecret":"d"}},"diagnosticWebhooks":null})");
  CHECK(unregistration_body(now, "u", false) ==
        R"({"webhookUrl":"u","isDiagnostic":false,"disabled":true,"updatedWebhookSettings":{)"
        R"("enabled":false,"orgUuid":"O","other":[1],"activityWebhooks":{"v":"kept"},)"
        R"("activityWebhooksV2":{"v":{"webhookSecret":"k","webhookDisabled":true}},)"
        R"("diagnosticWebhooksV2":{"u":{"webhookSecret":"d"}},"diagnosticWebhooks":null}})");
}

TEST_CASE_METHOD(Fixture, "Rhombus that goes on calling a URL is no success") {
  const auto settings = R"({"orgIntegrationV2":{"enabled":true,"activityWebhooksV2":{"u":{"webhookSecret":"s"}}}})";
  answer(settings);
  const auto gone = api->unregister_webhook(*api->webhook_settings({}), "u", false, {});
  REQUIRE_FALSE(gone);
  CHECK(gone.error().message.find("still calls") != std::string::npos);
  answer(R"({"error":true,"errorMsg":"no rights"})");
  CHECK_FALSE(api->unregister_webhook({}, "u", false, {}));
}

TEST_CASE("activities are known by name, in either case") {
  CHECK(is_known_activity("MOTION_HUMAN"));
  CHECK(is_known_activity("motion_human"));
  CHECK_FALSE(is_known_activity("MOTION_HUMN"));
  CHECK(nearest_activity("motion_humn") == "MOTION_HUMAN");
  CHECK_FALSE(nearest_activity("elephants in the room"));
  CHECK(known_activities().size() == 180);
}
