// What names stand for, and what became of deliveries.
#include <catch2/catch.hpp>

#include "responder/journal/journal.hpp"

using namespace responder;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

struct Fixture {
  Journal journal = *Journal::in_memory();

  CaptureId take(const std::string& alert, const std::string& camera,
                 const std::vector<std::string>& activities = {}) {
    NewCapture made;
    made.alert = AlertId(alert);
    made.camera = DeviceId(camera);
    made.activities = activities;
    made.received_at = t0;
    made.alert_at = t0;
    made.duration = 10s;
    made.window_start = std::chrono::floor<std::chrono::seconds>(t0);
    made.window_end = made.window_start + 10s;
    return journal.accept(made)->id;
  }
  CaptureId publish(const std::string& alert, const std::string& camera, const std::string& name,
                    const std::string& clip) {
    const auto id = take(alert, camera);
    REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
    REQUIRE(journal.finish(id, "me",
                           {.state = State::done,
                            .reason = "",
                            .camera_name = name,
                            .published = Published{clip, "lan", 100, "ab", {}, {}},
                            .next_attempt_at = {},
                            .window_end = std::chrono::floor<std::chrono::seconds>(t0) + 10s},
                           t0 + 1h));
    return id;
  }
  std::vector<std::string> alerts_of(const Filter& filter) {
    std::vector<std::string> alerts;
    REQUIRE(journal.each(filter, [&](const Capture& capture) { alerts.push_back(capture.alert.str()); }));
    return alerts;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a camera's name is what its newest capture with one tells") {
  publish("a1", "c1", "Old name", "1.mp4");
  publish("a2", "c1", "Lobby", "2.mp4");
  take("a3", "c1");
  take("a4", "c2");
  const auto cameras = journal.cameras();
  REQUIRE(cameras);
  REQUIRE(cameras->size() == 2);
  CHECK((*cameras)[0].id.str() == "c1");
  CHECK((*cameras)[0].name == "Lobby");
  CHECK((*cameras)[1].name.empty());
  CHECK(journal.camera_names(100)->at(DeviceId("c1")) == "Lobby");
  CHECK(journal.camera_names(2)->empty());  // too few to look at
  // Captures that wait are found by the name that earlier ones have.
  CHECK(alerts_of({.camera = "lobby"}) == std::vector<std::string>{"a3", "a2"});
  CHECK(alerts_of({.camera = "c2"}) == std::vector<std::string>{"a4"});
  CHECK(alerts_of({.camera = "dock"}).empty());
}

TEST_CASE_METHOD(Fixture, "activities, held clips and files are found") {
  take("a1", "c1", {"MOTION_HUMAN", "FACE"});
  take("a2", "c1", {"FACE"});
  CHECK(*journal.activities() == std::vector<std::string>{"MOTION_HUMAN", "FACE"});
  publish("a3", "c1", "Cam", "2024/01/01/x.mp4");
  publish("a4", "c1", "Cam", "x.mp4");
  publish("a5", "c1", "Cam", "xx.mp4");
  CHECK(journal.captures_of_file("x.mp4")->size() == 2);
  CHECK(journal.captures_of_file("xx.mp4")->size() == 1);
  CHECK(journal.captures_of_file("%.mp4")->empty());
  REQUIRE(journal.transaction([&]() -> Result<void> {
    const auto held = journal.set_held(AlertId("a3"), true);
    return held ? Result<void>{} : held.error();
  }));
  CHECK(alerts_of({.held = true}) == std::vector<std::string>{"a3"});
  CHECK(alerts_of({.held = false}).size() == 4);
}

TEST_CASE_METHOD(Fixture, "what became of each delivery of a capture is told") {
  REQUIRE(journal.set_targets({{"gate", {State::done}}, {"log", {State::done}}}));
  const auto id = publish("a1", "c1", "Cam", "x.mp4");
  const auto to_gate = journal.next_delivery("gate", t0 + 1h);
  REQUIRE(journal.delivered((*to_gate)->id, t0 + 2h));
  const auto to_log = journal.next_delivery("log", t0 + 1h);
  REQUIRE(journal.not_delivered((*to_log)->id, "it is away", t0 + 3h, true));
  auto deliveries = journal.deliveries_of(id);
  REQUIRE(deliveries);
  REQUIRE(deliveries->size() == 2);
  CHECK((*deliveries)[0].target == "gate");
  CHECK((*deliveries)[0].delivered_at == t0 + 2h);
  CHECK((*deliveries)[1].next_at == t0 + 3h);
  CHECK((*deliveries)[1].reason == "it is away");
  CHECK((*deliveries)[1].attempts == 1);
  REQUIRE(journal.not_delivered((*to_log)->id, "for good", std::nullopt, true));
  deliveries = journal.deliveries_of(id);
  CHECK_FALSE((*deliveries)[1].next_at);
  CHECK_FALSE((*deliveries)[1].delivered_at);
  CHECK(journal.deliveries_of(id + 1)->empty());
}
