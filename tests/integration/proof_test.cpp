// The proof that nothing is lost and nothing taken twice: the program is killed, its disk loses what was not synced,
// its clock jumps, its journal's disk is full. In a few rounds here; `tests/proof` runs them in full.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clip_checks.hpp"
#include "faulty_system.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using faulty_system::FaultySystem;

namespace {

// RESPONDER_PROOF_ROUNDS, or a few.
int rounds(int few) {
  const char* given = std::getenv("RESPONDER_PROOF_ROUNDS");
  return given != nullptr ? std::atoi(given) : few;
}

std::minstd_rand seeded_random() {
  const char* given = std::getenv("RESPONDER_PROOF_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  std::cout << "seed " << seed << " (RESPONDER_PROOF_SEED runs it again)\n";
  return std::minstd_rand(seed);
}

// Sends webhooks, each an alert of its own, until it is stopped; remembers those that were answered 200.
class Stream {
 public:
  Stream(const Responder& responder, std::string camera)
      : responder_(responder), camera_(std::move(camera)), thread_([this](std::stop_token stop) { run(stop); }) {}
  std::set<std::string> stop() {
    thread_.request_stop();
    thread_.join();
    return std::move(answered_);
  }

 private:
  void run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      const auto alert = fake_rhombus::random_uuid();
      const auto body = fake_rhombus::organization_body(alert, camera_, some_time_ago(60), 2);
      if (fake_rhombus::send_webhook(responder_.url(), body, responder_.secret(), false).status == 200)
        answered_.insert(alert);
      std::this_thread::sleep_for(5ms);
    }
  }

  const Responder& responder_;
  const std::string camera_;
  std::set<std::string> answered_;
  std::jthread thread_;
};

// Every alert done with a clip that is what the device served; no clip of anybody else, and none twice.
void check_at_rest(const Responder& responder, const FakeRhombus& rhombus, const std::set<std::string>& answered) {
  std::map<std::string, Event> by_clip;
  std::set<std::string> done;
  const auto deadline = std::chrono::steady_clock::now() + 60s + answered.size() * 100ms;
  std::vector<Event> events;
  while (true) {
    events = responder.events();
    const bool at_rest = std::all_of(events.begin(), events.end(), [](const Event& one) { return one.final; });
    if (at_rest || std::chrono::steady_clock::now() > deadline) break;
    std::this_thread::sleep_for(100ms);
  }
  for (const auto& event : events) {
    CAPTURE(event.alert, event.reason);
    CHECK(event.state == "done");
    done.insert(event.alert);
    by_clip[event.clip] = event;
  }
  for (const auto& alert : answered) {
    CAPTURE(alert);
    CHECK(done.contains(alert));
  }
  CHECK(done.size() == events.size());
  std::size_t clips = 0;
  for (const auto& file : std::filesystem::directory_iterator(responder.clips())) {
    const auto name = file.path().filename().string();
    CAPTURE(name);
    if (file.path().extension() != ".mp4") {
      CHECK((name == ".rhombus-responder-archive" || !name.starts_with('.')));
      continue;
    }
    ++clips;
    REQUIRE(by_clip.contains(name));
    check_clip(responder, rhombus, by_clip[name]);
  }
  CHECK(clips == events.size());
}

struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Cam", .video = small});
  std::minstd_rand random = seeded_random();

  std::chrono::milliseconds a_moment(int most_ms) {
    return std::chrono::milliseconds(std::uniform_int_distribution<int>(1, most_ms)(random));
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE_METHOD(Fixture,
                 "killed at random moments under a stream of webhooks, nothing is lost and nothing taken twice") {
  rhombus.start();
  Responder responder(rhombus);
  std::set<std::string> answered;
  for (int round = 0; round < rounds(10); ++round) {
    responder.start();
    Stream stream(responder, camera);
    std::this_thread::sleep_for(a_moment(300));
    responder.stop(SIGKILL);
    answered.merge(stream.stop());
  }
  REQUIRE_FALSE(answered.empty());
  std::cout << answered.size() << " webhooks answered\n";
  responder.start();
  check_at_rest(responder, rhombus, answered);
}

TEST_CASE_METHOD(Fixture, "killed while what was not synced is lost, nothing is lost and nothing taken twice") {
  rhombus.start();
  Responder responder(rhombus);
  FaultySystem system(responder.folder() / "state");
  FaultySystem archive(responder.folder() / "clips");
  std::set<std::string> answered;
  std::size_t taken_back = 0;
  for (int round = 0; round < rounds(10); ++round) {
    // The journal and the spool in turns with the archive: each has its own record.
    auto& faulty = round % 4 == 3 ? archive : system;
    responder.start(faulty.environment());
    Stream stream(responder, camera);
    std::this_thread::sleep_for(a_moment(600));
    responder.stop(SIGKILL);
    answered.merge(stream.stop());
    taken_back += faulty.cut_power(round % 2 == 0 ? nullptr : &random);
  }
  REQUIRE_FALSE(answered.empty());
  CHECK(taken_back > 0);
  std::cout << answered.size() << " webhooks answered, " << taken_back << " operations taken back\n";
  responder.start();
  check_at_rest(responder, rhombus, answered);
}

TEST_CASE_METHOD(Fixture, "a sync of the journal that failed is not trusted again") {
  rhombus.start();
  Responder responder(rhombus);
  FaultySystem system(responder.folder() / "state");
  std::set<std::string> answered;
  for (int round = 0; round < rounds(6); ++round) {
    responder.start(system.environment());
    Stream stream(responder, camera);
    std::this_thread::sleep_for(a_moment(200));
    system.controls().failing_journal_syncs = 1 + round % 3;
    std::this_thread::sleep_for(a_moment(300));
    responder.stop(SIGKILL);
    answered.merge(stream.stop());
    // The first start afterwards finds in memory what the disk does not have; the power goes after that one.
    system.controls().failing_journal_syncs = 0;
    if (round % 2 == 0) {
      responder.start(system.environment());
      Stream again(responder, camera);
      std::this_thread::sleep_for(a_moment(300));
      responder.stop(SIGKILL);
      answered.merge(again.stop());
    }
    system.cut_power(nullptr);
  }
  responder.start();
  check_at_rest(responder, rhombus, answered);
}

TEST_CASE_METHOD(Fixture,
                 "a full disk under the journal is 503 and comes back by itself, and what was refused is caught up") {
  rhombus.start();
  Responder responder(rhombus, "[catch_up]\ninterval_seconds = 3600\n");
  FaultySystem system(responder.folder() / "state");
  const auto admin = (responder.folder() / "admin.sock").string();
  auto environment = system.environment();
  environment["RHOMBUS_RESPONDER_ADMIN_LISTEN"] = "unix:" + admin;
  responder.start(environment);
  const auto readiness = [&] {
    httplib::Client client(admin);
    client.set_address_family(AF_UNIX);
    client.set_default_headers({{"Host", "localhost"}});
    const auto answer = client.Get("/readyz");
    return answer ? answer->status : 0;
  };
  const auto first = responder.alert(camera, some_time_ago(60), 2);
  responder.wait_until_done(first);
  CHECK(readiness() == 200);
  system.controls().journal_disk_full = 1;
  const auto refused = fake_rhombus::random_uuid();
  rhombus.add_alert({.uuid = refused, .device = camera, .timestamp_ms = some_time_ago(60), .duration_s = 2});
  const auto body = fake_rhombus::organization_body(refused, camera, some_time_ago(60), 2);
  CHECK(fake_rhombus::send_webhook(responder.url(), body, responder.secret(), false).status == 503);
  CHECK(readiness() == 503);
  system.controls().journal_disk_full = 0;
  // Within seconds, whether or not another alert comes.
  const auto room_since = now_ms();
  while (readiness() != 200) REQUIRE(now_ms() - room_since < 10'000);
  const auto second = responder.alert(camera, some_time_ago(60), 2);
  responder.wait_until_done(second);
  responder.wait_until_done(refused);  // long before the hour is over
  CHECK(responder.stop(SIGTERM) == 0);
  responder.start();
  check_at_rest(responder, rhombus, {first, second, refused});
}

TEST_CASE_METHOD(Fixture, "clocks that jump neither lose nor repeat anything") {
  rhombus.start();
  Responder responder(rhombus, "[catch_up]\ninterval_seconds = 1\n",
                      "buffer_seconds = 2\nretry_for_seconds = 3600\n");
  FaultySystem system(responder.folder() / "state");
  responder.start(system.environment());
  std::set<std::string> alerts;
  const auto listed = [&](std::int64_t seconds_ago) {
    const auto uuid = fake_rhombus::random_uuid();
    rhombus.add_alert({.uuid = uuid, .device = camera, .timestamp_ms = some_time_ago(seconds_ago), .duration_s = 2});
    alerts.insert(uuid);
    return uuid;
  };
  // An hour forward, a day forward, back to the truth, an hour and two days back.
  for (const std::int64_t offset_s : {0, 3600, 86400, 0, -3601, -2 * 86400, 0}) {
    system.controls().clock_offset_ms = offset_s * 1000;
    for (const std::int64_t seconds_ago : {0, 30}) {
      // Far in the future to a clock that is behind: ignored, until the list tells of them again.
      const auto body = fake_rhombus::organization_body(listed(seconds_ago), camera, some_time_ago(seconds_ago), 2);
      CHECK(fake_rhombus::send_webhook(responder.url(), body, responder.secret(), false).status == 200);
    }
    listed(120);
    std::this_thread::sleep_for(1500ms);
  }
  for (const auto& alert : alerts)
    responder.wait_for(
        alert, [](const Event& e) { return e.state == "done"; }, 60s);
  check_at_rest(responder, rhombus, alerts);
  CHECK(responder.stop(SIGTERM) == 0);
}

TEST_CASE_METHOD(Fixture, "webhooks that the sender drops are all there after one catch-up") {
  rhombus.start();
  Responder responder(rhombus, "[catch_up]\ninterval_seconds = 0\n");
  responder.start();
  std::set<std::string> alerts;
  for (int i = 0; i < 60; ++i) {
    const auto alert = fake_rhombus::random_uuid();
    const auto at = some_time_ago(120 + 2 * i);
    alerts.insert(alert);
    rhombus.add_alert({.uuid = alert, .device = camera, .timestamp_ms = at, .duration_s = 2});
    if (std::uniform_int_distribution<int>(0, 9)(random) < 3) continue;
    const auto body = fake_rhombus::organization_body(alert, camera, at, 2);
    CHECK(fake_rhombus::send_webhook(responder.url(), body, responder.secret(), false).status == 200);
  }
  const auto caught_up = responder.command({"catch-up"});
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(caught_up.status == 0);
  check_at_rest(responder, rhombus, alerts);
  const auto balanced = responder.command({"reconcile", "--after", "-1h"});
  CHECK(balanced.status == 0);
  CHECK(has(balanced.out, "known 60 = 60 done + 0 partial + 0 failed + 0 ignored + 0 waiting\n"));
}

TEST_CASE_METHOD(Fixture, "restarts under load drop nothing that was accepted, and end in time") {
  rhombus.start();
  Responder responder(rhombus);
  std::set<std::string> answered;
  for (int round = 0; round < 4; ++round) {
    responder.start();
    Stream stream(responder, camera);
    std::this_thread::sleep_for(a_moment(400));
    const auto began = now_ms();
    CHECK(responder.stop(SIGTERM) == 0);
    CHECK(now_ms() - began < 10'000);
    answered.merge(stream.stop());
  }
  responder.start();
  check_at_rest(responder, rhombus, answered);
}

TEST_CASE_METHOD(Fixture, "with the service manager's socket a restart refuses nobody") {
  rhombus.start();
  Responder responder(rhombus);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(socket, 1024) == 0);
  responder.start({}, {socket});
  CHECK(has(responder.log(), "the socket is the service manager's"));

  std::set<std::string> sent;
  std::atomic<int> refused{0};
  std::jthread sender([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      const auto alert = fake_rhombus::random_uuid();
      const auto body = fake_rhombus::organization_body(alert, camera, some_time_ago(60), 2);
      const auto answer = fake_rhombus::send_webhook(responder.url(), body, responder.secret(), false);
      if (answer.status == 200) {
        sent.insert(alert);
      } else {
        ++refused;
      }
      std::this_thread::sleep_for(5ms);
    }
  });
  for (int round = 0; round < 4; ++round) {
    std::this_thread::sleep_for(a_moment(300));
    CHECK(responder.stop(SIGTERM) == 0);
    std::this_thread::sleep_for(a_moment(200));  // they wait in the socket's queue
    responder.start({}, {socket});
  }
  sender.request_stop();
  sender.join();
  ::close(socket);
  CHECK(refused == 0);
  check_at_rest(responder, rhombus, sent);
}
