// What goes wrong between a camera and its clip: the state that a person would call right, and the whole clip once
// the fault is gone.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <sstream>

#include <catch2/catch.hpp>

#include "clip_checks.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using fake_rhombus::Reply;
using fake_rhombus::Request;

namespace {

using Fault = std::function<void(Reply&)>;

Fault answers(int status) {
  return [status](Reply& reply) { reply = {status, "<html>this is an error page</html>", "text/html"}; };
}
Fault breaks_at(std::size_t byte) {
  return [byte](Reply& reply) { reply.cut_at = byte; };
}
Fault breaks_before_end() {
  return [](Reply& reply) { reply.cut_at = reply.body.size() - 1; };
}
Fault ends_early() {  // with a length that says so
  return [](Reply& reply) { reply.body.resize(reply.body.size() / 2); };
}
Fault holds(const std::string& body) {
  return [body](Reply& reply) { reply.body = body; };
}
Fault has_other_bytes(std::size_t at) {
  return [at](Reply& reply) {
    for (std::size_t i = at; i < at + 8 && i < reply.body.size(); ++i) reply.body[i] = '\xA5';
  };
}

// Lines of the log that a person reads who has not asked for more.
int lines_of(const std::string& log, const std::string& about) {
  std::istringstream in(log);
  int lines = 0;
  for (std::string line; std::getline(in, line);)
    lines += line.find(about) != std::string::npos && line.find(" debug ") == std::string::npos ? 1 : 0;
  return lines;
}

struct Case {
  std::string file;
  std::string name;
  Fault fault;
  std::string state;
  std::string camera = {};
  std::string alert = {};
};

std::vector<Case> fault_matrix() {
  std::vector<Case> cases;
  for (const int status : {400, 401, 403, 404, 408, 410, 429, 500, 502, 503}) {
    const auto name = "HTTP " + std::to_string(status);
    cases.push_back({"file.mpd", name, answers(status), "waiting"});
    cases.push_back({"seg_init.mp4", name, answers(status), "waiting"});
    cases.push_back({"seg_3.m4v", name, answers(status), "partial"});
  }
  for (const auto* file : {"file.mpd", "seg_init.mp4", "seg_3.m4v"}) {
    const std::string state = std::string(file) == "seg_3.m4v" ? "partial" : "waiting";
    cases.push_back({file, "breaks at once", breaks_at(0), state});
    cases.push_back({file, "breaks after a byte", breaks_at(1), state});
    cases.push_back({file, "breaks in the middle", breaks_at(200), state});
    cases.push_back({file, "breaks before its end", breaks_before_end(), state});
    cases.push_back({file, "ends early", ends_early(), state});
    cases.push_back({file, "is empty", holds(""), state});
    cases.push_back({file, "is an error page", holds("<html>busy</html>"), state});
    cases.push_back({file, "is noise", holds(std::string(5000, '\x5A')), state});
    cases.push_back({file, "begins with noise", has_other_bytes(0), state});
  }
  cases.push_back({"seg_3.m4v", "has a broken box", has_other_bytes(30), "partial"});
  return cases;
}

}  // namespace

TEST_CASE("each fault ends in its state, with its reason, and lifted, in the whole clip") {
  auto cases = fault_matrix();
  std::map<std::string, const Case*> by_camera;
  std::atomic<bool> lifted{false};
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000, .wan_connections = 400});
  for (auto& one : cases) {
    one.camera = rhombus.add_camera({.name = one.file + " " + one.name, .video = small, .lan = false});
    by_camera[one.camera] = &one;
  }
  rhombus.start();
  rhombus.mangle([&](const Request& request, Reply& reply) {
    if (lifted || request.server != "wan") return;
    for (const auto& [camera, one] : by_camera) {
      if (request.path.find(camera) != std::string::npos && request.path.ends_with(one->file)) one->fault(reply);
    }
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\nworkers = 16\n");
  responder.start();
  const auto at = (now_ms() / 1000 - 600) * 1000;
  for (auto& one : cases) one.alert = responder.alert(one.camera, at, 10);
  for (const auto& one : cases) {
    CAPTURE(one.file, one.name);
    const auto event =
        responder.wait_for(one.alert, [&](const Event& e) { return e.state == one.state && e.attempts >= 2; });
    CAPTURE(event.reason);
    CHECK_FALSE(event.reason.empty());
    CHECK(event.final == false);
    if (one.name.starts_with("HTTP")) CHECK(event.reason.find(one.name) != std::string::npos);
    if (one.state == "waiting") {
      CHECK(event.clip.empty());
      continue;
    }
    CHECK(event.gaps == 1);
    check_packets_are_true(responder, rhombus, event);
    CHECK(read_clip(responder.clips() / event.clip).streams.at(0).size() >= 20);  // at least what came before
  }
  lifted = true;
  for (const auto& one : cases) {
    CAPTURE(one.file, one.name);
    const auto event = responder.wait_for(
        one.alert, [](const Event& e) { return e.state == "done"; }, std::chrono::seconds(90));
    CHECK(event.gaps == 0);
    CHECK(event.final);
    check_clip(responder, rhombus, event);
  }
  // One clip each: the better ones took the others' places.
  std::size_t clips = 0;
  for (const auto& entry : std::filesystem::directory_iterator(responder.clips()))
    clips += entry.path().extension() == ".mp4" ? 1 : 0;
  CHECK(clips == cases.size());
}

TEST_CASE("a camera that is away is one line in the log, however often it is tried") {
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  const auto camera = rhombus.add_camera({.name = "Away", .video = small});
  rhombus.start();
  rhombus.mangle([&](const Request& request, Reply& reply) {
    if (request.server == camera) reply.cut_at = 0;
    if (request.server == "wan") reply = {.status = 503, .body = ""};
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  const auto alert = responder.alert(camera, some_time_ago(600), 4);
  const auto event = responder.wait_for(
      alert, [](const Event& e) { return e.attempts >= 4; }, std::chrono::seconds(60));
  CHECK(event.reason.starts_with("lan: the device does not answer at https://"));
  CHECK(event.reason.find("; wan: https://") != std::string::npos);
  CHECK(event.reason.find("file.mpd") == std::string::npos);
  CHECK(lines_of(responder.log(), alert) == 2);  // that it is taken, and why it waits
}

TEST_CASE("an outage of the API is said once for all captures, and so is its end") {
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  std::vector<std::string> cameras;
  for (int i = 0; i < 4; ++i)
    cameras.push_back(rhombus.add_camera({.name = "Cam " + std::to_string(i), .video = small, .lan = false}));
  rhombus.start();
  std::atomic<bool> is_away{true};
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    if (is_away && request.server == "api") return Reply{.status = 503, .body = ""};
    return std::nullopt;
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  std::vector<std::string> alerts;
  for (const auto& camera : cameras) alerts.push_back(responder.alert(camera, some_time_ago(600), 4));
  for (const auto& alert : alerts)
    responder.wait_for(
        alert, [](const Event& e) { return e.attempts >= 2; }, std::chrono::seconds(60));
  is_away = false;
  for (const auto& alert : alerts) responder.wait_until_done(alert);
  const auto log = responder.log();
  CHECK(lines_of(log, "Rhombus is unreachable since ") == 1);
  CHECK(lines_of(log, "Rhombus is reachable again") == 1);
  // Until it is known to be an outage, a failure is one of a capture's own.
  CHECK(lines_of(log, "; next attempt in ") <= 4);
}

TEST_CASE("a camera that dies in mid-alert leaves all that it had recorded", "[alone]") {
  constexpr int window = 10;
  std::vector<std::string> cameras;
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  for (int i = 0; i < window; ++i) {
    cameras.push_back(rhombus.add_camera(
        {.name = "Dies " + std::to_string(i), .video = small, .lan = i % 3 == 0, .clamp_to_now = i % 2 == 1}));
  }
  rhombus.start();
  const auto start = now_ms() / 1000 + 1;
  rhombus.mangle([&](const Request& request, Reply& reply) {
    for (int i = 0; i < window; ++i) {
      const bool about =
          request.server == cameras[static_cast<std::size_t>(i)] ||
          (request.server == "wan" && request.path.find(cameras[static_cast<std::size_t>(i)]) != std::string::npos);
      if (about && now_ms() >= (start + i) * 1000) reply.cut_at = 0;
    }
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\nretry_for_seconds = 14\nworkers = 8\n");
  responder.start();
  std::vector<std::string> alerts;
  for (const auto& camera : cameras) alerts.push_back(responder.alert(camera, start * 1000, window));
  for (int i = 0; i < window; ++i) {
    CAPTURE(i);
    // The segments (two seconds) that had ended three seconds before its end: none for the first ones.
    const int segments = std::max(0, i - 3) / 2;
    const auto event = responder.wait_for(
        alerts[static_cast<std::size_t>(i)],
        [&](const Event& e) {
          // Nothing more is tried; of what there is Rhombus is still to say that it is footage.
          const bool is_over = e.reason.find("final") != std::string::npos;
          return is_over && (e.state == "partial" || e.state == "failed");
        },
        std::chrono::seconds(60));
    if (event.state == "failed") {
      CHECK(segments == 0);
      continue;
    }
    check_packets_are_true(responder, rhombus, event);
    const auto pictures = read_clip(responder.clips() / event.clip).streams.at(0).size();
    CHECK(pictures >= static_cast<std::size_t>(segments * 2 * 5));
  }
}

TEST_CASE("a capture that begins on the LAN can end on the WAN") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  rhombus.mangle([camera](const Request& request, Reply& reply) {
    if (request.server != camera) return;
    const auto number = request.path.find("seg_");
    if (number != std::string::npos && std::atoi(request.path.c_str() + number + 4) >= 3) reply.cut_at = 10;
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, (now_ms() / 1000 - 120) * 1000, 20));
  check_clip(responder, rhombus, event);
  // What the LAN gave is not asked for again.
  std::size_t from_wan = 0;
  for (const auto& request : rhombus.requests())
    from_wan += request.server == "wan" && request.path.ends_with(".m4v") ? 1 : 0;
  CHECK(from_wan == 7);
}

TEST_CASE("where nothing leads to the camera, the stored clip serves until the camera is back") {
  std::atomic<bool> gone{true};
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  rhombus.mangle([&gone](const Request& request, Reply& reply) {
    if (gone && request.server != "api") reply.cut_at = 0;
  });
  const auto at = now_ms() / 1000 - 120;
  rhombus.store_clip(camera, "stored-1", at, 6, {.width = 48, .height = 32, .frames_per_second = 5});
  Responder responder(rhombus, "", "buffer_seconds = 4\n");
  responder.start();
  responder.alert(camera, at * 1000, 6, "stored-1");
  const auto stored = responder.wait_for("stored-1", [](const Event& e) { return e.state == "partial"; });
  CHECK(stored.source == "cloud");
  CHECK_FALSE(stored.final);
  CHECK(stored.gaps == 2);
  CHECK(stored.reason.find("stored clip") != std::string::npos);
  CHECK(read_clip(responder.clips() / stored.clip).streams.at(0).size() == 30);
  gone = false;
  const auto event = responder.wait_for(
      "stored-1", [](const Event& e) { return e.state == "done"; }, std::chrono::seconds(60));
  CHECK(event.source != "cloud");
  CHECK(event.clip == stored.clip);
  check_clip(responder, rhombus, event);
}

TEST_CASE("what Rhombus says is gone is not asked for again") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .lan = false});
  rhombus.start();
  const auto at = now_ms() / 1000 - 1200;  // sooner, it may still come
  const bool held = GENERATE(false, true);
  rhombus.intercept([&, at, held](const Request& request) -> std::optional<Reply> {
    if (request.path.ends_with("seg_3.m4v")) return Reply{404, "gone", "text/plain"};
    if (!request.path.ends_with("getPresenceWindows") || held) return std::nullopt;
    return Reply{200, R"({"presenceWindows":{"VideoLocal":[{"startSeconds":)" + std::to_string(at) +
                          R"(,"durationSeconds":4},{"startSeconds":)" + std::to_string(at + 6) +
                          R"(,"durationSeconds":100}]}})"};
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  const auto event =
      responder.wait_for(responder.alert(camera, at * 1000, 10), [](const Event& e) { return e.state == "partial"; });
  CHECK(event.final == !held);
  CHECK(event.gaps == 1);
  check_packets_are_true(responder, rhombus, event);
  if (!held) {
    CHECK(event.attempts == 1);
    CHECK(event.reason.find("no longer holds") != std::string::npos);
  }
}

TEST_CASE("an alert that goes on makes its clip longer") {
  FakeRhombus rhombus;
  const fake_rhombus::VideoProfile every_second{.width = 64, .height = 64, .frames_per_second = 5, .gop_seconds = 1};
  const auto camera = rhombus.add_camera({.name = "Cam", .video = every_second, .lan = false});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 2\n");
  responder.start();
  const auto post = [&](const std::string& alert, std::int64_t at, int duration, const std::string& status) {
    const auto answer = fake_rhombus::send_webhook(
        responder.url(), fake_rhombus::organization_body(alert, camera, at, duration), responder.secret(), false);
    CHECK(answer.status == 200);
    CHECK(answer.body == "{\"status\":\"" + status + "\"}");
  };
  const auto is_done_until = [](std::int64_t end) {
    return [end](const Event& e) { return e.state == "done" && e.window_end == end; };
  };
  SECTION("after it was done") {
    const auto at = now_ms() / 1000 - 120;
    post("grows", at * 1000, 4, "accepted");
    const auto first = responder.wait_until_done("grows");
    post("grows", at * 1000, 9, "duplicate");
    const auto event = responder.wait_for("grows", is_done_until(at + 11));
    CHECK(event.clip == first.clip);
    check_clip(responder, rhombus, event);
  }
  SECTION("while it is captured") {
    const auto at = now_ms() / 1000;
    post("grows", at * 1000, 2, "accepted");
    responder.wait_for("grows", [](const Event& e) { return e.state == "capturing"; });
    post("grows", at * 1000, 5, "duplicate");
    check_clip(responder, rhombus, responder.wait_for("grows", is_done_until(at + 7)));
  }
  SECTION("as Rhombus tells when asked") {
    const auto at = now_ms() / 1000;
    post("grows", at * 1000, 1, "accepted");  // first: the poller would find it, too
    rhombus.set_alert({.uuid = "grows", .device = camera, .timestamp_ms = at * 1000, .duration_s = 4});
    check_clip(responder, rhombus, responder.wait_for("grows", is_done_until(at + 6)));
  }
  std::size_t clips = 0;
  for (const auto& entry : std::filesystem::directory_iterator(responder.clips()))
    clips += entry.path().extension() == ".mp4" ? 1 : 0;
  CHECK(clips == 1);
}

TEST_CASE("whether an alert goes on is asked once more after no answer") {
  FakeRhombus rhombus;
  const fake_rhombus::VideoProfile every_second{.width = 64, .height = 64, .frames_per_second = 5, .gop_seconds = 1};
  const auto camera = rhombus.add_camera({.name = "Cam", .video = every_second, .lan = false});
  std::atomic<int> asked{0};
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    const bool first = request.path.ends_with("getPolicyAlertDetails") && asked++ == 0;
    return first ? std::optional(Reply{500, "oops", "text/plain"}) : std::nullopt;
  });
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 9\n");
  responder.start();
  const auto at = now_ms() / 1000;
  const auto answer = fake_rhombus::send_webhook(
      responder.url(), fake_rhombus::organization_body("grows", camera, at * 1000, 1), responder.secret(), false);
  CHECK(answer.status == 200);
  rhombus.set_alert({.uuid = "grows", .device = camera, .timestamp_ms = at * 1000, .duration_s = 4});
  const auto event = responder.wait_for(
      "grows", [&](const Event& e) { return e.state == "done" && e.window_end == at + 13; },
      std::chrono::seconds(60));
  check_clip(responder, rhombus, event);
  CHECK(asked == 2);
}

TEST_CASE("a short alert within a long one has its clip when its own window is over") {
  FakeRhombus rhombus;
  const fake_rhombus::VideoProfile every_second{.width = 64, .height = 64, .frames_per_second = 5, .gop_seconds = 1};
  const auto camera = rhombus.add_camera({.name = "Cam", .video = every_second, .own_sound = true, .lan = false});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 2\n");
  responder.start();
  const auto at = now_ms();
  const auto long_one = responder.alert(camera, at, 60);
  responder.wait_for(long_one, [](const Event& e) { return e.state == "capturing"; });
  const auto event = responder.wait_until_done(responder.alert(camera, at + 1000, 2));
  CHECK(now_ms() < event.window_end * 1000 + 5000);
  check_clip(responder, rhombus, event, camera);
}

TEST_CASE("alerts whose windows overlap cost the camera each moment once, and each has its exact clip") {
  const bool live = GENERATE(false, true);
  FakeRhombus rhombus({.requests_per_second = 1000, .burst = 1000});
  std::vector<std::string> cameras;
  for (int i = 0; i < 4; ++i) {
    cameras.push_back(rhombus.add_camera(
        {.name = "Cam " + std::to_string(i),
         .video = {.width = 64, .height = 64, .frames_per_second = 5, .bits_per_second = 400'000, .gop_seconds = 1},
         .lan = i % 2 == 0}));
  }
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 5\n");
  responder.start();
  struct One {
    std::string alert;
    std::size_t camera;
  };
  std::vector<One> alerts;
  std::vector<std::int64_t> first(4, INT64_MAX), last(4, 0);
  const auto base = now_ms() / 1000 - (live ? 2 : 600);
  for (std::size_t i = 0; i < 40; ++i) {
    const auto camera = i % 4;
    const auto at = base + static_cast<std::int64_t>(i / 4 * 3 % (live ? 8 : 30));
    const int duration = 6 + static_cast<int>(i % 5);
    alerts.push_back({responder.alert(cameras[camera], at * 1000, duration), camera});
    first[camera] = std::min(first[camera], at - 5);
    last[camera] = std::max(last[camera], at + duration + 5);
  }
  for (const auto& one : alerts) {
    const auto event = responder.wait_for(
        one.alert, [](const Event& e) { return e.state == "done"; }, std::chrono::seconds(60));
    check_clip(responder, rhombus, event);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    std::size_t served = 0;
    for (const auto& request : rhombus.requests()) {
      const bool ours = request.server == cameras[i] || request.path.find(cameras[i]) != std::string::npos;
      if (ours && request.path.ends_with(".m4v") && request.status == 200) served += request.bytes;
    }
    const auto seconds = static_cast<double>(last[i] - first[i]);
    CAPTURE(i, served, seconds);
    CHECK(static_cast<double>(served) <= 1.05 * seconds * 400'000 / 8 * 1.05);  // boxes and the frames themselves
  }
}

TEST_CASE("a camera that drips is cut off and its WAN taken, and one that stalls holds nobody up") {
  FakeRhombus rhombus;
  const fake_rhombus::VideoProfile large{
      .width = 64, .height = 64, .frames_per_second = 5, .bits_per_second = 2'000'000};
  const auto drips = rhombus.add_camera({.name = "Drips", .video = large});
  std::vector<std::string> others;
  for (int i = 0; i < 8; ++i) others.push_back(rhombus.add_camera({.name = "Other", .video = small, .lan = false}));
  rhombus.start();
  rhombus.mangle([drips](const Request& request, Reply& reply) {
    if (request.server == drips && request.path.ends_with(".m4v")) reply.bytes_per_second = 1000;
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\nworkers = 1\n");
  responder.start();
  const auto dripping = responder.alert(drips, now_ms() - 60'000, 6);
  responder.wait_for(dripping, [](const Event& e) { return e.state == "capturing"; });
  std::vector<std::string> alerts;
  for (const auto& camera : others) alerts.push_back(responder.alert(camera, now_ms() - 60'000, 6));
  // A worker that the camera held would have nothing of the others before it is done with that camera.
  responder.wait_until_done(alerts.front());
  CHECK(responder.wait_for(dripping, [](const Event&) { return true; }).state == "capturing");
  for (const auto& alert : alerts) check_clip(responder, rhombus, responder.wait_until_done(alert));
  const auto event = responder.wait_for(
      dripping, [](const Event& e) { return e.state == "done"; }, std::chrono::seconds(90));
  CHECK(event.source == "wan");
  INFO(responder.log());
  CHECK(responder.log().find("stands still") != std::string::npos);
  check_clip(responder, rhombus, event);
}
