#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sqlite3.h>

#include "clip_checks.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;

namespace {

struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Cam", .video = small});

  std::string listed(std::int64_t seconds_ago, int duration_s = 2, const std::string& device = "") {
    const auto uuid = fake_rhombus::random_uuid();
    rhombus.set_alert({.uuid = uuid,
                       .device = device.empty() ? camera : device,
                       .timestamp_ms = some_time_ago(seconds_ago),
                       .duration_s = duration_s,
                       .triggers = {"MOTION_HUMAN"}});
    return uuid;
  }
  std::size_t calls(const std::string& name) const {
    const auto requests = rhombus.requests();
    return static_cast<std::size_t>(
        std::count_if(requests.begin(), requests.end(), [&](const auto& one) { return one.path.ends_with(name); }));
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t clips_in(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    count += file.path().extension() == ".mp4" ? 1 : 0;
  return count;
}

// Once the program has written it.
void set_fact(const std::filesystem::path& journal, const std::string& name, std::int64_t value) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(journal.c_str(), &database) == SQLITE_OK);
  sqlite3_busy_timeout(database, 10'000);
  const auto sql = fmt::format("UPDATE facts SET value = '{}' WHERE name = '{}'", value, name);
  do {
    REQUIRE(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  } while (sqlite3_changes(database) == 0);
  sqlite3_close(database);
}

const std::string every_second = "[catch_up]\ninterval_seconds = 1\n";

}  // namespace

TEST_CASE_METHOD(Fixture, "catch-up takes what is missing, exactly, and a second one finds nothing to do") {
  rhombus.start();
  const Responder responder(rhombus);
  for (int i = 0; i < 4; ++i) listed(600 + 60 * i);
  listed(3 * 86400);  // before the first pass looks

  const auto would = responder.command({"catch-up", "--dry-run"});
  CHECK(would.status == 0);
  CHECK(has(would.out, "4 captures would be taken"));
  CHECK_FALSE(std::filesystem::exists(responder.folder() / "state/journal.db"));

  const auto first = responder.command({"catch-up"});
  CAPTURE(first.out, first.err);
  CHECK(first.status == 0);
  CHECK(has(first.out, "4 done, 0 not"));
  const auto events = responder.events();
  REQUIRE(events.size() == 4);
  for (const auto& event : events) {
    CHECK(event.via == "catch-up");
    check_clip(responder, rhombus, event);
  }
  rhombus.forget_requests();
  const auto second = responder.command({"catch-up"});
  CHECK(second.status == 0);
  CHECK(second.out.empty());  // cron would mail it
  CHECK(calls("clip.mpd") == 0);
  const auto older = responder.command({"catch-up", "--after", "-4d"});
  CHECK(has(older.out, "1 done, 0 not"));
}

TEST_CASE_METHOD(Fixture, "catch-up through many pages asks once a page, also where a page ends in mid-moment") {
  rhombus.start();
  const Responder responder(rhombus, "[filter]\nactivities = [\"FIRE\"]\n");
  const auto at = now_ms() - 3600'000;
  for (int i = 0; i < 450; ++i)
    rhombus.add_alert({.uuid = fake_rhombus::random_uuid(),
                       .device = camera,
                       .timestamp_ms = at - (i / 150) * 1000,  // 150 alerts of the same millisecond
                       .duration_s = 1,
                       .triggers = {"MOTION_HUMAN"}});
  const auto caught_up = responder.command({"catch-up"});
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(caught_up.status == 0);
  CHECK(has(caught_up.out, "450 alerts listed, 450 captures new (450 ignored)"));
  CHECK(calls("getPolicyAlertsV2") == 6);  // five pages, and one that is empty
  CHECK(responder.events().size() == 450);
}

TEST_CASE_METHOD(Fixture, "catch-up says with its status what became of it") {
  rhombus.start();
  const Responder responder(rhombus);
  listed(600);
  CHECK(responder.command({"catch-up", "--after", "yesterday"}).status == 2);
  CHECK(responder.command({"catch-up", "--camera", "not a uuid"}).status == 2);
  CHECK(responder.command({"reconcile"}).status == 2);

  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.server == "api") return fake_rhombus::Reply{403, "{}", "application/json"};
    return std::nullopt;
  });
  const auto refused = responder.command({"catch-up"});
  CAPTURE(refused.err);
  CHECK(refused.status == 3);
  CHECK(has(refused.err, "refuses the API key"));
  CHECK(complaints(refused.err).size() == 1);

  // The elder of the two calls serves where the newer one is gone.
  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path.ends_with("getPolicyAlertsV2")) return fake_rhombus::Reply{404, "gone", "text/plain"};
    if (request.server != "api") return fake_rhombus::Reply{404, "no footage", "text/plain"};
    return std::nullopt;
  });
  const auto failed = responder.command({"catch-up"});
  CAPTURE(failed.out, failed.err);
  CHECK(failed.status == 1);
  CHECK(has(failed.out, "1 to capture: 0 done, 1 not"));

  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.server == "api") return fake_rhombus::Reply{200, R"({"error":true})", "application/json"};
    return std::nullopt;
  });
  CHECK(responder.command({"catch-up"}).status == 3);
  CHECK(responder.command({"reconcile", "--after", "-1h"}).status == 3);
}

TEST_CASE_METHOD(Fixture, "a broken alert holds up neither the others nor the watermark") {
  rhombus.start();
  const Responder responder(rhombus);
  const auto good = listed(600);
  rhombus.intercept([&](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (!request.path.ends_with("getPolicyAlertsV2") || has(request.body, "lastUuid")) return std::nullopt;
    return fake_rhombus::Reply{
        200,
        fmt::format(R"({{"policyAlerts":[{{"uuid":"broken","timestampMs":"soon"}},7,null,)"
                    R"({{"alertId":"{}","cameraUuid":"{}","eventStartMs":{},"eventEndMs":{},"alertType":"FACE"}}]}})",
                    good, camera, now_ms() - 600'000, now_ms() - 598'500),
        "application/json"};
  });
  const auto caught_up = responder.command({"catch-up", "--log-level", "warn"});
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(has(caught_up.out, "1 done, 0 not"));
  CHECK(has(caught_up.err, "alert broken"));
  CHECK(responder.events().at(0).window_end - responder.events().at(0).window_start >= 5);
}

TEST_CASE_METHOD(Fixture,
                 "what is odd in a list costs nobody anything: catch-up takes all, and reconcile accounts for all") {
  rhombus.start();
  const Responder responder(rhombus);
  std::string entries;
  const std::string oddities[] = {R"("textDescription":"\ud83d")", R"("x":99999999999999999999)", R"("x":1e400)",
                                  "\"x\":\"Caf\xe9\"", R"("durationSec":1.5,"locationUuid":"no/id")"};
  for (const auto& odd : oddities) {
    const auto id = listed(600);
    entries += fmt::format(R"({}{{"uuid":"{}","deviceUuid":"{}","timestampMs":{},{}}})", entries.empty() ? "" : ",",
                           id, camera, now_ms() - 600'000, odd);
  }
  rhombus.intercept([&](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path.ends_with("getPolicyAlertsV2")) {
      const auto page = has(request.body, "lastUuid") ? "" : entries;
      return fake_rhombus::Reply{200, "\xEF\xBB\xBF{\"policyAlerts\":[" + page + "]}", "application/json"};
    }
    if (request.path.ends_with("getMinimalCameraStateList")) {
      return fake_rhombus::Reply{200,
                                 "{\"cameraStates\":[7,{\"uuid\":\"no/id\"},{\"uuid\":\"other\",\"name\":\"\xff\","
                                 "\"x\":1e400},{\"uuid\":\"" +
                                     camera + "\",\"name\":\"Caf\xe9\"}]}",
                                 "application/json"};
    }
    return std::nullopt;
  });
  const auto caught_up = responder.command({"catch-up", "--log-level", "warn"});
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(caught_up.status == 0);
  CHECK(has(caught_up.out, "5 done, 0 not"));
  CHECK(has(caught_up.err, "locationUuid"));
  CHECK(has(caught_up.err, "cameraStates[1]"));
  const auto balanced = responder.command({"reconcile", "--after", "-1h", "--json"});
  CAPTURE(balanced.out, balanced.err);
  CHECK(balanced.status == 0);
  CHECK(has(balanced.out, "\"known\":5,\"done\":5"));
  // What is done has its clip under that name, and no reason.
  const auto event = responder.events().at(0);
  CHECK(has(balanced.out, fmt::format("\"reason\":\"\",\"clip\":\"{}\"", event.clip)));
}

TEST_CASE_METHOD(Fixture, "serve catches up by itself, notices missed webhooks, and takes an alert once") {
  rhombus.start();
  Responder responder(rhombus, every_second);
  const auto before = listed(600);  // before there was a listener: nobody's fault
  responder.start();
  responder.wait_until_done(before);
  CHECK(has(responder.command({"status", "--json"}).out, "\"webhooks_missing_since\":null"));

  // Known by webhook and by the list: once.
  const auto both = responder.alert(camera, now_ms() - 60'000, 2);
  rhombus.set_alert({.uuid = both, .device = camera, .timestamp_ms = now_ms() - 60'000, .duration_s = 2});
  responder.wait_until_done(both);

  // Late in the list, and longer than it was.
  const auto late = listed(1800);
  responder.wait_until_done(late);
  rhombus.set_alert({.uuid = late, .device = camera, .timestamp_ms = some_time_ago(1800), .duration_s = 8});
  const auto grown = responder.wait_for(
      late, [](const Event& e) { return e.state == "done" && e.window_end - e.window_start >= 12; }, 30s);
  check_clip(responder, rhombus, grown);
  CHECK(clips_in(responder.clips()) == 3);
  CHECK(responder.stop(SIGTERM) == 0);
}

TEST_CASE_METHOD(Fixture, "when Rhombus is back, what was missed meanwhile is caught up") {
  rhombus.start();
  Responder responder(rhombus, every_second);
  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path.find("getPolicyAlerts") != std::string::npos)
      return fake_rhombus::Reply{503, "down", "text/plain"};
    return std::nullopt;
  });
  responder.start();
  const auto alert = listed(600);
  while (!has(responder.log(), "catching up: ")) std::this_thread::sleep_for(20ms);
  CHECK(responder.events().empty());
  rhombus.intercept({});
  responder.wait_until_done(alert);
}

TEST_CASE_METHOD(Fixture, "the push path is said to be broken when webhooks stay away") {
  rhombus.start();
  rhombus.record_failed_delivery("2026-01-01T00:00:00Z");
  Responder responder(rhombus, "[catch_up]\ninterval_seconds = 0\n");
  responder.start();
  // As if the listener had been up for long: the alert of ten minutes ago should have come by webhook.
  set_fact(responder.folder() / "state/journal.db", "listening_since_ms", now_ms() - 3600'000);
  const auto alert = listed(600);
  CHECK(responder.command({"catch-up"}).status == 0);
  const auto status = responder.command({"status"});
  CHECK(has(status.out, "webhooks   BROKEN since "));
  responder.stop(SIGTERM);
  responder.start();
  while (!has(responder.log(), "webhooks: BROKEN since ")) std::this_thread::sleep_for(20ms);
  CHECK(has(responder.log(), "Rhombus recorded 1 failed deliveries since, the last at 2026-01-01T00:00:00Z"));
  const auto check = responder.command({"check"});
  CHECK(check.status == 1);
  CHECK(has(check.out, "WRONG  webhooks  BROKEN since "));

  // It was only late.
  const auto body = fake_rhombus::organization_body(alert, camera, now_ms() - 600'000, 2);
  CHECK(fake_rhombus::send_webhook(responder.url(), body, responder.secret(), false).body ==
        R"({"status":"duplicate"})");
  CHECK(has(responder.command({"status", "--json"}).out, "\"webhooks_missing_since\":null"));
  CHECK(responder.command({"check"}).status == 1);  // Rhombus still has the failed delivery on record
}

TEST_CASE_METHOD(Fixture, "reconcile accounts for every alert, and names what it cannot") {
  rhombus.start();
  Responder responder(rhombus, every_second + "[filter]\nactivities = [\"MOTION_HUMAN\"]\n");
  const auto done = listed(600);
  const auto lost = listed(700);
  rhombus.add_alert({.uuid = "ignored", .device = camera, .timestamp_ms = now_ms() - 800'000, .duration_s = 1});
  CHECK(responder.command({"catch-up"}).status == 0);
  auto balanced = responder.command({"reconcile", "--after", "-1h"});
  CAPTURE(balanced.out, balanced.err);
  CHECK(balanced.status == 0);
  CHECK(balanced.out.starts_with("known 3 = 2 done + 0 partial + 0 failed + 1 ignored + 0 waiting\n"));
  CHECK(has(balanced.out, done));

  listed(500);
  for (const auto& event : responder.events()) {
    if (event.alert == lost) std::filesystem::remove(responder.clips() / event.clip);
  }
  const auto unbalanced = responder.command({"reconcile", "--after", "-1h", "--json"});
  CHECK(unbalanced.status == 1);
  CHECK(unbalanced.out.starts_with(
      R"({"known":2,"done":1,"partial":0,"failed":0,"ignored":1,"waiting":0,"unaccounted":[)"));
  CHECK(has(unbalanced.out, "it is not in the journal: run catch-up"));
  CHECK(has(unbalanced.out, "run retry " + lost));

  CHECK(responder.command({"retry", lost}).status == 0);
  responder.command({"catch-up"});
  CHECK(responder.command({"reconcile", "--after", "-1h"}).status == 0);
}

TEST_CASE_METHOD(Fixture, "a damaged journal is noticed, and made anew from the archive") {
  rhombus.start();
  Responder responder(rhombus, every_second);
  for (int i = 0; i < 3; ++i) listed(600 + i * 60);
  CHECK(responder.command({"catch-up"}).status == 0);
  const auto before = responder.events();

  const auto journal = responder.folder() / "state/journal.db";
  const auto size = std::filesystem::file_size(journal);
  {
    std::fstream file(journal, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size / 2));
    file << std::string(size / 2, 'x');
  }
  const auto refused = responder.command({"serve"});
  CHECK(refused.status == 2);
  CHECK(has(refused.err, "damaged"));
  CHECK(has(refused.err, "rebuild-journal"));
  CHECK(has(refused.err, journal.string()));

  const auto rebuilt = responder.command({"rebuild-journal"});
  CAPTURE(rebuilt.out, rebuilt.err);
  CHECK(rebuilt.status == 0);
  CHECK(has(rebuilt.out, "3 clips written down"));
  const auto after = responder.events();
  REQUIRE(after.size() == before.size());
  std::set<std::string> clips;
  for (const auto& event : after) clips.insert(event.alert + event.clip + event.sha256 + event.state);
  for (const auto& event : before) CHECK(clips.contains(event.alert + event.clip + event.sha256 + event.state));
  rhombus.forget_requests();
  CHECK(responder.command({"catch-up"}).status == 0);
  CHECK(calls("clip.mpd") == 0);
  CHECK(has(responder.command({"rebuild-journal"}).out, "0 clips written down, 3 were known"));
}

TEST_CASE_METHOD(Fixture,
                 "a lost journal is made anew from the archive by itself, and what waited in the spool is kept") {
  rhombus.start();
  Responder responder(rhombus, every_second);
  for (int i = 0; i < 3; ++i) listed(600 + i * 60);
  CHECK(responder.command({"catch-up"}).status == 0);
  std::ofstream(responder.folder() / "state/spool/ready/1.mp4") << "a clip that the archive does not have yet";
  for (const auto* ending : {"", "-wal", "-shm"})
    std::filesystem::remove((responder.folder() / "state/journal.db").string() + ending);
  rhombus.forget_requests();
  CHECK(responder.command({"catch-up"}).status == 0);
  CHECK(calls("clip.mpd") == 0);
  for (const auto* ending : {"", "-wal", "-shm"})
    std::filesystem::remove((responder.folder() / "state/journal.db").string() + ending);
  std::filesystem::create_directories(responder.folder() / "state/spool/ready");
  std::ofstream(responder.folder() / "state/spool/ready/1.mp4") << "a clip that the archive does not have yet";
  responder.start();
  while (responder.events().size() < 3) std::this_thread::sleep_for(20ms);
  for (const auto& event : responder.events()) CHECK(event.state == "done");
  CHECK(has(responder.log(), "3 clips are written down from their sidecars"));
  CHECK(has(responder.log(), "the spool holds finished clips of a journal that is lost"));
  CHECK(responder.stop(SIGTERM) == 0);
  CHECK(calls("clip.mpd") == 0);
  bool kept = false;
  for (const auto& entry : std::filesystem::directory_iterator(responder.folder() / "state/spool"))
    kept = kept || std::filesystem::exists(entry.path() / "1.mp4");
  CHECK(kept);

  // An archive that is not mounted is not taken for an empty one.
  std::filesystem::rename(responder.clips(), responder.folder() / "away");
  std::filesystem::create_directory(responder.clips());
  const auto refused = responder.command({"rebuild-journal"});
  CHECK(refused.status == 2);
  CHECK(has(refused.err, "mount"));
}

TEST_CASE_METHOD(Fixture, "what the list does not tell again is captured by a later run all the same") {
  rhombus.start();
  Responder responder(rhombus, every_second);
  const auto alert = listed(600);
  CHECK(responder.command({"catch-up"}).status == 0);
  const auto clip = responder.events().at(0).clip;
  std::filesystem::remove(responder.clips() / clip);
  CHECK(responder.command({"retry", alert}).status == 0);
  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path.find("getPolicyAlerts") == std::string::npos) return std::nullopt;
    return fake_rhombus::Reply{200, R"({"policyAlerts":null})", "application/json"};
  });
  const auto caught_up = responder.command({"catch-up"});
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(caught_up.status == 0);
  CHECK(has(caught_up.out, "1 to capture: 1 done, 0 not"));
  CHECK(std::filesystem::exists(responder.clips() / clip));
}

TEST_CASE_METHOD(Fixture, "serve and three catch-ups at once take each alert once") {
  rhombus.start();
  Responder responder(rhombus, every_second);
  // In full, with RESPONDER_PROOF_ROUNDS: tests/proof.
  const std::size_t alerts = std::getenv("RESPONDER_PROOF_ROUNDS") != nullptr ? 500 : 60;
  for (std::size_t i = 0; i < alerts; ++i) listed(600 + 20 * static_cast<std::int64_t>(i), 1);
  std::vector<std::unique_ptr<RunningCommand>> passes;
  for (int i = 0; i < 3; ++i) passes.push_back(std::make_unique<RunningCommand>(responder.with_config({"catch-up"})));
  responder.start();
  for (const auto& pass : passes) {
    const auto result = pass->wait();
    CAPTURE(result.out, result.err);
    CHECK(result.status == 0);
  }
  const auto events = responder.events();
  CHECK(events.size() == alerts);
  for (const auto& event : events) CHECK(event.state == "done");
  CHECK(clips_in(responder.clips()) == alerts);
  // Nobody took what another had in hand.
  for (const auto& event : events) CHECK(event.attempts == 1);
}

TEST_CASE_METHOD(Fixture, "catch-ups that begin at once in a new place agree on the archive") {
  rhombus.start();
  for (int round = 0; round < 5; ++round) {
    Responder responder(rhombus, every_second);
    std::vector<std::unique_ptr<RunningCommand>> passes;
    for (int i = 0; i < 6; ++i)
      passes.push_back(std::make_unique<RunningCommand>(responder.with_config({"catch-up"})));
    for (const auto& pass : passes) {
      const auto result = pass->wait();
      CAPTURE(result.out, result.err);
      CHECK(result.status == 0);
    }
    const auto settled = responder.command({"catch-up"});
    CHECK(settled.status == 0);
    CHECK(!has(settled.err, "not the archive"));
  }
}

TEST_CASE_METHOD(Fixture, "what a killed catch-up had in hand is taken over at once") {
  rhombus.start();
  Responder responder(rhombus, every_second, "buffer_seconds = 4\n");
  const auto alert = listed(0, 1);  // still being recorded
  RunningCommand killed(responder.with_config({"catch-up"}));
  while (!std::filesystem::exists(responder.folder() / "state/journal.db")) std::this_thread::sleep_for(10ms);
  responder.wait_for(alert, [](const Event& e) { return e.state == "capturing"; });
  killed.send(SIGKILL);
  killed.wait();
  const auto began = now_ms();
  responder.start();
  responder.wait_until_done(alert);
  CHECK(now_ms() - began < 10'000);  // a lease would have lasted longer
}
