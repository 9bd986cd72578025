#include <algorithm>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "clip_reader.hpp"
#include "responder_process.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;

namespace {
const fake_rhombus::VideoProfile small{.width = 64, .height = 64, .frames_per_second = 5};
}

TEST_CASE("what was answered 200 survives kill -9 and is captured after the restart") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  Responder responder(rhombus);
  std::set<std::string> accepted;
  for (int round = 0; round < 4; ++round) {
    responder.start();
    for (int i = 0; i < 5; ++i) accepted.insert(responder.alert(camera, now_ms() - 60'000, 3));
    responder.stop(SIGKILL);
  }
  responder.start();
  for (const auto& alert : accepted)
    responder.wait_for(
        alert, [](const Event& e) { return e.state == "done"; }, std::chrono::seconds(60));
  const auto events = responder.events();
  CHECK(events.size() == accepted.size());
  std::size_t clips = 0;
  for (const auto& file : std::filesystem::directory_iterator(responder.clips())) {
    if (file.path().extension() != ".mp4") continue;
    ++clips;
    CHECK(read_clip(file.path()).streams.at(0).size() > 0);
  }
  CHECK(clips == accepted.size());
}

TEST_CASE("SIGTERM in mid-capture ends with 0, and the next start goes on") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 6\n");
  responder.start();
  const auto alert = responder.alert(camera, now_ms(), 1);
  responder.wait_for(alert, [](const Event& e) { return e.state == "capturing"; });
  const auto began = now_ms();
  CHECK(responder.stop(SIGTERM) == 0);
  CHECK(now_ms() - began < 5000);
  const auto interrupted = responder.events().at(0);
  CHECK(interrupted.state == "waiting");
  CHECK(interrupted.attempts == 0);
  responder.start();
  const auto event = responder.wait_until_done(alert);
  const auto truth = rhombus.truth(camera, false, event.window_start, event.window_end - event.window_start);
  CHECK(read_clip(responder.clips() / event.clip).streams.at(0).size() == truth.size());
}

TEST_CASE("an archive without room makes captures wait, and the journal goes on") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  Responder responder(rhombus);
  std::ifstream in(responder.config());
  std::string config((std::istreambuf_iterator<char>(in)), {});
  const auto at = config.find("min_free_bytes = 0");
  config.replace(at, 18, "min_free_bytes = 9000000000000000");
  std::ofstream(responder.config()) << config;
  responder.start();
  const auto event = responder.wait_for(responder.alert(camera, now_ms() - 60'000, 3),
                                        [](const Event& e) { return e.state == "waiting" && !e.reason.empty(); });
  CHECK(event.reason.find("min_free_bytes") != std::string::npos);
  CHECK(event.attempts == 0);
}
