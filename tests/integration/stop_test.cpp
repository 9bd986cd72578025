// SIGTERM while something that the program waits for does not come: it ends all the same, soon and with 0.
#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/stat.h>

#include "faulty_system.hpp"
#include "responder_process.hpp"
#include "rough_server.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using fake_rhombus::Reply;
using fake_rhombus::Request;
using faulty_system::FaultySystem;

namespace {

const fake_rhombus::VideoProfile small{.width = 64, .height = 64, .frames_per_second = 5};

bool poll_until(const std::function<bool()>& true_now) {
  for (const auto deadline = now_ms() + 30'000; !true_now(); std::this_thread::sleep_for(20ms)) {
    if (now_ms() > deadline) return false;
  }
  return true;
}

void check_stops(Responder& responder) {
  const auto began = now_ms();
  CHECK(responder.stop(SIGTERM) == 0);
  const auto took = now_ms() - began;
  CAPTURE(took);
  CHECK(took < 10'000);
}

struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Cam", .video = small, .wan = false});

  Fixture() { rhombus.start(); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a stop ends while a camera's TLS handshake drips", "[alone]") {
  std::atomic<int> dripping{0};
  RoughServer device({.tls = true}, [&](Peer& peer) {
    const std::string record("\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", 9);
    for (std::size_t i = 0; peer.send_raw(std::string_view(i < record.size() ? &record[i] : "\0", 1)); ++i) {
      ++dripping;
      if (!peer.wait(500ms)) return;
    }
  });
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.ends_with("/getMediaUris")) return std::nullopt;
    return Reply{200,
                 fmt::format(R"({{"lanVodMpdUrisTemplates":["{}/x/{{START_TIME}}_{{DURATION}}/clip.mpd"],)"
                             R"("wanVodMpdUriTemplate":null,"lanCheckUrls":null,"error":null}})",
                             device.url().origin()),
                 "application/json"};
  });
  Responder responder(rhombus);
  responder.start();
  responder.alert(camera, now_ms() - 60'000, 3);
  REQUIRE(poll_until([&] { return dripping > 1; }));
  check_stops(responder);
}

TEST_CASE_METHOD(Fixture, "a stop ends while DNS is silent", "[alone]") {
  Responder responder(rhombus);
  FaultySystem system(responder.folder() / "state");
  system.controls().names_hang = 1;
  auto environment = system.environment();
  environment["RHOMBUS_RESPONDER_RHOMBUS_API_URL"] = "https://api.example";
  responder.start(environment);
  responder.alert(camera, now_ms() - 60'000, 3);
  REQUIRE(poll_until([&] { return system.controls().waiting > 0; }));
  check_stops(responder);
}

TEST_CASE_METHOD(Fixture, "a stop ends while the archive hangs", "[alone]") {
  Responder responder(rhombus);
  FaultySystem system(responder.folder());
  responder.start(system.environment());
  SECTION("with a clip on its way there") {
    responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 3));
    system.controls().archive_hangs = 1;
    responder.alert(camera, now_ms() - 50'000, 3);
  }
  SECTION("from the start") {
    CHECK(responder.stop(SIGTERM) == 0);
    system.controls().archive_hangs = 1;
    responder.start(system.environment());
  }
  REQUIRE(poll_until([&] { return system.controls().waiting > 0; }));
  check_stops(responder);
  system.controls().archive_hangs = 0;
}

TEST_CASE_METHOD(Fixture, "a stop ends while rclone hangs, whatever it makes of signals", "[alone]") {
  const TempFolder folder;
  const auto program = folder / "rclone";
  std::ofstream(program) << "#!/bin/sh\ntrap '' TERM INT\necho $$ >>" << (folder / "pids").string()
                         << "\nwhile :; do sleep 1; done\n";
  ::chmod(program.c_str(), 0700);
  Responder responder(rhombus, fmt::format("[offsite]\nremote = \"elsewhere:clips\"\nrclone = \"{}\"\n"
                                           "timeout_seconds = 600\n",
                                           program.string()));
  responder.start();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 3));
  REQUIRE(poll_until([&] { return std::filesystem::exists(folder / "pids"); }));
  check_stops(responder);
}
