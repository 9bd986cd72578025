#include "ranges.hpp"

#include <catch2/catch.hpp>

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
    const auto chosen = choose(all, {.camera = wanted, .location = {}});
    return chosen ? chosen->cameras.at(0).id.str() : chosen.error().message;
  };
  CHECK(found("u2") == "u2");
  CHECK(found("Front Door") == "u1");
  CHECK(found("yard") == "u2");
  CHECK(found("FRONT") == "u3");
  CHECK(found("lobby") == "u4");
  CHECK(found("o").find("4 cameras, give the UUID of one: Front Door (u1), Front Yard (u2), ") != std::string::npos);
  CHECK(found("x").starts_with("--camera: Rhombus lists no camera 'x'"));
  const auto everything = choose(all, {});
  CHECK(everything->cameras.size() == 3);
  CHECK(everything->offline == 1);
  CHECK_FALSE(choose(all, {.camera = {}, .location = "there"}));
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

TEST_CASE("a bar fits its line") {
  const auto line = draw({"Front Door", 0.5, "1 of 2 files"}, 10, 80);
  CHECK(line == "Front Door  [############------------]  50 %  1 of 2 files");
  CHECK(draw({"Front Door", 2, "1 of 2 files"}, 4, 40).size() == 39);
  CHECK(draw({"T\u00fcr", 0, ""}, 5, 80).starts_with("T\u00fcr    ["));
  CHECK(time_left(0.5, 10s) == "about 10 s left");
  CHECK(time_left(0, 10s).empty());
}
