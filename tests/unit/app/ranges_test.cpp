#include "ranges.hpp"

#include <cstdlib>
#include <ctime>
#include <optional>

#include <catch2/catch.hpp>

#include "goal.hpp"
#include "progress.hpp"
#include "words.hpp"

using namespace responder;
using namespace responder::app;
using namespace std::chrono_literals;

namespace {

std::chrono::sys_seconds at(std::int64_t epoch) { return std::chrono::sys_seconds(std::chrono::seconds(epoch)); }

rhombus::Camera camera(const std::string& id, const std::string& name, bool online = true) {
  return {DeviceId(id), name, LocationId("here"), online};
}

}  // namespace

TEST_CASE("durations are seconds, or have a unit") {
  CHECK(*parse_duration("90") == 90s);
  CHECK(*parse_duration(" 45s ") == 45s);
  CHECK(*parse_duration("90m") == 90min);
  CHECK(*parse_duration("2h") == 2h);
  CHECK(*parse_duration("3d") == 72h);
  for (const auto* wrong : {"", "h", "-1", "0", "1.5", "2w", "99999999999", "1h30m"})
    CHECK_FALSE(parse_duration(wrong));
}

TEST_CASE("a range is the last hour, and ends at the present") {
  const WallTime now = at(1'700'000'000) + 500ms;
  CHECK(read_range({}, {}, now)->range == TimeRange{at(1'699'996'400), at(1'700'000'000)});
  CHECK(read_range(WallTime(at(1'600'000'000)), {}, now)->range == TimeRange{at(1'600'000'000), at(1'600'003'600)});
  CHECK(read_range(now - 10s, 60s, now)->range.end == at(1'700'000'050));
  const auto cut = read_range(now - 10s, 1h, now);
  CHECK(cut->range.end == at(1'700'000'000));
  CHECK_FALSE(cut->remark.empty());
  CHECK_FALSE(read_range(now + 1s, {}, now));
  CHECK_FALSE(read_range(now - 1h, 0s, now));
}

TEST_CASE("files begin on the hour") {
  CHECK(split({at(3000), at(8000)}, 1h, NameZone::utc) ==
        std::vector<TimeRange>{{at(3000), at(3600)}, {at(3600), at(7200)}, {at(7200), at(8000)}});
  CHECK(split({at(3600), at(7200)}, 1h, NameZone::utc) == std::vector<TimeRange>{{at(3600), at(7200)}});
  CHECK(split({at(0), at(25)}, 10s, NameZone::utc).size() == 3);
}

namespace {

// The process's time zone, for a test.
class LocalZone {
 public:
  explicit LocalZone(const char* zone) {
    if (const char* value = std::getenv("TZ")) before_ = value;
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  ~LocalZone() {
    before_ ? ::setenv("TZ", before_->c_str(), 1) : ::unsetenv("TZ");
    ::tzset();
  }
  LocalZone(const LocalZone&) = delete;
  LocalZone& operator=(const LocalZone&) = delete;

 private:
  std::optional<std::string> before_;
};

std::vector<std::int64_t> hours_of(const std::vector<TimeRange>& parts) {
  std::vector<std::int64_t> hours;
  for (const auto& part : parts) hours.push_back((part.end - part.start) / 1h);
  return hours;
}

}  // namespace

TEST_CASE("files of a day end at midnight, also on the days on which the clock changes") {
  using Hours = std::vector<std::int64_t>;
  constexpr std::int64_t march_30 = 1'743'289'200;    // 2025-03-30T00:00:00+01:00; at 2 it is 3
  constexpr std::int64_t october_26 = 1'761'429'600;  // 2025-10-26T00:00:00+02:00; at 3 it is 2
  {
    const LocalZone berlin("CET-1CEST,M3.5.0,M10.5.0/3");
    const auto spring = split({at(march_30 - 86'400), at(march_30 + 86'400 + 82'800)}, 24h, NameZone::local);
    CHECK(hours_of(spring) == Hours{24, 23, 24});
    CHECK(spring[2].start == at(march_30 + 82'800));
    const auto autumn = split({at(october_26 - 86'400), at(october_26 + 86'400 + 90'000)}, 24h, NameZone::local);
    CHECK(hours_of(autumn) == Hours{24, 25, 24});
    CHECK(hours_of(split({at(march_30), at(march_30 + 6 * 3600)}, 1h, NameZone::local)) == Hours(6, 1));
    CHECK(hours_of(split({at(october_26), at(october_26 + 6 * 3600)}, 1h, NameZone::local)) == Hours(6, 1));
    // From 0 to 3, where there is no 2; from 2 to 2 and on to 4.
    CHECK(hours_of(split({at(march_30), at(march_30 + 5 * 3600)}, 2h, NameZone::local)) == Hours{2, 1, 2});
    CHECK(hours_of(split({at(october_26), at(october_26 + 7 * 3600)}, 2h, NameZone::local)) == Hours{2, 1, 2, 2});
    CHECK(hours_of(split({at(march_30), at(march_30 + 86'400)}, 24h, NameZone::utc)) == Hours{1, 23});
  }
  // Where the day on which summer time begins has no midnight.
  const LocalZone at_midnight("XXX3YYY,M9.1.0/0,M4.1.0/0");
  constexpr std::int64_t september_7 = 1'757'214'000;  // 2025-09-07T00:00:00-03:00, which is 01:00:00-02:00
  CHECK(hours_of(split({at(september_7 - 86'400), at(september_7 + 82'800)}, 24h, NameZone::local)) == Hours{24, 23});
}

TEST_CASE("a range and a camera are always the same capture") {
  const TimeRange range{at(1'672'531'200), at(1'672'534'800)};
  const auto one = range_capture(camera("cam", "Cam"), range, WallTime(at(1'700'000'000)));
  CHECK(one.alert.str() == "range-1672531200-3600");
  CHECK(one.kind == journal::Kind::range);
  CHECK(one.window_start == range.start);
  CHECK(one.window_end == range.end);
  CHECK_FALSE(one.duration_is_told);
}

TEST_CASE("cameras are found by UUID and by name, and only one") {
  const std::vector<rhombus::Camera> all{camera("u1", "Front Door"), camera("u2", "Front Yard"),
                                         camera("u3", "front"), camera("u4", "Lobby", false)};
  const auto found = [&](const std::string& wanted) {
    const auto chosen = choose(all, {}, {.camera = wanted, .location = {}});
    return chosen ? chosen->cameras.at(0).id.str() : chosen.error().message;
  };
  CHECK(found("u2") == "u2");
  CHECK(found("Front Door") == "u1");
  CHECK(found("yard") == "u2");
  CHECK(found("FRONT") == "u3");
  CHECK(found("lobby") == "u4");
  CHECK(found("o").find("4 cameras, give the UUID of one: Front Door (u1), Front Yard (u2), ") != std::string::npos);
  CHECK(found("x").starts_with("--camera: Rhombus lists no camera 'x'"));
  const auto everything = choose(all, {}, {});
  // A camera that is offline just now may be back in a minute: it is none that nobody asked for.
  CHECK(everything->cameras.size() == 4);
  CHECK(choose({camera("u4", "Lobby", false)}, {}, {})->cameras.size() == 1);
  CHECK_FALSE(choose(all, {}, {.camera = {}, .location = "there"}));
}

TEST_CASE("a location is found by its name, and where no names can be had by its UUID") {
  auto all = std::vector<rhombus::Camera>{camera("u1", "Front Door"), camera("u2", "Yard")};
  all[1].location = LocationId("elsewhere");
  const std::vector<rhombus::Location> locations{{LocationId("here"), "Headquarters"},
                                                 {LocationId("empty"), "Not built yet"}};
  const auto found = [&](const std::vector<rhombus::Location>& named, const std::string& wanted) {
    const auto chosen = choose(all, named, {.camera = {}, .location = wanted});
    return chosen ? chosen->cameras.at(0).id.str() : chosen.error().message;
  };
  CHECK(found(locations, "headq") == "u1");
  CHECK(found(locations, "here") == "u1");
  CHECK(found(locations, "elsewhere") == "u2");
  CHECK(found({}, "elsewhere") == "u2");
  CHECK(found(locations, "Headquaters") ==
        "--location: Rhombus lists no location 'Headquaters'; did you mean 'Headquarters'?");
  CHECK(found(locations, "empty") == "--location: Rhombus lists no camera at Not built yet (empty)");
}

TEST_CASE("an alert that begins with a dash is no option") {
  using Words = std::vector<std::string>;
  const std::string alert = "-vqdVE9AF-xAuY76Pw1k-_";
  CHECK(with_alerts_apart({"--config", "f", "export", alert, "A", "--to", "d"}) ==
        Words{"--config", "f", "export", "A", "--to", "d", "--", alert});
  CHECK(with_alerts_apart({"hold", "--", alert}) == Words{"hold", "--", alert});
  CHECK(with_alerts_apart({"events", alert}) == Words{"events", alert});
  CHECK(with_alerts_apart({"retry", "--deliveries"}) == Words{"retry", "--deliveries"});
}

TEST_CASE("the predecessor's words are read as ours") {
  using Words = std::vector<std::string>;
  CHECK(with_predecessor_words({"copy-footage", "-loc", "L", "-cam=C", "-al", "-ma", "5", "-bt", "1", "-at", "2",
                                "-ab", "3"}) == Words{"copy-footage", "--location_uuid", "L", "--camera_uuid=C",
                                                      "--alerts", "--max_alerts", "5", "--before_time", "1",
                                                      "--after_time", "2", "--alert_buffer", "3"});
  CHECK(with_predecessor_words({"copy-footage", "--loc", "L", "--start=5", "--al", "--alerts", "-a", "KEY"}) ==
        Words{"copy-footage", "--location_uuid", "L", "--start_time=5", "--al", "--alerts", "-a", "KEY"});
  CHECK(with_predecessor_words({"copy-footage", "-a", "-al", "-s=5", "-g"}) ==
        Words{"copy-footage", "-a", "-al", "--start_time=5", "-g"});
  CHECK(with_predecessor_words({"backup", "-loc", "--al"}) == Words{"backup", "-loc", "--al"});
}

TEST_CASE("of captures that another process works on, their state and how long it lasts are known") {
  auto journal = *journal::Journal::in_memory();
  const WallTime now(1'700'000'000s);
  std::vector<journal::CaptureId> ids;
  for (const std::string alert : {"one", "two", "three"}) {
    journal::NewCapture capture;
    capture.alert = AlertId(alert);
    capture.camera = DeviceId(alert == "three" ? "other" : "camera");
    capture.received_at = capture.alert_at = now - 1h;
    capture.window_start = at(1'699'990'000);
    capture.window_end = at(1'699'990'010);
    ids.push_back(journal.accept(capture)->id);
  }
  Goal goal(journal, [](const journal::Capture&) {});
  for (const auto id : ids) REQUIRE(goal.add(id));
  REQUIRE(goal.look(now));
  REQUIRE(*journal.claim(ids[1], "serve", now, now + 1h));
  REQUIRE(goal.look(now + 5s));
  const auto activities = goal.activities(now + 65s);
  REQUIRE(activities.size() == 2);
  const auto& camera = activities.at(DeviceId("camera"));
  CHECK(camera.state == journal::State::capturing);
  CHECK(camera.lasts == 60s);
  CHECK(activities.at(DeviceId("other")).state == journal::State::waiting);
  CHECK(activities.at(DeviceId("other")).lasts == 65s);
  CHECK(goal.activities(now - 1h).at(DeviceId("camera")).lasts == 0s);  // the clock was set back
}

TEST_CASE("a bar fits its line") {
  const auto line = draw({"Front Door", 0.5, "1 of 2 files"}, 10, 80);
  CHECK(line == "Front Door  [############------------]  50 %  1 of 2 files");
  CHECK(draw({"Front Door", 2, "1 of 2 files"}, 4, 40).size() == 39);
  CHECK(draw({"T\u00fcr", 0, ""}, 5, 80).starts_with("T\u00fcr    ["));
  // No number loses its unit, however little room there is; and a wide terminal has a longer bar.
  const Bar busy{"Loading Dock North", 0.25, "3 of 40 files, 26.5 MB/s, about 2 min 3 s left"};
  CHECK(draw(busy, 18, 80) == "Loading Dock North  [##------]  25 %  3 of 40 files, 26.5 MB/s");
  CHECK(draw(busy, 18, 90).ends_with("26.5 MB/s, about 2 min 3 s left"));
  CHECK(draw(busy, 18, 60).ends_with("3 of 40 files"));
  CHECK(draw(busy, 18, 120).size() > 100);
  for (std::size_t width = 20; width < 200; ++width) CHECK(draw(busy, 18, width).size() < width);
  // What does not tell how far it is has no bar.
  const Bar of_serve{"Front Door", std::nullopt, "1 of 2 files, capturing for 2 min 3 s"};
  CHECK(draw(of_serve, 12, 80) == "Front Door    1 of 2 files, capturing for 2 min 3 s");
  CHECK(draw(of_serve, 12, 40) == "Front Door    1 of 2 files");
  for (std::size_t width = 20; width < 80; ++width) CHECK(draw(of_serve, 12, width).size() < width);
  CHECK(time_left(0.5, 10s) == "about 10 s left");
  CHECK(time_left(0, 10s).empty());
}
