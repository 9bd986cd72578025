// The archive within its limits: what goes, what stays, and who tells of it.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sqlite3.h>

#include "clip_checks.hpp"
#include "faulty_system.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using faulty_system::FaultySystem;
namespace fs = std::filesystem;

namespace {

using Environment = std::map<std::string, std::string>;

constexpr std::int64_t day_s = 86400;
constexpr std::size_t all_files = 3;  // of a clip: itself, its sidecar, its picture

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Cam", .video = small, .lan = false});

  Fixture() { rhombus.start(); }

  // An alert of then, of which Rhombus tells when it is asked as well; its clip is there.
  Event taken(const Responder& responder, std::int64_t seconds_ago, const std::string& device = "") {
    const auto& seen_by = device.empty() ? camera : device;
    const auto at = some_time_ago(seconds_ago);
    const auto alert = responder.alert(seen_by, at, 2);
    rhombus.add_alert({.uuid = alert, .device = seen_by, .timestamp_ms = at, .duration_s = 2});
    return responder.wait_for_picture(alert);
  }
};

// The clip's files that are there.
std::size_t files_of(const Responder& responder, const Event& event) {
  std::size_t count = 0;
  for (const auto* ending : {".mp4", ".json", ".jpg"})
    count += fs::exists((responder.clips() / event.clip).replace_extension(ending)) ? 1 : 0;
  return count;
}

void wait_until_gone(const Responder& responder, const Event& event) {
  const auto deadline = now_ms() + 30'000;
  while (files_of(responder, event) > 0 && now_ms() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(files_of(responder, event) == 0);
}

const Environment any_age{{"RHOMBUS_RESPONDER_WEBHOOK_MAX_AGE_SECONDS", "0"}};
Environment keep_days(int days) {
  return {{"RHOMBUS_RESPONDER_WEBHOOK_MAX_AGE_SECONDS", "0"},
          {"RHOMBUS_RESPONDER_ARCHIVE_RETENTION_DAYS", std::to_string(days)}};
}

Event event_of(const Responder& responder, const std::string& alert) {
  for (const auto& event : responder.events()) {
    if (event.alert == alert) return event;
  }
  FAIL("no event of " << alert);
  return {};
}

void write_to_journal(const Responder& responder, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((responder.folder() / "state/journal.db").c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

}  // namespace

TEST_CASE_METHOD(Fixture, "old clips go and are accounted for, and held ones and what is nobody's stay") {
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start(any_age);
  const auto old = taken(responder, 3 * day_s);
  const auto held = taken(responder, 4 * day_s);
  const auto fresh = taken(responder, 60);
  CHECK(files_of(responder, old) == all_files);
  CHECK(responder.command({"hold", held.alert}).status == 0);
  CHECK(event_of(responder, held.alert).held);
  CHECK(responder.command({"hold", "unknown"}).status == 2);
  const auto stray = responder.clips() / "Cam_20010101_000000_video.mp4";
  std::ofstream(stray) << "somebody else's";
  CHECK(responder.stop(SIGTERM) == 0);

  responder.start(keep_days(1));
  const auto removed = responder.wait_for(old.alert, [](const Event& e) { return e.removed; });
  CHECK(removed.state == "done");
  CHECK(removed.clip.empty());
  CHECK(removed.reason == "its clip was removed: older than a day (archive.retention_days)");
  wait_until_gone(responder, old);
  CHECK(has(responder.log(), old.clip));
  CHECK(has(responder.log(), "is removed: older than a day"));
  CHECK(files_of(responder, held) == all_files);
  CHECK(files_of(responder, fresh) == all_files);
  CHECK(fs::exists(stray));

  // It is known and not taken again.
  const auto caught_up = responder.command({"catch-up", "--after", "-10d"}, keep_days(1));
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(caught_up.status == 0);
  CHECK(event_of(responder, old.alert).removed);
  const auto balance = responder.command({"reconcile", "--after", "-10d"});
  CAPTURE(balance.out);
  CHECK(balance.status == 0);
  CHECK(has(balance.out, "known 3 = 3 done"));
  CHECK(has(responder.command({"status"}).out, "clips      2 ("));
  CHECK(has(responder.command({"hold", old.alert}).out, "retry"));

  // Beside a serve, whose publisher removes the files.
  CHECK(responder.command({"release", held.alert}).status == 0);
  const auto pruned = responder.command({"prune"}, keep_days(1));
  CAPTURE(pruned.out, pruned.err);
  CHECK(pruned.status == 0);
  CHECK(has(pruned.out, held.clip));
  CHECK(files_of(responder, held) == 0);
  CHECK(event_of(responder, held.alert).removed);

  // Who asks for it gets it again.
  CHECK(responder.command({"retry", old.alert}).status == 0);
  check_clip(responder, rhombus, responder.wait_until_done(old.alert));
  CHECK(responder.stop(SIGTERM) == 0);
}

TEST_CASE_METHOD(Fixture, "prune says what and why, and keeps the newest that there is room for") {
  const auto other = rhombus.add_camera({.name = "Other", .video = small, .lan = false});
  Responder responder(rhombus, fmt::format("[[rule]]\ncameras = [\"{}\"]\nmax_bytes = 1\n", other),
                      "buffer_seconds = 0\n");
  Environment environment{{"RHOMBUS_RESPONDER_ARCHIVE_LAYOUT", "by-camera"}};
  responder.start(environment);
  std::vector<Event> events;
  for (const int minutes : {4, 3, 2, 1}) events.push_back(taken(responder, 60 * minutes));
  const auto of_other = taken(responder, 60, other);
  CHECK(responder.command({"hold", events[0].alert}).status == 0);
  CHECK(responder.stop(SIGTERM) == 0);
  std::uintmax_t room = 0;
  for (const auto place : {0, 2, 3})
    room += fs::file_size(responder.clips() / events.at(static_cast<std::size_t>(place)).clip);
  environment["RHOMBUS_RESPONDER_ARCHIVE_MAX_BYTES"] = std::to_string(room);

  const auto listed = responder.command({"prune", "--dry-run"}, environment);
  CAPTURE(listed.out, listed.err);
  CHECK(listed.status == 0);
  CHECK(lines(listed.out) == 3);
  CHECK(has(listed.out, events[1].clip + fmt::format(": more than {} bytes (archive.max_bytes)", room)));
  CHECK(has(listed.out, of_other.clip + ": more than 1 bytes (max_bytes of [[rule]] number 1)"));
  CHECK(has(listed.out, "2 clips, "));
  for (const auto& event : events) CHECK(files_of(responder, event) == all_files);
  CHECK(responder.command({"prune", "--dry-run"}, environment).out == listed.out);

  const auto pruned = responder.command({"prune"}, environment);
  CAPTURE(pruned.out, pruned.err);
  CHECK(pruned.status == 0);
  CHECK(pruned.out.substr(0, pruned.out.find(" clips")) == listed.out.substr(0, listed.out.find(" clips")));
  for (std::size_t i = 0; i < events.size(); ++i) CHECK(files_of(responder, events[i]) == (i == 1 ? 0 : all_files));
  CHECK(files_of(responder, of_other) == 0);
  CHECK_FALSE(fs::exists((responder.clips() / of_other.clip).parent_path()));  // nothing is left of that camera
  CHECK(responder.command({"prune"}, environment).out == "0 clips, 0.0 GiB, removed\n");
  CHECK(has(responder.command({"prune"}).out, "max_bytes of [[rule]]") == false);

  // Where the archive is not, nothing goes.
  fs::rename(responder.clips(), responder.folder() / "away");
  fs::create_directory(responder.clips());
  environment["RHOMBUS_RESPONDER_ARCHIVE_MAX_BYTES"] = "1";
  const auto refused = responder.command({"prune"}, environment);
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "marker file is missing"));
  CHECK_FALSE(event_of(responder, events[3].alert).removed);
}

TEST_CASE_METHOD(Fixture, "a crash between a removal's row and its file leaves nothing behind") {
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start(any_age);
  const auto old = taken(responder, 3 * day_s);
  responder.stop(SIGKILL);
  write_to_journal(responder,
                   fmt::format("UPDATE captures SET removed_ms = 1 WHERE alert = '{0}'; INSERT INTO leftovers "
                               "SELECT clip FROM captures WHERE alert = '{0}'",
                               old.alert));
  responder.start();
  wait_until_gone(responder, old);
  CHECK(responder.running());
}

TEST_CASE_METHOD(Fixture, "a prune that is killed, with the power cut, leaves whole clips or none") {
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start(any_age);
  std::vector<Event> events;
  for (int i = 0; i < 12; ++i) events.push_back(taken(responder, 3 * day_s + 60 * i));
  CHECK(responder.stop(SIGTERM) == 0);
  std::minstd_rand random(std::random_device{}());
  FaultySystem system(responder.folder());
  auto environment = keep_days(1);
  environment.merge(system.environment());
  for (int round = 0; round < 6; ++round) {
    {
      RunningCommand prune(responder.with_config({"prune"}), environment);
      // Somewhere on its way: while files go, mostly.
      const auto left = [&] {
        return std::accumulate(events.begin(), events.end(), std::size_t{0},
                               [&](auto sum, const auto& event) { return sum + files_of(responder, event); });
      };
      const auto enough = left() - std::min<std::size_t>(left(), 1 + random() % 8);
      while (left() > enough && prune.running()) std::this_thread::yield();
      prune.send(SIGKILL);
      prune.wait();
    }
    system.cut_power(round % 2 == 0 ? nullptr : &random);
    // Who only looks does not make what the power cut may have taken of the journal's log.
    CHECK(responder.command({"release", events[0].alert}).status == 0);
    for (const auto& event : responder.events()) {
      const auto was =
          std::find_if(events.begin(), events.end(), [&](const auto& e) { return e.alert == event.alert; });
      REQUIRE(was != events.end());
      CAPTURE(round, event.alert, event.removed);
      if (!event.removed) CHECK(files_of(responder, *was) == all_files);
    }
  }
  const auto pruned = responder.command({"prune"}, keep_days(1));
  CAPTURE(pruned.out, pruned.err);
  CHECK(pruned.status == 0);
  for (const auto& event : events) CHECK(files_of(responder, event) == 0);
  CHECK(responder.command({"reconcile", "--after", "-10d"}).status == 0);
}

TEST_CASE_METHOD(Fixture, "without retention nothing is removed, and prune says so") {
  Responder responder(rhombus);
  const auto pruned = responder.command({"prune"});
  CHECK(pruned.status == 0);
  CHECK(has(pruned.out, "archive.retention_days"));
}

TEST_CASE_METHOD(Fixture, "a clock that jumps ahead makes no clip old") {
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start(any_age);
  const auto old = taken(responder, 12 * day_s);
  const auto fresh = taken(responder, 60);
  CHECK(responder.stop(SIGTERM) == 0);
  FaultySystem system(responder.folder() / "clips");
  system.controls().clock_offset_ms = 20 * day_s * 1000;
  auto environment = system.environment();
  environment.merge(keep_days(10));
  responder.start(environment);
  responder.wait_for(old.alert, [](const Event& e) { return e.removed; });
  CHECK_FALSE(event_of(responder, fresh.alert).removed);
  wait_until_gone(responder, old);
  CHECK(files_of(responder, fresh) == all_files);
}

namespace {

std::int64_t bytes_in(const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<std::int64_t>(entry.file_size());
  }
  return bytes;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "on a disk that is short of room the oldest clip gives way, if it may and if that helps") {
  constexpr std::int64_t min_free = 1 << 20;
  Responder responder(rhombus, "", "buffer_seconds = 0\n");
  responder.start();
  std::vector<Event> events;
  for (const int minutes : {4, 3, 2}) events.push_back(taken(responder, 60 * minutes));
  CHECK(responder.command({"hold", events[0].alert}).status == 0);
  CHECK(responder.stop(SIGTERM) == 0);

  FaultySystem system(responder.clips());
  // Room for half a clip.
  const auto clip_bytes = static_cast<std::int64_t>(fs::file_size(responder.clips() / events[1].clip));
  system.controls().disk_bytes = min_free + bytes_in(responder.clips()) + clip_bytes / 2;
  auto environment = system.environment();
  environment["RHOMBUS_RESPONDER_ARCHIVE_MIN_FREE_BYTES"] = std::to_string(min_free);
  const auto alert_now = [&] { return responder.alert(camera, some_time_ago(60), 2); };
  const auto remaining = [&] {
    std::string all;
    for (const auto& event : events) all += files_of(responder, event) == all_files ? "x" : "-";
    return all;
  };

  SECTION("without retention the clip waits") {
    responder.start(environment);
    const auto waits = responder.wait_for(alert_now(), [](const Event& e) { return !e.reason.empty(); });
    CHECK(waits.state == "waiting");
    CHECK(has(waits.reason, "archive.min_free_bytes"));
    CHECK(remaining() == "xxx");
  }
  SECTION("with retention the oldest goes that is not held") {
    environment["RHOMBUS_RESPONDER_ARCHIVE_RETENTION_DAYS"] = "3650";
    responder.start(environment);
    responder.wait_until_done(alert_now());
    CHECK(remaining() == "x-x");
    CHECK(has(event_of(responder, events[1].alert).reason, "short of room (archive.min_free_bytes)"));
  }
  SECTION("one goes in vain, and no more") {
    environment["RHOMBUS_RESPONDER_ARCHIVE_RETENTION_DAYS"] = "3650";
    system.controls().disk_keeps_what_is_removed = 1;
    responder.start(environment);
    const auto waits =
        responder.wait_for(alert_now(), [](const Event& e) { return has(e.reason, "min_free_bytes"); });
    CHECK(waits.state == "waiting");
    CHECK(remaining() == "x-x");
    CHECK(has(responder.log(), "there is none: no more of them go for an hour"));
  }
}
