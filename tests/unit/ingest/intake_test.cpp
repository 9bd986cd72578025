#include "responder/ingest/intake.hpp"

#include <catch2/catch.hpp>

#include "responder/journal/journal.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::ingest;
using namespace std::chrono_literals;

namespace {

const WallTime now(1'700'000'000s);

rhombus::Alert alert() {
  rhombus::Alert made;
  made.id = AlertId("A1");
  made.device = DeviceId("C1");
  made.location = LocationId("L1");
  made.activities = {"MOTION_HUMAN"};
  made.cameras = {
      {.camera = DeviceId("C1"), .at = now - 10s + 250ms, .duration = 20s, .activities = {"MOTION_HUMAN"}}};
  return made;
}

std::vector<journal::NewCapture> plan(const rhombus::Alert& alert, const IntakePolicy& policy = {}) {
  return plan_captures(alert, policy, journal::Via::webhook, now);
}

}  // namespace

TEST_CASE("the window is the alert with its buffer, widened to whole seconds") {
  const auto captures = plan(alert());
  REQUIRE(captures.size() == 1);
  CHECK(WallTime(captures[0].window_start) == now - 40s);
  CHECK(WallTime(captures[0].window_end) == now + 41s);
  CHECK(captures[0].ignored_reason.empty());
}

TEST_CASE("what an alert leaves out has a default") {
  auto bare = alert();
  bare.cameras[0].at.reset();
  bare.cameras[0].duration.reset();
  CHECK(WallTime(plan(bare)[0].window_start) == now - 30s);
  CHECK(WallTime(plan(bare)[0].window_end) == now + 150s);
  bare.cameras[0].duration = 0s;
  const auto no_buffer = plan(bare, {.buffer = 0s});
  CHECK(no_buffer[0].window_end - no_buffer[0].window_start == 1s);
  bare.cameras[0].duration = 365 * 24h;
  CHECK(plan(bare)[0].window_end - plan(bare)[0].window_start <= 24h + 1min);
}

TEST_CASE("several events on a camera are one window, the last one's duration included") {
  auto two = alert();
  two.cameras[0] = {
      .camera = DeviceId("C1"), .at = now - 60s, .last_at = now - 57s, .duration = {}, .activities = {}};
  const auto captures = plan(two);
  CHECK(WallTime(captures[0].window_start) == now - 90s);
  CHECK(WallTime(captures[0].window_end) == now - 57s + 120s + 30s);
}

TEST_CASE("what is not to be captured is written down as ignored, with its reason") {
  const auto reason = [](const rhombus::Alert& one, const IntakePolicy& policy = {}) {
    const auto captures = plan(one, policy);
    REQUIRE(captures.size() == 1);
    return captures[0].ignored_reason;
  };
  auto diagnostic = alert();
  diagnostic.diagnostic = true;
  CHECK(reason(diagnostic) == "diagnostic");
  auto sensor = alert();
  sensor.cameras.clear();
  CHECK(reason(sensor) == "no camera");
  auto future = alert();
  future.cameras[0].at = now + 2h;
  CHECK(reason(future) == "in the future");
  auto old = alert();
  old.cameras[0].at = now - 8 * 24h;
  CHECK(reason(old, {.max_age = 7 * 24h}) == "too old");
  CHECK(reason(old, {.max_age = 9 * 24h}).empty());
  CHECK(reason(old).empty());
  CHECK(plan_captures(old, {.max_age = 7 * 24h}, journal::Via::catch_up, now).at(0).ignored_reason.empty());
  CHECK(reason(alert(), {.cameras = {"C2"}}) == "filtered: camera");
  CHECK(reason(alert(), {.locations = {"L2"}}) == "filtered: location");
  CHECK(reason(alert(), {.activities = {"FACE"}}) == "filtered: activity");
  CHECK(reason(alert(), {.cameras = {"C1"}, .locations = {"L1"}, .activities = {"MOTION_HUMAN"}}).empty());
}

TEST_CASE("each camera of an alert is its own capture, those filtered out are none") {
  auto several = alert();
  several.cameras.push_back({.camera = DeviceId("C2"), .at = now, .duration = 5s, .activities = {}});
  several.cameras.push_back({.camera = DeviceId("C3"), .at = now, .duration = 5s, .activities = {}});
  CHECK(plan(several).size() == 3);
  const auto some = plan(several, {.cameras = {"C2", "C3"}});
  REQUIRE(some.size() == 2);
  CHECK(some[0].activities == several.activities);
}

TEST_CASE("the cameras of a device that is none are those that Rhombus or the owner names") {
  const auto cameras = [](const rhombus::Alert& one, const IntakePolicy& policy) {
    std::string names;
    for (const auto& capture : plan(one, policy))
      names += (names.empty() ? "" : " ") + capture.camera.str() +
               (capture.ignored_reason.empty() ? "" : ": " + capture.ignored_reason);
    return names;
  };
  const IntakePolicy both{.cameras_of_device = {{DeviceId("D1"), {DeviceId("C5"), DeviceId("C6")}}},
                          .cameras_of_location = {{LocationId("L1"), {DeviceId("C7")}}}};
  auto door = alert();
  door.device = DeviceId("D1");
  door.cameras.clear();
  door.at = now - 10s;
  door.duration = 4s;
  CHECK(cameras(door, {}) == "D1: no camera");
  CHECK(cameras(door, both) == "C5 C6");
  CHECK(plan(door, both)[1].duration == 4s);
  CHECK(plan(door, both)[1].duration_is_told);
  CHECK(WallTime(plan(door, both)[1].window_start) == now - 40s);
  CHECK(plan(door, both)[1].activities == door.activities);

  auto seen = door;  // by a camera that Rhombus knows of
  seen.cameras = {{.camera = DeviceId("C1"), .at = door.at, .duration = door.duration, .activities = {}}};
  CHECK(cameras(seen, both) == "C1 C5 C6");
  auto other = door;
  other.device = DeviceId("D2");
  CHECK(cameras(other, both) == "C7");
  auto other_seen = seen;
  other_seen.device = DeviceId("D2");
  CHECK(cameras(other_seen, both) == "C1");
  auto elsewhere = other;
  elsewhere.location = LocationId("L2");
  CHECK(cameras(elsewhere, both) == "D2: no camera");

  // A rule action does not say what its devices are.
  auto rule_action = alert();
  rule_action.device = DeviceId("D1");
  rule_action.cameras = {{.camera = DeviceId("D1"), .at = now, .duration = {}, .activities = {}},
                         {.camera = DeviceId("C6"), .at = now, .duration = {}, .activities = {}}};
  CHECK(cameras(rule_action, both) == "C5 C6");

  // Filters are for what Rhombus names.
  auto filtered = both;
  filtered.cameras = {"C1"};
  CHECK(cameras(door, filtered) == "C5 C6");
  filtered.locations = {"L2"};
  CHECK(cameras(door, filtered) == "D1: filtered: location");
  filtered.locations.clear();
  filtered.activities = {"FACE"};
  CHECK(cameras(door, filtered) == "D1: filtered: activity");
}

TEST_CASE("the captures of an alert take the place of the row that said there were none") {
  CHECK(plan(alert())[0].instead_of.empty());
  auto door = alert();
  door.device = DeviceId("D1");
  door.cameras.push_back({.camera = DeviceId("C2"), .at = now, .duration = {}, .activities = {}});
  CHECK(plan(door)[0].instead_of == DeviceId("D1"));
  CHECK(plan(door)[1].instead_of.empty());
}

TEST_CASE("rules give each camera its buffer, and cameras beside it") {
  IntakePolicy policy;
  policy.rules = [](const DeviceId& camera, const LocationId& location, const std::vector<std::string>& activities) {
    CHECK(location == LocationId("L1"));
    const bool duress = activities == std::vector<std::string>{"DURESS"};
    if (duress) return CameraRules{300s, {DeviceId("C2"), DeviceId("C3")}};
    return CameraRules{camera == DeviceId("C9") ? 5s : 30s};
  };
  CHECK(plan(alert(), policy).size() == 1);
  auto duress = alert();
  duress.cameras[0].activities = {"DURESS"};
  duress.cameras[0].clip_region = "us-west-2";
  const auto three = plan(duress, policy);
  REQUIRE(three.size() == 3);
  for (const auto& capture : three) {
    CHECK(WallTime(capture.window_start) == now - 310s);
    CHECK(WallTime(capture.window_end) == now + 311s);
    CHECK(capture.activities == std::vector<std::string>{"DURESS"});
  }
  CHECK(three[1].camera == DeviceId("C2"));
  CHECK(three[0].clip_region == "us-west-2");
  CHECK(three[1].clip_region.empty());

  // Once each, over all that is wanted of it; what was named on purpose passes the filter.
  duress.cameras.push_back({.camera = DeviceId("C3"), .at = now + 60s, .duration = 10s, .activities = {"FACE"}});
  duress.cameras.push_back({.camera = DeviceId("C9"), .at = now, .duration = 10s, .activities = {"FACE"}});
  const auto four = plan(duress, policy);
  REQUIRE(four.size() == 4);
  CHECK(four[1].camera == DeviceId("C3"));
  CHECK(four[1].activities == std::vector<std::string>{"FACE"});
  CHECK(WallTime(four[1].window_start) == now - 310s);
  CHECK(WallTime(four[1].window_end) == now + 371s);
  CHECK(WallTime(four[2].window_start) == now - 5s);
  policy.cameras = {"C1"};
  CHECK(plan(duress, policy).size() == 3);
  policy.cameras = {"C8"};
  CHECK(plan(duress, policy).at(0).ignored_reason == "filtered: camera");
}

TEST_CASE("the intake answers when it is on disk, and wakes the workers once") {
  const test::TempFolder folder;
  journal::Writer writer(*journal::Journal::open(folder / "j.db", journal::Journal::Mode::read_write), 100);
  std::vector<journal::CaptureId> woken;
  Intake intake({}, writer, [&](journal::CaptureId id, bool) { woken.push_back(id); });
  std::vector<Answer::Kind> answers;
  const auto note = [&](Result<Answer> answer) {
    REQUIRE(answer);
    answers.push_back(answer->kind);
  };
  intake.accept(alert(), journal::Via::webhook, now, note);
  intake.accept(alert(), journal::Via::webhook, now + 5s, note);
  auto more = alert();
  more.cameras.push_back({.camera = DeviceId("C2"), .at = now, .duration = 5s, .activities = {}});
  intake.accept(more, journal::Via::catch_up, now + 5s, note);
  auto diagnostic = alert();
  diagnostic.id = AlertId("A2");
  diagnostic.diagnostic = true;
  intake.accept(diagnostic, journal::Via::webhook, now, note);
  writer.stop();
  CHECK(answers ==
        std::vector{Answer::Kind::accepted, Answer::Kind::duplicate, Answer::Kind::accepted, Answer::Kind::ignored});
  CHECK(woken.size() == 2);
}
