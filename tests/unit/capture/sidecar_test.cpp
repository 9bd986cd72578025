#include "responder/capture/sidecar.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::capture;
using namespace std::chrono_literals;

TEST_CASE("what a sidecar says is read back as it was") {
  journal::Capture row;
  row.alert = AlertId("A-1");
  row.camera = DeviceId("CAM");
  row.location = LocationId("LOC");
  row.activities = {"MOTION_HUMAN", "FACE"};
  row.via = journal::Via::catch_up;
  row.alert_at = WallTime(1'700'000'000'250ms);
  row.received_at = WallTime(1'700'000'100'000ms);
  row.duration = 10s;
  row.window_start = std::chrono::sys_seconds(1'699'999'970s);
  row.window_end = std::chrono::sys_seconds(1'700'000'041s);
  const archive::ClipIdentity identity{"T\"\u00fcr", row.camera, row.alert, row.activities, row.window_start, true};
  const std::vector<journal::Gap> gaps{
      {WallTime(1'700'000'000'500ms), WallTime(1'700'000'002'000ms), journal::GapReason::placeholder}};
  media::ClipSummary summary;
  const std::string reason = "a hole";
  const std::vector<std::pair<media::TrackKind, std::vector<journal::Gap>>> track_gaps{
      {media::TrackKind::video, gaps}};
  const auto text = sidecar_beginning({row, identity, summary, journal::State::partial, reason, "wan", gaps,
                                       track_gaps, false, journal::PresenceState::pending}) +
                    sidecar_end({"a/b.mp4", 123, std::string(64, 'c')}, row.received_at);

  const auto known = read_sidecar(text);
  REQUIRE(known);
  CHECK(known->capture.alert == row.alert);
  CHECK(known->capture.camera == row.camera);
  CHECK(known->camera_name == identity.camera_name);
  CHECK(known->capture.location == row.location);
  CHECK(known->capture.activities == row.activities);
  CHECK(known->capture.via == row.via);
  CHECK(known->capture.alert_at == row.alert_at);
  CHECK(known->capture.received_at == row.received_at);
  CHECK(known->capture.duration == row.duration);
  CHECK(known->capture.window_start == row.window_start);
  CHECK(known->capture.window_end == row.window_end);
  CHECK(known->state == journal::State::partial);
  CHECK(known->reason == reason);
  CHECK_FALSE(known->final);
  CHECK(known->published.clip == "a/b.mp4");
  CHECK(known->published.source == "wan");
  CHECK(known->published.bytes == 123);
  CHECK(known->published.sha256 == std::string(64, 'c'));
  CHECK(known->published.gaps == gaps);
  CHECK(known->published.presence == journal::PresenceState::pending);

  // What becomes known of its footage later is written into it; that of a partial clip may still get better.
  const auto confirmed = with_presence(text, journal::PresenceState::confirmed, true);
  REQUIRE(confirmed);
  CHECK(read_sidecar(*confirmed)->published.presence == journal::PresenceState::confirmed);
  CHECK_FALSE(read_sidecar(*confirmed)->final);
  CHECK(read_sidecar(*confirmed)->published.gaps == gaps);
  CHECK_FALSE(with_presence(*confirmed, journal::PresenceState::confirmed, true));
  CHECK_FALSE(with_presence("{}", journal::PresenceState::confirmed, true));

  // One of before alerts' lengths were in it.
  auto older = text;
  const std::string field = ",\"alert_duration\":10";
  older.erase(older.find(field), field.size());
  REQUIRE(read_sidecar(older));
  CHECK(read_sidecar(older)->capture.duration == row.duration);
}

TEST_CASE("a document that is no sidecar is told by what it lacks") {
  CHECK_FALSE(read_sidecar(""));
  CHECK_FALSE(read_sidecar("[]"));
  const auto lacking = read_sidecar(R"({"alert":"a","camera":"c"})");
  REQUIRE_FALSE(lacking);
  CHECK(lacking.error().message.find("is missing") != std::string::npos);
  CHECK_FALSE(read_sidecar(R"({"alert":7,"gaps":{},"activities":"x"})"));
}
