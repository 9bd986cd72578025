// An archive that goes away and comes back.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "clip_checks.hpp"
#include "faulty_system.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using fake_rhombus::Reply;
using fake_rhombus::Request;
namespace fs = std::filesystem;

TEST_CASE("clips wait in the spool for an archive that is away, and come out in order") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .lan = false});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  const auto at = now_ms() - 600'000;
  responder.wait_for_picture(responder.alert(camera, at, 4));

  const auto away = responder.folder() / "clips-away";
  fs::rename(responder.clips(), away);
  const bool empty_mount_point = GENERATE(true, false);
  if (empty_mount_point) fs::create_directory(responder.clips());
  std::vector<std::string> alerts;
  for (int i = 0; i < 4; ++i) {
    alerts.push_back(responder.alert(camera, at + 60'000 * (i + 1), 4));
    const auto event =
        responder.wait_for(alerts.back(), [](const Event& e) { return e.state == "waiting" && !e.reason.empty(); });
    CHECK(event.reason.find("in the spool") != std::string::npos);
  }
  // Nothing is written where the archive is not, and a crash changes nothing.
  if (empty_mount_point) CHECK(fs::is_empty(responder.clips()));
  responder.stop(SIGKILL);
  responder.start();
  std::error_code ignored;
  fs::remove(responder.clips(), ignored);
  fs::rename(away, responder.clips());
  auto before = fs::file_time_type::min();
  for (const auto& alert : alerts) {
    const auto event = responder.wait_until_done(alert);
    check_clip(responder, rhombus, event);
    const auto published =
        fs::last_write_time(responder.clips() / (event.clip.substr(0, event.clip.size() - 4) + ".json"));
    CHECK(published >= before);
    before = published;
  }
  // Each moment was asked for once.
  std::map<std::string, int> asked;
  for (const auto& request : rhombus.requests()) {
    if (request.path.ends_with(".m4v")) ++asked[request.path];
  }
  for (const auto& [path, times] : asked) CHECK(times == 1);
}

TEST_CASE("a folder that is not the archive is taken only when told to") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .lan = false});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 2));
  responder.stop(SIGTERM);
  fs::rename(responder.clips(), responder.folder() / "old");
  responder.start();
  const auto alert = responder.alert(camera, now_ms() - 120'000, 2);
  const auto waits = responder.wait_for(alert, [](const Event& e) { return !e.reason.empty(); });
  CHECK(waits.reason.find("adopt-archive") != std::string::npos);
  responder.stop(SIGTERM);
  CHECK(run_responder({"--config", responder.config().string(), "adopt-archive"}).status == 0);
  responder.start();
  check_clip(responder, rhombus, responder.wait_until_done(alert));
}

TEST_CASE("with archive and spool full, captures wait as rows") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .lan = false});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 0\nspool_max_bytes = 1048576\n");
  responder.start();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 2));
  // Somebody fills the spool.
  const auto ballast = responder.folder() / "state/spool/ready/0.mp4";
  std::ofstream(ballast) << std::string(2 << 20, 'x');
  rhombus.forget_requests();
  std::string alert;
  for (int i = 0; i < 20; ++i) {
    alert = responder.alert(camera, now_ms() - 600'000 + i * 10'000, 2);
    const auto event =
        responder.wait_for(alert, [](const Event& e) { return e.state == "done" || !e.reason.empty(); });
    if (event.state == "waiting") break;
  }
  const auto event = responder.wait_for(alert, [](const Event& e) { return e.state == "waiting"; });
  CHECK(event.reason.find("spool is full") != std::string::npos);
  fs::remove(ballast);
  responder.wait_for(
      alert, [](const Event& e) { return e.state == "done"; }, std::chrono::seconds(60));
}

TEST_CASE("a picture of the alert stands beside its clip, if that is wanted") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera(
      {.name = "Cam", .video = {.width = 640, .height = 360, .frames_per_second = 5}, .lan = false});
  rhombus.start();
  const bool wanted = GENERATE(true, false);
  Responder responder(rhombus);
  if (!wanted) {
    std::ifstream in(responder.config());
    std::string config((std::istreambuf_iterator<char>(in)), {});
    config.insert(config.find("[archive]\n") + 10, "thumbnails = false\n");
    std::ofstream(responder.config()) << config;
  }
  responder.start();
  const auto alert = responder.alert(camera, now_ms() - 60'000, 4);
  const auto event = wanted ? responder.wait_for_picture(alert) : responder.wait_until_done(alert);
  CHECK(responder.stop(SIGTERM) == 0);
  const auto picture = responder.clips() / (event.clip.substr(0, event.clip.size() - 4) + ".jpg");
  REQUIRE(fs::exists(picture) == wanted);
  if (!wanted) return;
  std::ifstream file(picture, std::ios::binary);
  const std::string jpeg((std::istreambuf_iterator<char>(file)), {});
  CHECK(jpeg.starts_with("\xFF\xD8"));
  const auto size = jpeg.find("\xFF\xC0");
  REQUIRE(size != std::string::npos);
  const auto number = [&](std::size_t at) {
    return static_cast<unsigned char>(jpeg[size + at]) * 256 + static_cast<unsigned char>(jpeg[size + at + 1]);
  };
  CHECK(number(5) == 270);
  CHECK(number(7) == 480);
}

TEST_CASE("an archive on a share that can do little serves all the same, and loses nothing") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Lobby" + std::string(90, 'y'), .video = small, .lan = false});
  rhombus.start();
  std::atomic<bool> healthy{false};
  rhombus.mangle([&](const Request& request, Reply& reply) {
    if (request.path.ends_with("seg_2.m4v") && !healthy) reply = {404, "gone", "text/plain"};
    // Somebody renames the camera.
    for (auto at = reply.body.find("Lobbyy"); healthy && at != std::string::npos; at = reply.body.find("Lobbyy", at))
      reply.body.replace(at, 6, "lobbyy");
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  std::ifstream in(responder.config());
  std::string config((std::istreambuf_iterator<char>(in)), {});
  config.replace(config.find("/clips\""), 7, "//./clips/\"");
  std::ofstream(responder.config()) << config;
  faulty_system::FaultySystem system(responder.folder());
  auto& controls = system.controls();
  controls.archive_folder_sync_error = EINVAL;
  controls.archive_link_error = EPERM;
  controls.archive_has_no_figures = 1;
  controls.archive_longest_name = 143;
  controls.archive_folds_case = 1;
  auto environment = system.environment();
  environment["RHOMBUS_RESPONDER_ARCHIVE_RETENTION_DAYS"] = "3650";
  environment["RHOMBUS_RESPONDER_ARCHIVE_MIN_FREE_BYTES"] = "1048576";
  responder.start(environment);
  const auto alert = responder.alert(camera, some_time_ago(120), 10);
  const auto partial = responder.wait_for(alert, [](const Event& e) { return e.state == "partial"; });
  CHECK(partial.clip.starts_with("Lobby"));
  const auto checked = responder.command({"check"}, environment);
  CAPTURE(checked.out);
  for (const auto* line :
       {"folders cannot be synced there", "it does not tell how much is free", "names have 136 bytes"})
    CHECK(checked.out.find(line) != std::string::npos);
  CHECK(responder.stop(SIGTERM) == 0);

  healthy = true;
  responder.start(environment);
  CHECK(responder.command({"retry", alert}).status == 0);
  const auto event = responder.wait_until_done(alert);
  CHECK(event.clip.starts_with("lobby"));
  // What the better clip has replaced is looked at, and is the better clip.
  const auto leftovers = [&] {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((responder.folder() / "state/journal.db").c_str(), &database) == SQLITE_OK);
    int count = 0;
    REQUIRE(
        sqlite3_exec(
            database, "SELECT count(*) FROM leftovers",
            [](void* into, int, char** values, char**) { return *static_cast<int*>(into) = std::atoi(values[0]), 0; },
            &count, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    return count;
  };
  const auto deadline = now_ms() + 30'000;
  while (leftovers() > 0 && now_ms() < deadline) std::this_thread::yield();
  REQUIRE(leftovers() == 0);
  const auto verified = responder.command({"verify"}, environment);
  CAPTURE(verified.out);
  CHECK(verified.status == 0);
  CHECK(verified.out.find("1 clips checked, 0 wrong") != std::string::npos);
  for (const auto& file : fs::directory_iterator(responder.clips()))
    CHECK(file.path().filename().string().size() <= 143);
  CHECK(responder.log().find("is removed:") == std::string::npos);
}
