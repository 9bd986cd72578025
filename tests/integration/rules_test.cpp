// [[associate]] and [[rule]]: which cameras an alert is captured on, and how.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "clip_checks.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using namespace std::chrono_literals;

namespace {

constexpr int buffer = 2;  // the Responder's own
const std::string door = "DoorAAAAAAAAAAAAAAAAAA";

struct Fixture {
  FakeRhombus rhombus;
  std::string front = rhombus.add_camera({.name = "Front", .video = small});
  std::string back = rhombus.add_camera({.name = "Back", .video = small});

  Fixture() { rhombus.start(); }

  // At an even second, some while ago.
  static std::int64_t moment() { return some_time_ago(120); }

  // Its webhook comes, and Rhombus lists it only then: the catch-up at the start must not be first.
  std::string door_opens(const Responder& responder, const std::string& answered) {
    at_ = moment();
    const auto alert = fake_rhombus::random_uuid();
    const auto answer = fake_rhombus::send_webhook(responder.url(), fake_rhombus::sensor_body(alert, door, at_, 4),
                                                   responder.secret(), false);
    CHECK(answer.status == 200);
    CHECK(answer.body == answered);
    rhombus.set_alert({.uuid = alert,
                       .device = door,
                       .timestamp_ms = at_,
                       .duration_s = 4,
                       .triggers = {"DOOR_AJAR"},
                       .of_sensor = true});
    return alert;
  }
  std::string raise(const Responder& responder, const std::string& camera, const std::string& activity,
                    std::int64_t at) {
    const auto alert = fake_rhombus::random_uuid();
    const auto answer = fake_rhombus::send_webhook(
        responder.url(), fake_rhombus::organization_body(alert, camera, at, 4, activity), responder.secret(), false);
    CHECK(answer.body == R"({"status":"accepted"})");
    return alert;
  }
  std::int64_t at_ = 0;
};

Event capture_of(const Responder& responder, const std::string& alert, const std::string& camera,
                 const std::string& state = "done") {
  return responder.wait_for(alert, [&](const Event& e) { return e.camera == camera && e.state == state; });
}

std::size_t captures_of(const Responder& responder, const std::string& alert) {
  const auto events = responder.events();
  return static_cast<std::size_t>(
      std::count_if(events.begin(), events.end(), [&](const Event& e) { return e.alert == alert; }));
}

void add_to_config(const Responder& responder, const std::string& toml) {
  std::ofstream(responder.config(), std::ios::app) << toml;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE_METHOD(Fixture, "a door's alert is captured by the cameras associated with it, and with nothing else") {
  Responder responder(
      rhombus, fmt::format("[[associate]]\ndevices = [\"{}\"]\ncameras = [\"{}\", \"{}\"]\n", door, front, back));
  responder.start();
  const auto alert = door_opens(responder, R"({"status":"accepted"})");
  for (const auto& camera : {front, back}) {
    const auto event = capture_of(responder, alert, camera);
    CHECK(event.window_start == at_ / 1000 - buffer);
    CHECK(event.window_end == at_ / 1000 + 4 + buffer);
    check_clip(responder, rhombus, event);
  }
  const auto again = responder.command({"catch-up"});
  CHECK(again.status == 0);
  CHECK(again.out.empty());  // nothing to do
  CHECK(captures_of(responder, alert) == 2);
  const auto balance = responder.command({"reconcile", "--after", "-1h"});
  CAPTURE(balance.out);
  CHECK(balance.status == 0);
  CHECK(has(balance.out, "known 2 = 2 done + 0 partial + 0 failed + 0 ignored"));

  CHECK(has(responder.command({"check"}).out, "ok     rules"));
  add_to_config(responder, "[[rule]]\nlayout = \"flat\"\ncameras = [\"Nobody\"]\n");
  CHECK(has(responder.command({"check"}).out, "WRONG  rules     [[rule]] number 1: cameras names Nobody"));
}

TEST_CASE_METHOD(Fixture, "an alert that no camera saw becomes work when the configuration says which one did") {
  Responder responder(rhombus, "[catch_up]\ninterval_seconds = 0\n");
  responder.start();
  const auto alert = door_opens(responder, R"({"status":"ignored","reason":"no camera"})");
  CHECK(responder.wait_for(alert, [](const Event& e) { return e.state == "ignored"; }).camera == door);
  CHECK(responder.stop(SIGTERM) == 0);

  add_to_config(responder,
                fmt::format("[[associate]]\nlocations = [\"LocationAAAAAAAAAAAAAA\"]\ncameras = [\"{}\"]\n", front));
  CHECK(has(responder.command({"catch-up", "--dry-run"}).out, "1 captures would be taken"));
  const auto pass = responder.command({"catch-up"});
  CAPTURE(pass.out, pass.err);
  CHECK(pass.status == 0);
  const auto events = responder.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].camera == front);
  CHECK(events[0].state == "done");
  CHECK(has(responder.command({"reconcile", "--after", "-1h"}).out, "known 1 = 1 done"));
}

TEST_CASE_METHOD(Fixture, "a duress alert keeps more around it, and the neighbouring cameras as well") {
  Responder responder(
      rhombus, fmt::format("[filter]\ncameras = [\"{}\"]\n[[rule]]\nactivities = [\"DURESS\"]\nbuffer_seconds = "
                           "20\nextra_cameras = [\"{}\"]\n",
                           front, back));
  responder.start();
  const auto at = moment();
  const auto duress = raise(responder, front, "DURESS", at);
  const auto motion = raise(responder, front, "MOTION_HUMAN", at - 60'000);
  for (const auto& camera : {front, back}) {
    const auto event = capture_of(responder, duress, camera);
    CHECK(event.window_start == at / 1000 - 20);
    CHECK(event.window_end == at / 1000 + 24);
    CHECK(has(event.clip, "DURESS"));
    check_clip(responder, rhombus, event);
  }
  CHECK(capture_of(responder, motion, front).window_end == at / 1000 - 60 + 4 + buffer);
  CHECK(captures_of(responder, motion) == 1);
}

TEST_CASE_METHOD(Fixture, "the first rule that gives a layout decides where a clip stands") {
  Responder responder(
      rhombus,
      fmt::format("[[rule]]\ncameras = [\"{0}\"]\nlayout = \"by-camera\"\n[[rule]]\nlayout = \"by-date\"\n", front));
  responder.start();
  const auto at = moment();
  const auto of_front = capture_of(responder, raise(responder, front, "MOTION_HUMAN", at), front);
  const auto of_back = capture_of(responder, raise(responder, back, "MOTION_HUMAN", at), back);
  CHECK(of_front.clip.starts_with("Front_" + front + "/"));
  CHECK(std::count(of_back.clip.begin(), of_back.clip.end(), '/') == 3);
  check_clip(responder, rhombus, of_front);
  check_clip(responder, rhombus, of_back);
}

TEST_CASE_METHOD(Fixture, "a better clip moves to where the rules have come to want it") {
  Responder responder(rhombus);
  responder.start();
  const auto alert = fake_rhombus::random_uuid();
  const auto at = moment();
  const auto list_it = [&](int duration_s) {
    rhombus.set_alert({.uuid = alert, .device = front, .timestamp_ms = at, .duration_s = duration_s});
  };
  list_it(4);
  responder.alert(front, at, 4, alert);
  const auto flat = responder.wait_until_done(alert).clip;
  CHECK(responder.stop(SIGTERM) == 0);

  add_to_config(responder, "[[rule]]\nlayout = \"by-date\"\n");
  list_it(8);
  responder.start();
  const auto grown = responder.wait_for(alert, [&](const Event& e) { return e.state == "done" && e.clip != flat; });
  CHECK(grown.window_end == at / 1000 + 8 + buffer);
  check_clip(responder, rhombus, grown);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (std::filesystem::exists(responder.clips() / flat)) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(10ms);
  }
}

TEST_CASE_METHOD(Fixture, "a capture goes by the ways that its rule allows, whatever another one has fetched") {
  FakeRhombus far;
  const auto camera = far.add_camera({.name = "Far", .video = small, .lan = false});
  far.start();
  Responder responder(far, "[[rule]]\nactivities = [\"MOTION_HUMAN\"]\nconnection = \"lan\"\n");
  responder.start();
  const auto at = moment();
  const auto bound = raise(responder, camera, "MOTION_HUMAN", at);
  const auto waits = responder.wait_for(bound, [](const Event& e) { return !e.reason.empty(); });
  CHECK(has(waits.reason, "no LAN way"));
  CHECK(capture_of(responder, raise(responder, camera, "DURESS", at), camera).source == "wan");
  // What is there now is another's.
  const auto again = responder.wait_for(bound, [&](const Event& e) { return e.attempts > waits.attempts; });
  CHECK(again.clip.empty());
  CHECK(has(again.reason, "no LAN way"));
}
