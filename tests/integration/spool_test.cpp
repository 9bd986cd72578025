// A spool that is much too small: it drains all the same.
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include <catch2/catch.hpp>

#include "clip_checks.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using fake_rhombus::Reply;
using fake_rhombus::Request;
namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds patience{90};

// 2.5 MB/s, as 4K cameras send.
const fake_rhombus::VideoProfile large{
    .width = 64, .height = 64, .frames_per_second = 5, .bits_per_second = 20'000'000};

bool is_done(const Event& event) { return event.state == "done"; }
bool is_segment(const Request& request) { return request.path.ends_with(".m4v"); }

// Whether it comes to be so, within 20 s.
bool until(const std::function<bool()>& so) {
  for (int waits = 0; waits < 2000 && !so(); ++waits) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return so();
}

std::string spool_of(std::int64_t megabytes) {
  return "buffer_seconds = 0\nworkers = 4\nspool_max_bytes = " + std::to_string(megabytes * 1'000'000) + "\n";
}

}  // namespace

TEST_CASE("captures that need more room than they were given take turns") {
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  std::vector<std::string> cameras;
  for (int i = 0; i < 4; ++i)
    cameras.push_back(rhombus.add_camera({.name = "Cam " + std::to_string(i), .video = large, .lan = false}));
  rhombus.start();
  // 15 MB each: all four seem to fit, and two do.
  Responder responder(rhombus, "", spool_of(35));
  responder.start();
  std::vector<std::string> alerts;
  for (const auto& camera : cameras) alerts.push_back(responder.alert(camera, some_time_ago(600), 6));
  for (const auto& alert : alerts) check_clip(responder, rhombus, responder.wait_for(alert, is_done, patience));
  CHECK(responder.log().find("new captures wait") == std::string::npos);
}

TEST_CASE("clips that lack something do not keep the spool from others") {
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  const auto lacking = rhombus.add_camera({.name = "Lacking", .video = large, .lan = false});
  const auto healthy = rhombus.add_camera({.name = "Healthy", .video = large, .lan = false});
  rhombus.start();
  rhombus.mangle([&](const Request& request, Reply& reply) {
    if (request.path.find(lacking) != std::string::npos && request.path.ends_with("seg_2.m4v"))
      reply = {.status = 503, .body = ""};
  });
  Responder responder(rhombus, "", spool_of(30));
  responder.start();
  std::vector<std::string> alerts;
  for (int i = 0; i < 4; ++i) alerts.push_back(responder.alert(lacking, some_time_ago(900 - 60 * i), 6));
  for (const auto& alert : alerts) {
    responder.wait_for(
        alert, [](const Event& e) { return e.state == "partial"; }, patience);
  }
  check_clip(responder, rhombus,
             responder.wait_for(responder.alert(healthy, some_time_ago(300), 6), is_done, patience));
  rhombus.mangle({});
  CHECK(responder.command({"retry", "--failed"}).status == 0);  // now, and not after the pauses of four attempts
  for (const auto& alert : alerts) check_clip(responder, rhombus, responder.wait_for(alert, is_done, patience));
}

TEST_CASE("a capture that was cut off near its end goes on, though alone it fills the spool") {
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  const auto camera = rhombus.add_camera({.name = "Cam", .video = large, .lan = false});
  rhombus.start();
  std::atomic<bool> is_away{false};
  std::atomic<int> served{0};
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    if (is_segment(request) && ++served == 4) is_away = true;  // of five
    if (is_away && request.server == "wan") return Reply{.status = 503, .body = ""};
    return std::nullopt;
  });
  // 25 MB of footage, and as much for the clip, in 20.
  Responder responder(rhombus, "", spool_of(20));
  responder.start();
  const auto alert = responder.alert(camera, some_time_ago(600), 10);
  responder.wait_for(
      alert, [](const Event& e) { return e.state == "waiting" && e.attempts > 0; }, patience);
  // What it began is not left behind.
  CHECK(until([&] { return fs::is_empty(responder.folder() / "state/spool/ready"); }));
  is_away = false;
  check_clip(responder, rhombus, responder.wait_for(alert, is_done, patience));
}

TEST_CASE("ranges that touch one another are all whole, in whatever order they are fetched") {
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .lan = false});
  rhombus.start();
  // Seven seconds each: the last segment of each reaches a second into the next one.
  constexpr int length = 7;
  const auto start = some_time_ago(600) / 1000;
  const auto begin_of = [&](int number) { return std::to_string(start + number * length); };
  std::array<std::atomic<bool>, 3> may_go{false, false, true};
  std::array<std::atomic<bool>, 3> asked{false, false, false};
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    for (std::size_t i = 0; i < may_go.size() && is_segment(request); ++i) {
      if (request.path.find("/" + begin_of(static_cast<int>(i)) + "/") == std::string::npos) continue;
      asked[i] = true;
      for (int waits = 0; waits < 800 && !may_go[i]; ++waits)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::nullopt;
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\nworkers = 8\n");
  responder.start();
  const auto begin = [&](int number) {
    return std::make_unique<RunningCommand>(responder.with_config(
        {"backup", "--start", begin_of(number), "--duration", std::to_string(length), "--camera", camera}));
  };
  // The first two have the device's turns; the third is begun, and waits for one until the second is over.
  std::vector<std::unique_ptr<RunningCommand>> runs;
  for (int i = 0; i < 2; ++i) {
    runs.push_back(begin(i));
    REQUIRE(until([&] { return asked[static_cast<std::size_t>(i)].load(); }));
  }
  runs.push_back(begin(2));
  REQUIRE(until([&] {
    const auto log = responder.log();
    std::size_t begun = 0;
    for (auto at = log.find(": taking 7 s"); at != std::string::npos; at = log.find(": taking 7 s", at + 1)) ++begun;
    return begun == 3;
  }));
  may_go[1] = true;
  REQUIRE(until([&] { return asked[2].load(); }));
  may_go[0] = true;
  for (const auto& run : runs) CHECK(run->wait().status == 0);
  const auto events = responder.events();
  CHECK(events.size() == 3);
  for (const auto& event : events) {
    CHECK(event.state == "done");
    CHECK(event.gaps == 0);
    CHECK(event.attempts == 1);
  }
}
