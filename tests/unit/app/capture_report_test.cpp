#include "capture_report.hpp"

#include <fstream>

#include <catch2/catch.hpp>

#include "responder/base/text.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::app;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

struct Fixture {
  test::TempFolder folder;
  Journal journal = *Journal::in_memory();
  CaptureId id = 0;

  Fixture() {
    REQUIRE(journal.set_targets({{"gate", {State::partial}}}));
    NewCapture made;
    made.alert = AlertId("A1");
    made.camera = DeviceId("C1");
    made.activities = {"FACE"};
    made.received_at = t0;
    made.alert_at = t0;
    made.duration = 10s;
    made.window_start = std::chrono::floor<std::chrono::seconds>(t0);
    made.window_end = made.window_start + 10s;
    id = journal.accept(made)->id;
  }
  void publish() {
    REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
    REQUIRE(journal.finish(id, "me",
                           {.state = State::partial,
                            .reason = "a hole",
                            .camera_name = "Lob\nby",
                            .published = Published{"x.mp4", "lan", 2048, "abcd", {{t0 + 1s, t0 + 3s}}, {}},
                            .next_attempt_at = t0 + 5h,
                            .window_end = std::chrono::floor<std::chrono::seconds>(t0) + 10s},
                           t0 + 1h));
  }
  CaptureReport report() { return *report_on(journal, folder.path(), **journal.find(id)); }
  std::string text() { return join(as_lines(report()), "\n"); }
  bool says(const std::string& part) {
    const auto said = text();
    INFO(said);
    return said.find(part) != std::string::npos;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a capture that waits is told with its window and its next attempt") {
  CHECK(says("camera (C1): waiting, not at its end"));
  CHECK(says("(10 s)"));
  CHECK(says("attempts   0, the next one at 2023-11-14T22:13:20Z"));
  CHECK(says("clip       none yet"));
}

TEST_CASE_METHOD(Fixture, "a clip is told with its paths, gaps, reason and deliveries") {
  publish();
  CHECK(says("Lob?by (C1): partial, not at its end"));
  CHECK(says("reason     a hole"));
  CHECK(says("x.mp4 (2.0 KiB, from lan, SHA-256 abcd): NOT in the archive now"));
  CHECK(says("gap        2023-11-14T22:13:21Z to 2023-11-14T22:13:23Z (2 s)"));
  CHECK(says("delivery   gate: partial, due at "));
  std::ofstream(folder / "x.mp4") << "clip";
  std::ofstream(folder / "x.json") << "{}";
  CHECK(says("clip       " + (folder / "x.mp4").string()));
  CHECK(says("sidecar    " + (folder / "x.json").string()));
  CHECK_FALSE(says("picture"));

  JsonWriter json;
  write_report(json, report());
  const auto object = std::move(json).str();
  CAPTURE(object);
  CHECK(object.find("\"clip_path\":\"" + (folder / "x.mp4").string() + "\"") != std::string::npos);
  CHECK(object.find("\"picture_path\":null") != std::string::npos);
  CHECK(object.find(R"("deliveries":[{"target":"gate","event":"partial")") != std::string::npos);
  CHECK(object.find(R"("gaps":[{"start":)") != std::string::npos);
}
