// What a person asks for by name: cameras, locations, doors, alerts, hooks and webhooks.
#include <algorithm>
#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "clip_checks.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> read;
  for (std::string line; std::getline(in, line);) read.push_back(line);
  return read;
}

struct Fixture {
  FakeRhombus rhombus;
  std::string lobby =
      rhombus.add_camera({.name = "Lobby", .video = small, .facets = {{"v0", "Left"}, {"v1", "Right"}}});
  std::string yard =
      rhombus.add_camera({.name = "Yard", .location = "YardLocationAAAAAAAAAA", .video = small, .status = "RED"});
  std::string ears = rhombus.add_gateway({.name = "Ears", .cameras = {lobby}});
  std::string door = rhombus.add_door({.name = "Main door", .cameras = {lobby}});
  std::string window = rhombus.add_door({.name = "Window", .is_sensor = true});

  Fixture() {
    rhombus.add_location("YardLocationAAAAAAAAAA", "The Yard");
    rhombus.start();
  }
  // That call fails from now on.
  void refuse(const std::string& path) {
    rhombus.intercept([=](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
      if (request.path != path) return std::nullopt;
      return fake_rhombus::Reply{403, R"({"error":true})", "application/json"};
    });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the organization's cameras, locations and doors are listed") {
  const Responder responder(rhombus,
                            fmt::format("[[associate]]\ndevices = [\"{}\"]\ncameras = [\"{}\"]\n", window, yard));
  const auto cameras = responder.command({"cameras"});
  CAPTURE(cameras.out, cameras.err);
  CHECK(cameras.status == 0);
  CHECK(lines(cameras.out) == 3);
  CHECK(has(cameras.out, "Lobby  " + lobby + "  online   Headquarters  v0 Left, v1 Right"));
  CHECK(has(cameras.out, "Ears"));
  CHECK(has(cameras.out, "Yard   " + yard + "  offline  The Yard"));
  CHECK(has(responder.command({"cameras", "--json"}).out, R"("facets":[{"facet":"v0","name":"Left"})"));
  CHECK(has(responder.command({"locations"}).out, "The Yard      YardLocationAAAAAAAAAA  1"));
  const auto doors = responder.command({"doors"});
  CAPTURE(doors.out);
  CHECK(has(doors.out, "Main door  " + door + "  access-controlled  Headquarters  Lobby"));
  CHECK(has(doors.out, "Window     " + window + "  sensor             Headquarters  Yard ([[associate]])"));
  CHECK(lines(responder.command({"doors", "--json"}).out) == 2);
}

TEST_CASE_METHOD(Fixture, "a list that cannot be had is said in a line and stops no other") {
  const Responder responder(rhombus);
  refuse("/api/component/findAccessControlledDoors");
  const auto doors = responder.command({"doors"});
  CHECK(doors.status == 1);
  CHECK(has(doors.err, "access-controlled doors cannot be listed: "));
  CHECK(has(doors.out, "Window"));
  refuse("/api/location/getLocations");
  const auto cameras = responder.command({"cameras"});
  CHECK(cameras.status == 1);
  CHECK(has(cameras.out, "YardLocationAAAAAAAAAA"));
  CHECK(responder.command({"cameras"}, {{"RHOMBUS_RESPONDER_RHOMBUS_API_KEY", "wrong"}}).status == 3);
}

TEST_CASE_METHOD(Fixture, "a camera or a location that is not there is no success") {
  const Responder responder(rhombus);
  rhombus.add_alert(
      {.uuid = "AlertLobbyAAAAAAAAAAAA", .device = lobby, .timestamp_ms = now_ms() - 600'000, .duration_s = 2});
  rhombus.add_alert(
      {.uuid = "AlertYardAAAAAAAAAAAAA", .device = yard, .timestamp_ms = now_ms() - 600'000, .duration_s = 2});
  const auto planned = responder.command({"catch-up", "--dry-run", "--camera", "lob"});
  CAPTURE(planned.out, planned.err);
  CHECK(planned.status == 0);
  CHECK(has(planned.out, "AlertLobbyAAAAAAAAAAAA"));
  CHECK_FALSE(has(planned.out, "AlertYardAAAAAAAAAAAAA"));
  const auto unaccounted = responder.command({"reconcile", "--after", "-1h", "--camera", "Lobby"});
  CHECK(unaccounted.status == 1);
  CHECK(has(unaccounted.out, "AlertLobbyAAAAAAAAAAAA"));
  for (const auto& command :
       std::vector<std::vector<std::string>>{{"reconcile", "--after", "-1h"}, {"catch-up"}, {"backup"}}) {
    auto words = command;
    words.insert(words.end(), {"--camera", "Lobbi"});
    const auto mistyped = responder.command(words);
    CAPTURE(words, mistyped.err);
    CHECK(mistyped.status == 2);
    CHECK(has(mistyped.err, "--camera: Rhombus lists no camera 'Lobbi'; did you mean 'Lobby'?"));
    words = command;
    words.insert(words.end(), {"--location", "Headquarter5"});
    const auto nowhere = responder.command(words);
    CHECK(nowhere.status == 2);
    CHECK(has(nowhere.err, "--location: Rhombus lists no location 'Headquarter5'; did you mean 'Headquarters'?"));
  }
  // Where names of locations may not be read, their UUIDs do.
  refuse("/api/location/getLocations");
  CHECK(responder.command({"reconcile", "--after", "-1h", "--location", "YardLocationAAAAAAAAAA"}).status == 1);
  CHECK(responder.command({"reconcile", "--after", "-1h", "--location", "The Yard"}).status == 2);
  CHECK(responder
            .command({"reconcile", "--after", "-1h", "--camera", "Lobby"},
                     {{"RHOMBUS_RESPONDER_RHOMBUS_API_KEY", "wrong"}})
            .status == 3);
}

TEST_CASE_METHOD(Fixture, "check names what the filter names and Rhombus does not have") {
  rhombus.add_alert({.uuid = "AlertLobbyAAAAAAAAAAAA",
                     .device = lobby,
                     .timestamp_ms = now_ms() - 600'000,
                     .duration_s = 2,
                     .triggers = {"MOTION_HUMAN"}});
  const auto check = [&](const std::string& filter) {
    return Responder(rhombus, "[filter]\n" + filter).command({"check"});
  };
  auto said = check("activities = [\"MOTION\"]\n");
  CAPTURE(said.out);
  CHECK(said.status == 1);
  CHECK(has(said.out,
            "WRONG  rules     filter.activities: no alert of the last days had MOTION; there were MOTION_HUMAN"));
  said = check("activities = [\"MOTION_HUMN\", \"MOTION_HUMAN\"]\n");
  CHECK_FALSE(has(said.out, "WRONG  rules"));
  CHECK(has(said.out,
            "note   rules     filter.activities: 'MOTION_HUMN' is no activity of Rhombus that is known here; did you "
            "mean MOTION_HUMAN?"));
  said = check("locations = [\"YardLocationAAAAAAAAAB\"]\n");
  CHECK(said.status == 1);
  CHECK(has(said.out,
            "WRONG  rules     filter.locations names YardLocationAAAAAAAAAB, which is no location of the "
            "organization; did you mean 'YardLocationAAAAAAAAAA'?"));
  CHECK(has(said.out, "the filter lets no camera through"));
  said = check(fmt::format("locations = [\"YardLocationAAAAAAAAAA\"]\ncameras = [\"{}\"]\n", yard));
  CHECK_FALSE(has(said.out, "WRONG  rules"));
  CHECK(has(said.out, "ok     rules     the cameras and locations that they and the filter name are there"));
}

TEST_CASE_METHOD(Fixture, "check names devices of associations that Rhombus does not list") {
  const auto check = [&](const std::string& devices) {
    return Responder(rhombus, fmt::format("[[associate]]\ndevices = [{}]\ncameras = [\"{}\"]\n", devices, yard))
        .command({"check"});
  };
  auto said = check(fmt::format("\"{}\", \"{}\"", door, window));
  CAPTURE(said.out);
  CHECK(has(said.out, "ok     rules     the devices that [[associate]] names are there"));
  auto slip = window;
  slip.back() = slip.back() == 'A' ? 'B' : 'A';
  said = check(fmt::format("\"{}\"", slip));
  CHECK(said.status == 1);
  CHECK(has(said.out, "WRONG  rules     [[associate]] number 1: devices names " + slip));
  said = check("\"XkbUttonQ7pZr2W9vLs3Tz\"");
  CHECK(has(said.out, "note   rules     [[associate]] number 1: devices names XkbUttonQ7pZr2W9vLs3Tz"));
  refuse("/api/door/getMinimalDoorStateList");
  said = check("\"XkbUttonQ7pZr2W9vLs3Tz\"");
  CHECK(has(said.out, "note   rules     the devices of [[associate]] are not checked: "));
}

TEST_CASE_METHOD(Fixture, "a webhook is taken from Rhombus with its secret, and nobody else's") {
  const std::string ours = "https://door.example.com/webhook/rhombus";
  rhombus.add_webhook("https://theirs.example.com/x?key=hidden", "theirs");
  const Responder responder(rhombus);
  const auto store = responder.folder() / "state/webhook-secrets";
  REQUIRE(responder.command({"webhook", "register", "--url", ours}).status == 0);
  REQUIRE(lines_of(store).size() == 1);
  const auto mistyped =
      responder.command({"webhook", "unregister", "--url", "https://door.example.com/webhook/rhombu"});
  CHECK(mistyped.status == 2);
  CHECK(has(mistyped.err, "did you mean '" + ours + "'?"));
  CHECK_FALSE(has(mistyped.err, "hidden"));
  const auto gone = responder.command({"webhook", "unregister", "--url", ours});
  CAPTURE(gone.out, gone.err);
  CHECK(gone.status == 0);
  CHECK(has(gone.out, "its secret is forgotten in "));
  CHECK(lines_of(store).empty());
  const auto shown = responder.command({"webhook", "show"}).out;
  CHECK(lines(shown) == 1);
  CHECK(has(shown, "https://theirs.example.com/x"));
  CHECK(responder.command({"webhook", "unregister", "--url", ours}).status == 2);
}

TEST_CASE_METHOD(Fixture, "a URL that no cloud reaches is registered with a warning that says how to take it back") {
  const Responder responder(rhombus);
  const auto registered =
      responder.command({"webhook", "register", "--url", "https://192.168.1.5:8443/webhook/rhombus"});
  CHECK(registered.status == 0);
  CHECK(has(registered.err, "192.168.1.5 is a private address, which Rhombus's cloud does not reach"));
  CHECK(has(registered.err, "webhook unregister --url https://192.168.1.5:8443/webhook/rhombus"));
  CHECK_FALSE(has(responder.command({"webhook", "register", "--url", "https://door.example.com/webhook/rhombus"}).err,
                  "does not reach"));
  CHECK(responder.command({"webhook", "unregister", "--url", "https://192.168.1.5:8443/webhook/rhombus"}).status ==
        0);
}

TEST_CASE_METHOD(Fixture, "check says when somebody has taken away at Rhombus what was registered here") {
  const Responder responder(rhombus);
  REQUIRE(responder.command({"webhook", "register", "--url", "https://door.example.com/webhook/rhombus"}).status ==
          0);
  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path != "/api/integrations/webhooks/getWebhookIntegration") return std::nullopt;
    return fake_rhombus::Reply{200, R"({"orgIntegrationV2":{"enabled":true,"activityWebhooksV2":{}}})",
                               "application/json"};
  });
  const auto said = responder.command({"check"});
  CAPTURE(said.out);
  CHECK(said.status == 1);
  CHECK(
      has(said.out, "WRONG  webhooks  webhook register was run here, and Rhombus has none of its webhooks any more"));
}

TEST_CASE_METHOD(Fixture, "a hook is tried with a sample before the first alert") {
  const Responder responder(
      rhombus,
      "[[hook]]\nname = \"gate\"\ncommand = [\"/bin/sh\", \"-c\", \"grep -o '.event.:.test.'\"]\n"
      "[[hook]]\nname = \"broken\"\ncommand = [\"/bin/sh\", \"-c\", \"echo no such gate; exit 3\"]\n"
      "[[hook]]\nname = \"post\"\nurl = \"https://127.0.0.1:1/x\"\nsecret = \"whsec_a2V5\"\n");
  const auto told = responder.command({"hook", "test", "gate"});
  CAPTURE(told.out, told.err);
  CHECK(told.status == 0);
  CHECK(has(told.out, "exit status 0\n\"event\":\"test\"\n"));
  const auto refused = responder.command({"hook", "test", "broken"});
  CHECK(refused.status == 1);
  CHECK(has(refused.out, "exit status 3\nno such gate\n"));
  CHECK(has(refused.err, "rhombus-responder: hook broken: "));
  CHECK(responder.command({"hook", "test", "post"}).status == 1);
  const auto unknown = responder.command({"hook", "test", "gat"});
  CHECK(unknown.status == 2);
  CHECK(has(unknown.err, "no [[hook]] is named 'gat'; did you mean gate?"));
}

TEST_CASE_METHOD(Fixture, "an alert is found by its clip's name, and by its id as the name has it") {
  Responder responder(rhombus);
  responder.start();
  const std::string alert = "yUL8-eMUB3_NtY3rz28H-Q";
  responder.wait_until_done(responder.alert(lobby, now_ms() - 60'000, 2, alert));
  const auto event = responder.events().at(0);
  REQUIRE(has(event.clip, "yUL8eMUB3NtY3rz28HQ"));
  const auto shown = responder.command({"show", event.clip});
  CAPTURE(shown.out, shown.err);
  CHECK(shown.status == 0);
  CHECK(shown.out.starts_with("alert " + alert + "\nLobby (" + lobby + "): done\n"));
  CHECK(has(shown.out, (responder.clips() / event.clip).string()));
  CHECK(has(responder.command({"show", alert, "--json"}).out, R"("deliveries":[]})"));
  const auto held = responder.command({"hold", "yUL8eMUB3NtY3rz28HQ"});
  CHECK(held.status == 0);
  CHECK(held.out == alert + ": 1 capture is held\n");
  CHECK(has(responder.command({"events", "--held"}).out, "done, held"));
  CHECK(has(responder.command({"show", alert}).out, "): done, held\n"));
  const auto to = (responder.folder() / "evidence").string();
  CHECK(responder.command({"export", (responder.clips() / event.clip).string(), "--to", to}).status == 0);
  CHECK(responder.command({"release", event.clip}).status == 0);
  CHECK(responder.command({"events", "--held"}).out.empty());
  // One mistyped of several: nothing is changed.
  for (const auto* command : {"hold", "release", "retry", "show"}) {
    auto words = std::vector<std::string>{command, "yUL8-eMUB3_NtY3rz28H-X"};
    if (std::string(command) != "show") words.push_back(alert);
    const auto unknown = responder.command(words);
    CAPTURE(words, unknown.err);
    CHECK(unknown.status == 2);
    CHECK(has(unknown.err, "is not in the journal; did you mean " + alert + "?"));
  }
  CHECK(responder.command({"events", "--held"}).out.empty());
}

TEST_CASE_METHOD(Fixture, "a capture that waits is shown and found by its camera's name") {
  Responder responder(rhombus);
  responder.start();
  responder.wait_until_done(responder.alert(lobby, now_ms() - 60'000, 2));
  // Its footage is still to be recorded for an hour.
  const auto waiting = responder.alert(lobby, now_ms(), 3600);
  const auto found = responder.command({"events", "--camera", "lobby", "--json"});
  CAPTURE(found.out);
  CHECK(lines(found.out) == 2);
  CHECK(has(found.out, waiting));
  const auto first = found.out.substr(0, found.out.find('\n'));
  CHECK(has(first, R"("camera_name":"Lobby")"));
  CHECK(responder.command({"events", "--camera", "nosuch"}).status == 2);
}
