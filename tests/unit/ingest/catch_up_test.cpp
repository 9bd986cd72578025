#include "responder/ingest/catch_up.hpp"

#include <algorithm>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::ingest;
using namespace std::chrono_literals;

namespace {

// What Rhombus lists, in pages of three. It can fail at a page, or ignore the cursor.
class Rhombus {
 public:
  void add(const std::string& id, WallTime at, const std::string& camera = "C1",
           std::chrono::seconds duration = 10s) {
    rhombus::ListedAlert listed;
    listed.at = at;
    listed.alert.id = AlertId(id);
    listed.alert.device = DeviceId(camera);
    listed.alert.cameras = {
        {.camera = DeviceId(camera), .at = at, .duration = duration, .activities = {"MOTION_HUMAN"}}};
    alerts_.push_back(std::move(listed));
  }

  Result<rhombus::AlertPage> operator()(const rhombus::AlertQuery& query, std::stop_token) {
    ++calls;
    if (fail_at_call == calls) return Error{ErrorKind::transient, "down"};
    std::sort(alerts_.begin(), alerts_.end(), [](const auto& a, const auto& b) {
      return std::tie(a.at, a.alert.id.str()) > std::tie(b.at, b.alert.id.str());
    });
    rhombus::AlertPage page;
    for (const auto& one : alerts_) {
      if (query.after && one.at < *query.after) continue;
      if (query.before && one.at > *query.before) continue;
      const bool seen =
          query.cursor && std::tie(one.at, one.alert.id.str()) >= std::tie(query.cursor->at, query.cursor->id.str());
      if (seen && !ignores_cursor) continue;
      page.alerts.push_back(one);
      page.told.push_back({one.at, one.alert.id});
      if (page.alerts.size() == page_size) break;
    }
    return page;
  }

  std::size_t page_size = 3;
  int calls = 0;
  int fail_at_call = 0;
  bool ignores_cursor = false;

 private:
  std::vector<rhombus::ListedAlert> alerts_;
};

struct Fixture {
  test::TempFolder folder;
  test::ManualClock clock;
  journal::Writer writer{*journal::Journal::open(folder / "j.db", journal::Journal::Mode::read_write), 100};
  journal::Journal reader = *journal::Journal::open(folder / "j.db", journal::Journal::Mode::read_only);
  Intake intake{{}, writer, [](journal::CaptureId, bool) {}};
  Rhombus list;
  CatchUp catch_up{[this](const rhombus::AlertQuery& query, std::stop_token stop) { return list(query, stop); },
                   intake, writer, clock, 24h};

  WallTime ago(std::chrono::minutes time) const { return clock.wall_now() - time; }
  std::size_t rows() {
    std::size_t count = 0;
    REQUIRE(reader.each({.limit = 1000}, [&](const journal::Capture&) { ++count; }));
    return count;
  }
  std::string watermark() { return reader.fact("catch_up_watermark_ms")->value_or(""); }
  static std::string text(WallTime time) { return std::to_string(time.time_since_epoch().count()); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a pass goes through all pages and moves the watermark to the newest alert") {
  for (int i = 0; i < 8; ++i) list.add(fmt::format("A{}", i), ago(std::chrono::minutes(10 * i + 5)));
  list.add("too-old", ago(25h));
  const auto passed = catch_up.pass({}, {});
  REQUIRE(passed);
  CHECK(passed->added == 8);
  CHECK(passed->listing.pages == 4);
  CHECK(rows() == 8);
  CHECK(watermark() == text(ago(5min)));
  CHECK(catch_up.pass({}, {})->added == 0);
}

TEST_CASE_METHOD(Fixture, "a pass that fails leaves what it took, and the watermark where it was") {
  for (int i = 0; i < 8; ++i) list.add(fmt::format("A{}", i), ago(std::chrono::minutes(10 * i + 5)));
  list.fail_at_call = 2;
  CHECK_FALSE(catch_up.pass({}, {}));
  CHECK(rows() == 3);
  CHECK(watermark().empty());
  CHECK(catch_up.pass({}, {})->added == 5);
  CHECK(watermark() == text(ago(5min)));
}

TEST_CASE_METHOD(Fixture, "what appears late is found: soon within the overlap, else by a deep pass") {
  list.add("now", ago(1min));
  REQUIRE(catch_up.pass({}, {}));
  list.add("late", ago(50min));
  CHECK(catch_up.pass({.deep = false}, {})->added == 1);
  list.add("very-late", ago(20h));
  CHECK(catch_up.pass({.deep = false}, {})->added == 0);
  CHECK(catch_up.pass({.deep = true}, {})->added == 1);
}

TEST_CASE_METHOD(Fixture, "a pass over a part does not move the watermark") {
  list.add("a", ago(5min));
  list.add("b", ago(10min), "C2");
  REQUIRE(catch_up.pass({.max_alerts = 1}, {}));
  REQUIRE(catch_up.pass({.after = ago(7min)}, {}));
  REQUIRE(catch_up.pass({.before = ago(7min)}, {}));
  REQUIRE(catch_up.pass({.camera = DeviceId("C2")}, {}));
  CHECK(rows() == 2);
  CHECK(watermark().empty());
  REQUIRE(catch_up.pass({.after = ago(48h)}, {}));
  CHECK(watermark() == text(ago(5min)));
  CHECK(catch_up.pass({.camera = DeviceId("C3"), .deep = true}, {})->added == 0);
}

TEST_CASE_METHOD(Fixture, "after a long silence nothing is passed over") {
  list.add("before", ago(5min));
  REQUIRE(catch_up.pass({}, {}));
  clock.advance(10 * 24h);
  list.add("meanwhile", ago(8 * 24h));
  CHECK(catch_up.pass({.deep = false}, {})->added == 1);
}

TEST_CASE_METHOD(Fixture, "a clock that was ahead does not take the watermark with it") {
  list.add("a", ago(5min));
  list.add("far-ahead", clock.wall_now() + 100h);
  REQUIRE(catch_up.pass({}, {}));
  CHECK(watermark() == text(ago(5min)));
}

TEST_CASE_METHOD(Fixture,
                 "alerts of one moment over the end of a page are all taken, and a server that ignores the cursor "
                 "is gone through by time") {
  for (int i = 0; i < 7; ++i) list.add(fmt::format("same{}", i), ago(30min));
  for (int i = 0; i < 4; ++i) list.add(fmt::format("older{}", i), ago(std::chrono::minutes(40 + i)));
  CHECK(catch_up.pass({}, {})->added == 11);

  Rhombus other;
  other.ignores_cursor = true;
  other.page_size = rhombus::page_size;
  for (int i = 0; i < 250; ++i) other.add(fmt::format("B{}", i), ago(std::chrono::minutes(i + 1)));
  CatchUp by_time([&](const rhombus::AlertQuery& query, std::stop_token stop) { return other(query, stop); }, intake,
                  writer, clock, 24h);
  const auto passed = by_time.pass({}, {});
  REQUIRE(passed);
  CHECK(passed->added == 250);
  CHECK(passed->listing.complete);
  CHECK(other.calls == 4);
}

TEST_CASE_METHOD(Fixture, "a clock that starts in 1970 takes nothing in, and everything when it is set") {
  test::ManualClock wrong{WallTime(0s)};
  CatchUp early([&](const rhombus::AlertQuery& query, std::stop_token stop) { return list(query, stop); }, intake,
                writer, wrong, 24h);
  list.add("a", ago(5min));
  list.add("years-ago", ago(3 * 365 * 24h));
  REQUIRE(early.pass({}, {}));
  CHECK(rows() == 0);
  REQUIRE(catch_up.pass({}, {}));
  CHECK(rows() == 1);
  // Set back later, it asks from where it was.
  CHECK(early.pass({}, {})->listing.alerts == 1);
}

TEST_CASE_METHOD(Fixture, "a server that lists the same for ever is left, and the watermark stays") {
  list.page_size = rhombus::page_size;
  for (int i = 0; i < 150; ++i) list.add(fmt::format("same{}", i), ago(30min));
  list.ignores_cursor = true;
  const auto passed = catch_up.pass({}, {});
  REQUIRE(passed);
  CHECK_FALSE(passed->listing.complete);
  CHECK(watermark().empty());
}

TEST_CASE_METHOD(Fixture, "a webhook is missed when somebody listened for it and it was given time") {
  list.add("before", ago(30min));
  REQUIRE(catch_up.set_listening(ago(20min)));
  list.add("missed", ago(10min));
  list.add("on-its-way", ago(0min));
  REQUIRE(catch_up.pass({}, {}));
  CHECK(silence(reader, clock.wall_now())->missed == 1);
  CHECK(silence(reader, clock.wall_now())->first == ago(10min));
  clock.advance(2min);
  CHECK(silence(reader, clock.wall_now())->missed == 2);
  CHECK(*webhooks_missed_ever(reader, clock.wall_now()) == 2);
  CHECK(silence(reader, clock.wall_now())->broken_since == ago(12min));
  // One that comes says that it is no longer broken; what was missed stays missed.
  rhombus::Alert alert;
  alert.id = AlertId("comes");
  alert.cameras = {{.camera = DeviceId("C1"), .at = ago(1min), .duration = 1s, .activities = {"FACE"}}};
  REQUIRE(intake.accept_all(plan_captures(alert, {}, journal::Via::webhook, clock.wall_now())));
  CHECK_FALSE(silence(reader, clock.wall_now())->broken_since);
  CHECK(silence(reader, clock.wall_now())->missed == 2);
  clock.advance(25h);
  CHECK(silence(reader, clock.wall_now())->missed == 0);
}
