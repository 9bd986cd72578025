// Looking after an archive: verify, export, events.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "clip_checks.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using fake_rhombus::Reply;
using fake_rhombus::Request;
namespace fs = std::filesystem;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// One byte in the middle of it.
void damage(const fs::path& path) {
  auto bytes = content(path);
  bytes[bytes.size() / 2] = static_cast<char>(~bytes[bytes.size() / 2]);
  std::ofstream(path, std::ios::binary) << bytes;
}

// By another process.
bool is_locked(const fs::path& file) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  const bool locked = fd >= 0 && ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  if (fd >= 0) ::close(fd);
  return locked;
}

// As many done captures as asked for.
struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Front Door", .video = small});
  std::optional<Responder> responder;
  std::vector<std::string> alerts;

  void begin(int count) {
    rhombus.start();
    responder.emplace(rhombus);
    responder->start();
    for (int i = 0; i < count; ++i) {
      alerts.push_back(responder->alert(camera, some_time_ago(1800 - 60 * i), 2));
      responder->wait_until_done(alerts.back());
    }
  }
  Event event(const std::string& alert) const {
    return responder->wait_for(alert, [](const Event&) { return true; });
  }
  fs::path clip(const std::string& alert) const { return responder->clips() / event(alert).clip; }
  void stop() { CHECK(responder->stop(SIGTERM) == 0); }
  // No camera and no storage of Rhombus's has any footage, nor has the spool.
  void lose_footage() {
    rhombus.intercept([](const Request& request) -> std::optional<Reply> {
      if (request.server != "api") return Reply{404, "gone", "text/plain"};
      if (!request.path.ends_with("getPresenceWindows")) return std::nullopt;
      return Reply{200, R"({"presenceWindows":{"VideoLocal":[{"startSeconds":1,"durationSeconds":1}]}})",
                   "application/json"};
    });
    fs::remove_all(responder->folder() / "state/spool/work");
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "verify finds what is wrong with clips, and nothing else") {
  begin(3);
  auto result = responder->command({"verify"});
  CHECK(result.status == 0);
  CHECK(result.out == "3 clips checked, 0 wrong\n");

  damage(clip(alerts[0]));
  fs::remove(clip(alerts[1]));
  fs::resize_file(clip(alerts[2]), 10);
  const auto before = responder->events();
  result = responder->command({"verify"});
  CAPTURE(result.out);
  CHECK(result.status == 1);
  CHECK(lines(result.out) == 4);
  CHECK(has(result.out,
            fmt::format("{}  alert {}  camera {}  damaged: its SHA-256", event(alerts[0]).clip, alerts[0], camera)));
  CHECK(has(result.out, "missing: it is not in the archive"));
  CHECK(has(result.out, "damaged: it has 10 bytes, not"));
  CHECK(has(result.out, "3 clips checked, 3 wrong\n"));
  // Without --repair nothing is changed.
  for (const auto& event : before) CHECK(this->event(event.alert).state == "done");

  // An archive that is away is one thing that is wrong.
  fs::rename(responder->clips(), responder->folder() / "away");
  result = responder->command({"verify"});
  CHECK(result.status == 1);
  CHECK(result.out.empty());
  CHECK(has(result.err, "not the archive this journal knows"));
}

TEST_CASE_METHOD(Fixture, "verify --repair has a running serve take damaged and missing clips again") {
  begin(3);
  damage(clip(alerts[0]));
  fs::remove(clip(alerts[1]));
  const auto result = responder->command({"verify", "--repair"});
  CAPTURE(result.out);
  CHECK(result.status == 1);
  CHECK(has(result.out, "2 captures are in line again"));
  for (const auto& alert : {alerts[0], alerts[1]}) {
    check_clip(*responder, rhombus, responder->wait_until_done(alert));
    CHECK(event(alert).reason.empty());
  }
  CHECK(responder->command({"verify", "--repair"}).out == "3 clips checked, 0 wrong\n");
}

TEST_CASE_METHOD(Fixture, "a repair without footage loses nothing, says so, and is not tried again and again") {
  begin(2);
  stop();
  lose_footage();
  const auto damaged = clip(alerts[0]);
  const auto missing = clip(alerts[1]);
  const auto sound = content(damaged);
  damage(damaged);
  const auto as_damaged = content(damaged);
  fs::rename(missing, responder->folder() / "aside.mp4");
  const auto was = event(alerts[0]);
  CHECK(responder->command({"verify", "--repair"}).status == 1);
  CHECK(event(alerts[0]).state == "waiting");

  responder->start();
  // Rhombus is asked once a minute, and was when the clips were made.
  const auto kept = responder->wait_for(
      alerts[0], [](const Event& e) { return e.final; }, 100s);
  CHECK(kept.state == "partial");
  CHECK(has(kept.reason, "its clip is damaged, and there is no better one"));
  CHECK(kept.clip == was.clip);
  CHECK(kept.sha256 == was.sha256);
  CHECK(content(damaged) == as_damaged);
  const auto lost = responder->wait_for(
      alerts[1], [](const Event& e) { return e.final; }, 100s);
  CHECK(lost.state == "failed");
  CHECK(has(lost.reason, "its clip is missing"));
  CHECK_FALSE(lost.sha256.empty());

  auto again = responder->command({"verify", "--repair"});
  CAPTURE(again.out);
  CHECK(again.status == 1);
  CHECK(has(again.out, "not to be had again: its clip is damaged"));
  CHECK_FALSE(has(again.out, "in line again"));
  CHECK(event(alerts[0]).final);

  // Somebody puts them back.
  std::ofstream(damaged, std::ios::binary) << sound;
  fs::rename(responder->folder() / "aside.mp4", missing);
  again = responder->command({"verify", "--repair"});
  CAPTURE(again.out);
  CHECK(again.status == 0);
  CHECK(has(again.out, "is sound again"));
  for (const auto& alert : alerts) {
    const auto event = responder->wait_until_done(alert);
    CHECK(event.reason.empty());
  }
}

TEST_CASE_METHOD(Fixture, "a damaged clip is kept beside a better one that is not whole") {
  begin(1);
  const auto damaged = clip(alerts[0]);
  damage(damaged);
  const auto as_damaged = content(damaged);
  stop();
  fs::remove_all(responder->folder() / "state/spool/work");
  const auto start = event(alerts[0]).window_start;
  rhombus.intercept([start](const Request& request) -> std::optional<Reply> {
    if (request.path.ends_with("seg_2.m4v") || request.server == "wan") return Reply{404, "gone", "text/plain"};
    if (!request.path.ends_with("getPresenceWindows")) return std::nullopt;
    return Reply{
        200,
        fmt::format(R"({{"presenceWindows":{{"VideoLocal":[{{"startSeconds":{},"durationSeconds":2}}]}}}})", start),
        "application/json"};
  });
  CHECK(responder->command({"verify", "--repair"}).status == 1);
  responder->start();
  const auto event = responder->wait_for(alerts[0], [](const Event& e) { return e.state == "partial" && e.final; });
  CHECK(has(event.reason, "in the place of a damaged clip"));
  CHECK(event.gaps > 0);
  check_packets_are_true(*responder, rhombus, event);
  auto kept = damaged;
  CHECK(content(kept.replace_extension(".damaged.mp4")) == as_damaged);
  CHECK(responder->command({"verify"}).status == 0);
}

TEST_CASE_METHOD(Fixture, "a verify that is interrupted goes on where it stopped") {
  begin(4);
  stop();
  damage(clip(alerts[0]));
  // So slow that it is in one of the first clips for as long as the test takes.
  const auto first = fs::file_size(clip(alerts[0]));
  RunningCommand slow(responder->with_config({"verify", "--rate", std::to_string(first / 4)}));
  while (!is_locked(responder->folder() / "state/journal.db.verify-lock")) std::this_thread::yield();
  const auto second = responder->command({"verify"});
  CHECK(second.status == 2);
  CHECK(has(second.err, "another verify is at work"));
  slow.send(GENERATE(SIGINT, SIGTERM));
  const auto interrupted = slow.wait();
  CAPTURE(interrupted.out, interrupted.err);
  CHECK(interrupted.status == 1);
  CHECK(has(interrupted.err, "the next verify goes on there"));
  const int checked = std::atoi(interrupted.err.substr(interrupted.err.find("after ") + 6).c_str());
  const int wrong = std::atoi(interrupted.err.substr(interrupted.err.find("clips, ") + 7).c_str());
  CHECK(checked < 4);

  const bool repairs = GENERATE(false, true);
  const auto rest = responder->command(repairs ? std::vector<std::string>{"verify", "--repair"}
                                               : std::vector<std::string>{"verify"});
  CAPTURE(rest.out);
  CHECK(rest.status == 1);  // whoever told of it
  // What was only told of is still to be repaired.
  const bool anew = repairs && wrong > 0;
  CHECK(has(rest.out, "going on after") == (checked > 0 && !anew));
  CHECK(has(rest.out, "SHA-256") == (wrong == 0 || anew));
  CHECK(has(rest.out, "1 captures are in line again") == repairs);
  CHECK(has(rest.out, "4 clips checked, 1 wrong"));
  // A finished one begins anew.
  CHECK(has(responder->command({"verify"}).out, "SHA-256"));
}

TEST_CASE_METHOD(Fixture, "clips that are made anew beside it are no findings of verify's") {
  begin(1);
  const auto at = event(alerts[0]).window_start * 1000 + 2000;
  std::string findings;
  std::jthread verifying([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      const auto result = responder->command({"verify", "--repair"});
      if (result.status != 0) findings += result.out + result.err;
    }
  });
  // The alert goes on, again and again.
  for (int duration = 3; duration < 30; ++duration) {
    const auto body = fake_rhombus::organization_body(alerts[0], camera, at, duration);
    CHECK(fake_rhombus::send_webhook(responder->url(), body, responder->secret(), false).status == 200);
    responder->wait_for(alerts[0], [&](const Event& e) {
      return e.state == "done" && e.window_end - e.window_start == duration + 4;
    });
  }
  verifying.request_stop();
  verifying.join();
  CHECK(findings.empty());
}

TEST_CASE_METHOD(Fixture, "export hands clips over as evidence") {
  begin(2);
  const auto to = responder->folder() / "evidence";
  const auto result = responder->command({"export", alerts[0], alerts[1], "--to", to.string()});
  CAPTURE(result.out, result.err);
  CHECK(result.status == 0);
  const auto check = fmt::format("cd '{}' && sha256sum --quiet --strict -c SHA256SUMS", to.string());
  CHECK(std::system(check.c_str()) == 0);
  CHECK(lines(content(to / "SHA256SUMS")) == 6);  // clip, sidecar and picture of each
  for (const auto& alert : alerts) {
    CHECK(content(to / event(alert).clip) == content(clip(alert)));
    CHECK(fs::exists((to / event(alert).clip).replace_extension(".json")));
  }
  CHECK(responder->command({"export", alerts[0], "--to", to.string()}).status == 0);  // it is there

  // What stands there as something else stays.
  const auto taken = to / event(alerts[0]).clip;
  std::ofstream(taken) << "something else";
  auto refused = responder->command({"export", alerts[0], "--to", to.string()});
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "is another file"));
  CHECK(content(taken) == "something else");

  // A damaged clip is no evidence.
  damage(clip(alerts[1]));
  const auto elsewhere = responder->folder() / "elsewhere";
  refused = responder->command({"export", alerts[0], alerts[1], "--to", elsewhere.string()});
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "alert " + alerts[1]));
  CHECK(has(refused.err, "damaged: its SHA-256"));
  CHECK(fs::exists(elsewhere / event(alerts[0]).clip));
  CHECK_FALSE(fs::exists(elsewhere / event(alerts[1]).clip));
  CHECK(lines(content(elsewhere / "SHA256SUMS")) == 3);

  // Nothing is exported when an alert is unknown.
  const auto nowhere = responder->folder() / "nowhere";
  refused = responder->command({"export", alerts[0], "unknown", "--to", nowhere.string()});
  CHECK(refused.status == 2);
  CHECK(has(refused.err, "alert unknown is not in the journal"));
  CHECK_FALSE(fs::exists(nowhere));
  for (const auto* unwritable : {"/proc/evidence", "/proc/self"}) {
    refused = responder->command({"export", alerts[0], alerts[1], "--to", unwritable});
    CHECK(refused.status == 2);
    CHECK(lines(refused.err) == 1);
    CHECK(has(refused.err, "--to: "));
  }
}

TEST_CASE_METHOD(Fixture, "events are found by camera, activity, way and time, in a table") {
  begin(1);
  const auto table = [&](std::vector<std::string> filter) {
    filter.insert(filter.begin(), "events");
    return responder->command(filter).out;
  };
  const auto whole = table({});
  CHECK(whole.starts_with("WINDOW FROM"));
  CHECK(lines(whole) == 2);
  for (const auto& part : {std::string("Front Door"), alerts[0], event(alerts[0]).clip, std::string("MOTION_HUMAN")})
    CHECK(has(whole, part));
  for (const auto& filter : std::vector<std::vector<std::string>>{{"--camera", "front"},
                                                                  {"--camera", camera},
                                                                  {"--activity", "motion_human"},
                                                                  {"--via", "webhook"},
                                                                  {"--after", "-1h"},
                                                                  {"--state", "done", "--camera", "DOOR"}})
    CHECK(table(filter) == whole);
  for (const auto& filter : std::vector<std::vector<std::string>>{
           {"--camera", "back"}, {"--activity", "motion"}, {"--via", "manual"}, {"--before", "-1h"}})
    CHECK(table(filter).empty());
  CHECK(has(responder->command({"events", "--json"}).out, R"("kind":"alert","held":false,"removed_at":null})"));
  CHECK(has(responder->command({"events", "--via", "mail"}).err, "--via mail is unknown"));
  CHECK(has(responder->command({"events", "--after", "-1h", "--before", "-2h"}).err, "--before"));
}
