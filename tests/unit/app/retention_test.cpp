// Retention by the configuration, on the clips of a journal.
#include "retention.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace responder;
using namespace responder::app;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

struct Fixture {
  journal::Journal journal = *journal::Journal::in_memory();
  Config config;

  // A clip of 100 bytes, so many hours old.
  void publish(const std::string& alert, int hours) {
    journal::NewCapture made;
    made.alert = AlertId(alert);
    made.camera = DeviceId("cam");
    made.received_at = made.alert_at = t0 - std::chrono::hours(hours);
    made.window_start = std::chrono::floor<std::chrono::seconds>(made.alert_at);
    made.window_end = made.window_start + 10s;
    const auto id = journal.accept(made)->id;
    REQUIRE(*journal.claim(id, "me", t0, t0 + 1h));
    const journal::Published clip{alert + ".mp4", "lan", 100, "ab", {}, made.window_end};
    REQUIRE(journal.finish(id, "me",
                           {.state = journal::State::done,
                            .reason = "",
                            .camera_name = "Cam",
                            .published = clip,
                            .next_attempt_at = {},
                            .window_end = made.window_end},
                           t0));
  }
  // "a.mp4 170, b.mp4 100": what is to go, and its bytes.
  std::string to_go() {
    RetentionPass pass(config, t0, 0);
    const auto clips = pass.next(journal, 10);
    REQUIRE(clips);
    std::string all;
    for (const auto& clip : *clips) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", clip.clip, clip.bytes);
    return all;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a damaged clip counts in archive.max_bytes, with the clip that it stands beside") {
  publish("a", 3);
  publish("b", 2);
  publish("c", 1);
  config.archive.max_bytes = 300;
  CHECK(to_go().empty());
  REQUIRE(journal.set_kept_damaged("c.mp4", 70));
  CHECK(to_go() == "a.mp4 100");
  REQUIRE(journal.set_kept_damaged("a.mp4", 70));
  CHECK(to_go() == "a.mp4 170");
  config.archive.max_bytes = 200;
  CHECK(to_go() == "a.mp4 170, b.mp4 100");
  REQUIRE(journal.set_kept_damaged("c.mp4", 0));
  CHECK(to_go() == "a.mp4 170");
}
