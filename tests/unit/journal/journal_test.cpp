#include "responder/journal/journal.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

NewCapture capture(const std::string& alert, const std::string& camera = "cam") {
  NewCapture made;
  made.alert = AlertId(alert);
  made.camera = DeviceId(camera);
  made.activities = {"MOTION_HUMAN", "FACE"};
  made.received_at = t0;
  made.alert_at = t0 - 5s;
  made.duration = 10s;
  made.window_start = std::chrono::floor<std::chrono::seconds>(t0 - 35s);
  made.window_end = std::chrono::floor<std::chrono::seconds>(t0 + 35s);
  return made;
}

struct Fixture {
  test::TempFolder folder;
  Journal journal = *Journal::open(folder / "state/journal.db", Journal::Mode::read_write);
};

std::vector<Capture> all(Journal& journal, Filter filter = {}) {
  std::vector<Capture> found;
  REQUIRE(journal.each(filter, [&](const Capture& one) { found.push_back(one); }));
  return found;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "an alert is written down once for each camera") {
  CHECK_FALSE(journal.accept(capture("a"))->duplicate);
  CHECK(journal.accept(capture("a"))->duplicate);
  CHECK_FALSE(journal.accept(capture("a", "other"))->duplicate);
  const auto rows = all(journal);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].camera.str() == "other");
  CHECK(rows[1].activities == std::vector<std::string>{"MOTION_HUMAN", "FACE"});
  CHECK(rows[1].state == State::waiting);
  CHECK(rows[1].window_end - rows[1].window_start == 70s);
}

TEST_CASE_METHOD(Fixture, "an ignored alert is known and never due") {
  auto ignored = capture("a", "");
  ignored.ignored_reason = "diagnostic";
  CHECK_FALSE(journal.accept(ignored)->duplicate);
  CHECK(journal.accept(ignored)->duplicate);
  CHECK(journal.due(t0 + 1h, 10)->empty());
  CHECK(all(journal)[0].reason == "diagnostic");
}

TEST_CASE_METHOD(Fixture, "a due capture is claimed by one, and given back by a lease that runs out") {
  const auto id = journal.accept(capture("a"))->id;
  CHECK(journal.due(t0 - 1s, 10)->empty());
  CHECK(*journal.due(t0, 10) == std::vector<CaptureId>{id});
  const auto claimed = *journal.claim(id, "one", t0, t0 + 20s);
  REQUIRE(claimed);
  CHECK(claimed->alert.str() == "a");
  CHECK(claimed->state == State::capturing);
  CHECK_FALSE(*journal.claim(id, "two", t0 + 10s, t0 + 30s));
  REQUIRE(journal.renew_leases("one", t0 + 40s));
  CHECK_FALSE(*journal.claim(id, "two", t0 + 30s, t0 + 50s));
  CHECK(*journal.due(t0 + 41s, 10) == std::vector<CaptureId>{id});
  CHECK(*journal.claim(id, "two", t0 + 41s, t0 + 61s));
  // The first one's end comes too late to matter.
  REQUIRE(journal.finish(id, "one", State::failed, "x", "", std::nullopt, t0 + 42s));
  CHECK(all(journal)[0].state == State::capturing);
}

TEST_CASE_METHOD(Fixture, "what a dead process had in hand is given back at once, and nobody else's") {
  const auto one = journal.accept(capture("a"))->id;
  const auto two = journal.accept(capture("b"))->id;
  REQUIRE(*journal.claim(one, "serve-1", t0, t0 + 20s));
  REQUIRE(*journal.claim(two, "catch-up-1", t0, t0 + 20s));
  REQUIRE(journal.release_leases("serve-", t0 + 1s));
  CHECK(*journal.due(t0 + 1s, 10) == std::vector<CaptureId>{one});
}

TEST_CASE_METHOD(Fixture, "the ends of an attempt are kept") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.postpone(id, "me", "no answer", t0 + 7s, true));
  auto row = all(journal)[0];
  CHECK(row.state == State::waiting);
  CHECK(row.reason == "no answer");
  CHECK(row.attempts == 1);
  CHECK(row.next_attempt_at == t0 + 7s);
  CHECK_FALSE(*journal.claim(id, "me", t0 + 6s, t0 + 20s));

  REQUIRE(*journal.claim(id, "me", t0 + 7s, t0 + 20s));
  const Published published{"a/b.mp4", "lan", 123, "ab", {{t0, t0 + 2s}}};
  REQUIRE(journal.finish(id, "me", State::partial, "a hole", "Front Door", published, t0 + 9s));
  row = all(journal)[0];
  CHECK(row.state == State::partial);
  CHECK(row.attempts == 2);
  CHECK(row.camera_name == "Front Door");
  REQUIRE(row.published);
  CHECK(row.published->clip == "a/b.mp4");
  CHECK(row.published->gaps == published.gaps);
  CHECK(journal.due(t0 + 24h, 10)->empty());
}

TEST_CASE_METHOD(Fixture, "counts and filters") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(journal.accept(capture("b")));
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.finish(id, "me", State::failed, "gone", "", std::nullopt, t0 + 1s));
  const auto counts = *journal.counts();
  CHECK(counts.waiting == 1);
  CHECK(counts.failed == 1);
  CHECK(counts.oldest_waiting == t0);
  CHECK(all(journal, {.state = State::failed, .after = {}, .limit = 10}).size() == 1);
  CHECK(all(journal, {.state = {}, .after = t0 + 1s, .limit = 10}).empty());
  CHECK(all(journal, {.state = {}, .after = {}, .limit = 1}).size() == 1);
}

TEST_CASE_METHOD(Fixture, "the first key of a device stays") {
  const DeviceId device("cam");
  CHECK_FALSE(*journal.pin(device));
  REQUIRE(journal.set_pin(device, std::string(64, 'a'), t0));
  REQUIRE(journal.set_pin(device, std::string(64, 'b'), t0));
  CHECK(**journal.pin(device) == std::string(64, 'a'));
}

TEST_CASE_METHOD(Fixture, "a transaction that fails leaves nothing") {
  const auto failed = journal.transaction([&]() -> Result<void> {
    CHECK(journal.accept(capture("a")));
    return Error{ErrorKind::transient, "no"};
  });
  CHECK_FALSE(failed);
  CHECK(all(journal).empty());
}

TEST_CASE("a journal of a newer program is left alone") {
  const test::TempFolder folder;
  { REQUIRE(Journal::open(folder / "j.db", Journal::Mode::read_write)); }
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open((folder / "j.db").c_str(), &raw) == SQLITE_OK);
  sqlite3_exec(raw, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  const auto opened = Journal::open(folder / "j.db", Journal::Mode::read_write);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("newer") != std::string::npos);
}

TEST_CASE("a file that is no journal is an error") {
  const test::TempFolder folder;
  FILE* file = std::fopen((folder / "j.db").c_str(), "w");
  std::fputs("this is not a database, and it is long enough to be looked at as one", file);
  std::fclose(file);
  CHECK_FALSE(Journal::open(folder / "j.db", Journal::Mode::read_write));
  CHECK_FALSE(Journal::open(folder / "none.db", Journal::Mode::read_only));
}
