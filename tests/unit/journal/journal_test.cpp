#include "responder/journal/journal.hpp"

#include <atomic>
#include <latch>
#include <set>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

std::vector<CaptureId> due_ids(Journal& journal, WallTime now) {
  std::vector<CaptureId> ids;
  const auto due = journal.due(now, 10);
  REQUIRE(due);
  for (const auto& one : *due) ids.push_back(one.id);
  return ids;
}

Outcome outcome(State state, std::string reason, std::optional<Published> published = std::nullopt) {
  return {.state = state,
          .reason = std::move(reason),
          .camera_name = "Front Door",
          .published = std::move(published),
          .next_attempt_at = {},
          .window_end = capture("a").window_end};
}

const Published clip_on_disk{"a/b.mp4", "lan", 123, "ab", {{t0, t0 + 2s}}};

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
  CHECK(due_ids(journal, t0) == std::vector<CaptureId>{id});
  const auto claimed = *journal.claim(id, "one", t0, t0 + 20s);
  REQUIRE(claimed);
  CHECK(claimed->alert.str() == "a");
  CHECK(claimed->state == State::capturing);
  CHECK_FALSE(*journal.claim(id, "two", t0 + 10s, t0 + 30s));
  REQUIRE(journal.renew_leases("one", t0 + 40s));
  CHECK_FALSE(*journal.claim(id, "two", t0 + 30s, t0 + 50s));
  CHECK(due_ids(journal, t0 + 41s) == std::vector<CaptureId>{id});
  CHECK(*journal.claim(id, "two", t0 + 41s, t0 + 61s));
  // The first one's end comes too late to matter.
  REQUIRE(journal.finish(id, "one", outcome(State::failed, "x"), t0 + 42s));
  CHECK(all(journal)[0].state == State::capturing);
}

TEST_CASE_METHOD(Fixture, "a journal that is new can be opened by many at once") {
  for (int round = 0; round < 30; ++round) {
    const auto path = folder / ("new-" + std::to_string(round) + ".db");
    std::atomic<int> opened{0};
    std::latch together{6};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 6; ++i) {
        threads.emplace_back([&] {
          together.arrive_and_wait();
          if (Journal::open(path, Journal::Mode::read_write)) ++opened;
        });
      }
    }
    CHECK(opened == 6);
  }
}

TEST_CASE_METHOD(Fixture, "what dead processes had in hand is given back at once") {
  const auto one = journal.accept(capture("a"))->id;
  const auto two = journal.accept(capture("b"))->id;
  REQUIRE(*journal.claim(one, "one", t0, t0 + 20s));
  REQUIRE(*journal.claim(two, "another", t0, t0 + 20s));
  CHECK(due_ids(journal, t0 + 1s).empty());
  REQUIRE(journal.release_leases(t0 + 1s));
  CHECK(due_ids(journal, t0 + 1s).size() == 2);
}

TEST_CASE_METHOD(Fixture, "the ends of an attempt are kept") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.postpone(id, "me", "no answer", t0 + 7s, true, t0));
  auto row = all(journal)[0];
  CHECK(row.state == State::waiting);
  CHECK(row.reason == "no answer");
  CHECK(row.attempts == 1);
  CHECK(row.next_attempt_at == t0 + 7s);
  CHECK_FALSE(*journal.claim(id, "me", t0 + 6s, t0 + 20s));

  REQUIRE(*journal.claim(id, "me", t0 + 7s, t0 + 20s));
  REQUIRE(journal.finish(id, "me", outcome(State::partial, "a hole", clip_on_disk), t0 + 9s));
  row = all(journal)[0];
  CHECK(row.state == State::partial);
  CHECK(row.attempts == 2);
  CHECK(row.camera_name == "Front Door");
  REQUIRE(row.published);
  CHECK(row.published->clip == "a/b.mp4");
  CHECK(row.published->gaps == clip_on_disk.gaps);
  CHECK(journal.due(t0 + 24h, 10)->empty());
}

TEST_CASE_METHOD(Fixture, "a partial that is not final is tried again, and keeps its clip until a better one comes") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  auto with_more = outcome(State::partial, "a hole", clip_on_disk);
  with_more.next_attempt_at = t0 + 30s;
  REQUIRE(journal.finish(id, "me", with_more, t0 + 9s));
  CHECK(all(journal)[0].state == State::partial);
  CHECK(all(journal)[0].next_attempt_at == t0 + 30s);
  CHECK(due_ids(journal, t0 + 30s) == std::vector<CaptureId>{id});

  REQUIRE(*journal.claim(id, "me", t0 + 30s, t0 + 50s));
  REQUIRE(journal.postpone(id, "me", "still a hole", t0 + 60s, true, t0 + 31s));
  auto row = all(journal)[0];
  CHECK(row.state == State::partial);
  CHECK(row.published->clip == "a/b.mp4");

  REQUIRE(*journal.claim(id, "me", t0 + 60s, t0 + 80s));
  REQUIRE(journal.release_leases(t0 + 61s));
  CHECK(all(journal)[0].state == State::partial);
  REQUIRE(*journal.claim(id, "me", t0 + 61s, t0 + 80s));
  REQUIRE(journal.finish(id, "me", outcome(State::partial, "final"), t0 + 62s));  // nothing better came
  row = all(journal)[0];
  CHECK(row.published->clip == "a/b.mp4");
  CHECK(row.reason == "final");
  CHECK(journal.due(t0 + 24h, 10)->empty());
}

TEST_CASE_METHOD(Fixture, "an alert that grows makes its window longer, whatever state it is in") {
  const auto id = journal.accept(capture("a"))->id;
  auto longer = capture("a");
  longer.window_end += 20s;
  longer.duration += 20s;
  const auto grown = *journal.accept(longer);
  CHECK(grown.duplicate);
  CHECK(grown.grew);
  CHECK(grown.id == id);
  CHECK_FALSE(journal.accept(capture("a"))->grew);  // it never shrinks
  CHECK(all(journal)[0].window_end == longer.window_end);
  CHECK(all(journal)[0].duration == 30s);

  // In mid-capture: the attempt that was made for the shorter window is not the end.
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  auto still_longer = longer;
  still_longer.window_end += 10s;
  still_longer.duration += 10s;
  CHECK(journal.accept(still_longer)->grew);
  CHECK(all(journal)[0].state == State::capturing);
  auto shorter_clip = outcome(State::done, "", clip_on_disk);
  shorter_clip.window_end = longer.window_end;
  REQUIRE(journal.finish(id, "me", shorter_clip, t0 + 9s));
  CHECK(all(journal)[0].state == State::waiting);
  CHECK(due_ids(journal, t0 + 9s) == std::vector<CaptureId>{id});

  // After the end.
  REQUIRE(*journal.claim(id, "me", t0 + 9s, t0 + 20s));
  shorter_clip.window_end = still_longer.window_end;
  REQUIRE(journal.finish(id, "me", shorter_clip, t0 + 10s));
  CHECK(all(journal)[0].state == State::done);
  still_longer.window_end += 1s;
  still_longer.duration += 1s;
  CHECK(journal.accept(still_longer)->grew);
  CHECK(all(journal)[0].state == State::waiting);
  CHECK(all(journal)[0].published->clip == "a/b.mp4");
}

TEST_CASE_METHOD(Fixture, "clips wait for the archive in the order of their alerts") {
  ReadyClip ready;
  ready.reason = "";
  ready.camera_name = "Front Door";
  ready.source = "wan";
  ready.window_end = capture("a").window_end;
  ready.sidecar = "{";
  std::vector<CaptureId> ids;
  for (const auto* alert : {"a", "b"}) ids.push_back(journal.accept(capture(alert))->id);
  for (const auto id : {ids[1], ids[0]}) {
    REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
    REQUIRE(journal.ready(id, "me", ready, t0));
  }
  CHECK(all(journal)[0].state == State::waiting);
  CHECK(journal.due(t0 + 1h, 10)->empty());  // nobody fetches it again
  CHECK_FALSE(*journal.claim(ids[0], "me", t0, t0 + 20s));
  CHECK(journal.ready_ids()->size() == 2);

  auto first = *journal.claim_ready("publisher", t0, t0 + 20s);
  REQUIRE(first);
  CHECK(first->capture.id == ids[0]);
  CHECK(first->clip.source == "wan");
  REQUIRE(journal.return_ready(ids[0], "publisher", "the archive is away", false, t0));
  CHECK((*journal.claim_ready("publisher", t0, t0 + 20s))->capture.id == ids[0]);
  REQUIRE(journal.finish(ids[0], "publisher", outcome(State::done, "", clip_on_disk), t0));
  CHECK(journal.ready_ids()->size() == 1);

  // A crash while a better clip was on its way to the archive: it is on its way again.
  REQUIRE(journal.accept(capture("c")));
  const auto third = due_ids(journal, t0).at(0);
  REQUIRE(*journal.claim(third, "serve-1", t0, t0 + 20s));
  auto partial = outcome(State::partial, "a hole", clip_on_disk);
  partial.next_attempt_at = t0;
  REQUIRE(journal.finish(third, "serve-1", partial, t0));
  REQUIRE(*journal.claim(third, "serve-1", t0, t0 + 20s));
  REQUIRE(journal.ready(third, "serve-1", ready, t0));
  REQUIRE(journal.return_ready((*journal.claim_ready("publisher", t0, t0 + 20s))->capture.id, "publisher",
                               "cannot be published", false, t0 + 30s));
  REQUIRE((*journal.claim_ready("serve-1", t0, t0 + 20s))->capture.id == third);  // the other one holds nobody up
  REQUIRE(journal.release_leases(t0));
  CHECK((*journal.claim_ready("serve-2", t0, t0 + 20s))->capture.id == third);
  REQUIRE(journal.finish(third, "serve-2", outcome(State::done, "", clip_on_disk), t0));
  REQUIRE((*journal.claim_ready("publisher", t0 + 30s, t0 + 50s))->capture.id == ids[1]);
  REQUIRE(journal.return_ready(ids[1], "publisher", "the archive is away", false, t0));

  // A clock that was ahead and has been set back does not keep a clip from the archive.
  REQUIRE((*journal.claim_ready("publisher", t0, t0 + 20s))->capture.id == ids[1]);
  REQUIRE(journal.return_ready(ids[1], "publisher", "the archive is away", false, t0 + 24h));
  REQUIRE((*journal.claim_ready("publisher", t0, t0 + 20s))->capture.id == ids[1]);
  REQUIRE(journal.return_ready(ids[1], "publisher", "the archive is away", false, t0));

  // What waits, and why.
  CHECK(journal.waiting_for_archive()->clips == 1);
  CHECK(journal.waiting_for_archive()->reason == "the archive is away");

  // One whose clip was lost is captured again.
  REQUIRE(*journal.claim_ready("publisher", t0, t0 + 20s));
  REQUIRE(journal.return_ready(ids[1], "publisher", "lost", true, t0));
  CHECK(due_ids(journal, t0) == std::vector<CaptureId>{ids[1]});
}

TEST_CASE("clips of alerts go to the archive before those of ranges") {
  auto journal = *Journal::in_memory();
  ReadyClip ready;
  ready.camera_name = "Cam";
  ready.source = "lan";
  ready.window_end = capture("a").window_end;
  ready.sidecar = "{";
  std::vector<CaptureId> ids;
  for (const auto kind : {Kind::range, Kind::range, Kind::alert, Kind::alert}) {
    auto one = capture(std::to_string(ids.size()));
    one.kind = kind;
    ids.push_back(journal.accept(one)->id);
    REQUIRE(*journal.claim(ids.back(), "me", t0, t0 + 20s));
    REQUIRE(journal.ready(ids.back(), "me", ready, t0));
  }
  std::vector<CaptureId> order;
  while (const auto next = *journal.claim_ready("publisher", t0, t0 + 20s)) order.push_back(next->capture.id);
  CHECK(order == std::vector<CaptureId>{ids[2], ids[3], ids[0], ids[1]});
  REQUIRE(journal.return_ready(ids[1], "publisher", "", false, t0));
  CHECK_FALSE(*journal.claim_ready("publisher", t0, t0 + 20s, true));
  CHECK(*journal.claim_ready("publisher", t0, t0 + 20s));
}

TEST_CASE_METHOD(Fixture, "what came by webhook goes before what was caught up") {
  auto old = capture("old");
  old.via = Via::catch_up;
  old.received_at = t0 - 1h;
  const auto caught_up = journal.accept(old)->id;
  const auto live = journal.accept(capture("live"))->id;
  const auto due = *journal.due(t0, 10);
  REQUIRE(due.size() == 2);
  CHECK(due[0].id == live);
  CHECK(due[0].live);
  CHECK(due[1].id == caught_up);
  CHECK_FALSE(due[1].live);
}

TEST_CASE_METHOD(Fixture, "what is caught up is worked on in the order of its alerts") {
  std::vector<CaptureId> ids;
  for (const int minutes_ago : {1, 3, 2}) {
    auto caught_up = capture(std::to_string(minutes_ago));
    caught_up.via = Via::catch_up;
    caught_up.alert_at = t0 - std::chrono::minutes(minutes_ago);
    ids.push_back(journal.accept(caught_up)->id);
  }
  CHECK(due_ids(journal, t0) == std::vector<CaptureId>{ids[1], ids[2], ids[0]});
  REQUIRE(*journal.claim(ids[1], "dead", t0, t0 + 20s));
  REQUIRE(journal.release_leases(t0 + 1s));
  CHECK(due_ids(journal, t0 + 1s).at(0) == ids[1]);
}

TEST_CASE_METHOD(Fixture, "what is put off further than anything ever is was put off by a wrong clock") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.postpone(id, "me", "no answer", t0 + 50min, true, t0));
  CHECK(due_ids(journal, t0).empty());
  CHECK(due_ids(journal, t0 - 1h) == std::vector<CaptureId>{id});
  CHECK(*journal.claim(id, "me", t0 - 1h, t0));
}

TEST_CASE_METHOD(Fixture, "an ignored alert that is to be captured after all becomes work") {
  auto ignored = capture("a");
  ignored.ignored_reason = "filtered: activity";
  REQUIRE(journal.accept(ignored));
  const auto wanted = *journal.accept(capture("a"));
  CHECK_FALSE(wanted.duplicate);
  CHECK(due_ids(journal, t0) == std::vector<CaptureId>{wanted.id});
  CHECK(journal.accept(ignored)->duplicate);
  CHECK(all(journal).at(0).state == State::waiting);

  // From a clock that is behind: it waits for the time to come near.
  auto future = capture("b");
  future.ignored_reason = future_reason;
  future.alert_at = t0 + 5h;
  REQUIRE(journal.accept(future));
  REQUIRE(journal.revive_future(t0 + 1h, t0));
  CHECK(all(journal).at(0).state == State::ignored);
  REQUIRE(journal.revive_future(t0 + 5h, t0 + 4h));
  CHECK(all(journal).at(0).state == State::waiting);
}

TEST_CASE_METHOD(Fixture, "the ignored row of an alert becomes the first of its captures") {
  auto ignored = capture("a", "door");
  ignored.ignored_reason = "no camera";
  const auto id = journal.accept(ignored)->id;
  auto first = capture("a", "cam");
  first.instead_of = DeviceId("door");
  first.ignored_reason = future_reason;
  REQUIRE(journal.accept(first));  // which is none yet
  CHECK(journal.find(id)->value().camera == DeviceId("door"));

  auto other = capture("a", "other");
  other.instead_of = DeviceId("door");
  const auto accepted = *journal.accept(other);
  CHECK_FALSE(accepted.duplicate);
  CHECK(accepted.id == id);
  CHECK(journal.find(id)->value().camera == DeviceId("other"));
  CHECK(journal.find(id)->value().state == State::waiting);
  CHECK(journal.accept(other)->duplicate);
  CHECK(all(journal).size() == 2);

  // What is work already is left alone.
  REQUIRE(journal.accept(capture("b", "door")));
  auto beside = capture("b", "cam");
  beside.instead_of = DeviceId("door");
  REQUIRE(journal.accept(beside));
  CHECK(all(journal).size() == 4);
}

TEST_CASE_METHOD(Fixture, "a default duration is no reason to grow, and a late webhook makes an alert live") {
  auto listed = capture("a");
  listed.via = Via::catch_up;
  REQUIRE(journal.accept(listed));
  auto guessed = capture("a");
  guessed.duration = 120s;
  guessed.duration_is_told = false;
  const auto told = *journal.accept(guessed);
  CHECK_FALSE(told.grew);
  CHECK(told.hurried);
  CHECK(journal.due(t0, 10)->at(0).live);
  CHECK_FALSE(journal.accept(guessed)->hurried);
}

TEST_CASE_METHOD(Fixture, "a clip that is lost is no measure any more") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.finish(id, "me", outcome(State::done, "", clip_on_disk), t0));
  CHECK(journal.open_ids()->empty());
  REQUIRE(journal.forget_clip(id));
  CHECK(all(journal).at(0).published);  // only of one that is to be tried again
  REQUIRE(journal.retry(AlertId("a"), t0));
  CHECK(*journal.open_ids() == std::vector<CaptureId>{id});
  REQUIRE(journal.forget_clip(id));
  CHECK_FALSE(all(journal).at(0).published);
}

TEST_CASE_METHOD(Fixture, "missed webhooks are counted until they come after all") {
  auto missed = capture("a");
  missed.via = Via::catch_up;
  missed.webhook_missed = true;
  REQUIRE(journal.accept(missed));
  CHECK(journal.missed_webhooks(t0 - 1h, t0)->count == 1);
  CHECK(journal.missed_webhooks(t0 - 1h, t0)->first == missed.alert_at);
  CHECK(journal.missed_webhooks(t0, t0 + 1h)->count == 0);
  REQUIRE(journal.accept(missed));  // listed again: still missed
  CHECK(journal.missed_webhooks(t0 - 1h, t0)->count == 1);
  CHECK(journal.accept(capture("a"))->duplicate);
  CHECK(journal.missed_webhooks(t0 - 1h, t0)->count == 0);
}

TEST_CASE_METHOD(Fixture, "a clip that one of another name replaces is left to be removed") {
  const auto id = journal.accept(capture("a"))->id;
  const auto publish = [&](const std::string& name) {
    REQUIRE(journal.retry(AlertId("a"), t0));
    REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
    auto clip = clip_on_disk;
    clip.clip = name;
    REQUIRE(journal.finish(id, "me", outcome(State::done, "", clip), t0));
  };
  publish("a_video.mp4");
  CHECK(journal.leftovers()->empty());
  publish("a_combined.mp4");
  CHECK(*journal.leftovers() == std::vector<std::string>{"a_video.mp4"});
  publish("a_video.mp4");  // it is the clip again, and must not be removed
  CHECK(*journal.leftovers() == std::vector<std::string>{"a_combined.mp4"});
  REQUIRE(journal.forget_leftover("a_combined.mp4"));
  CHECK(journal.leftovers()->empty());
}

TEST_CASE_METHOD(Fixture, "a clip is written down from what its sidecar says, unless it is known") {
  KnownClip known;
  known.capture = capture("a");
  known.camera_name = "Front Door";
  known.published = clip_on_disk;
  known.state = State::partial;
  known.reason = "a hole";
  known.final = false;
  REQUIRE(journal.accept(capture("a")));  // told of again meanwhile, and not worked on yet
  CHECK(*journal.restore(known));
  CHECK_FALSE(*journal.restore(known));
  const auto row = journal.find(AlertId("a"), DeviceId("cam"));
  REQUIRE(row);
  REQUIRE(*row);
  CHECK((*row)->state == State::partial);
  CHECK((*row)->published->gaps == clip_on_disk.gaps);
  CHECK((*row)->next_attempt_at);
  CHECK(journal.accept(capture("a"))->duplicate);
  CHECK_FALSE(*journal.find(AlertId("a"), DeviceId("other")));
  CHECK_FALSE(*journal.find(CaptureId{77}));
  // One that asks for more than the clip has is left to be captured.
  auto longer = capture("b");
  longer.window_end += 10s;
  REQUIRE(journal.accept(longer));
  known.capture = capture("b");
  CHECK_FALSE(*journal.restore(known));
}

TEST_CASE("a damaged journal is told from a sound one") {
  const test::TempFolder folder;
  const auto path = folder / "j.db";
  CHECK_FALSE(*Journal::is_damaged(path));
  {
    auto journal = *Journal::open(path, Journal::Mode::read_write);
    for (int i = 0; i < 500; ++i) REQUIRE(journal.accept(capture(std::to_string(i))));
    CHECK(journal.check());
  }
  CHECK_FALSE(*Journal::is_damaged(path));
  const auto size = std::filesystem::file_size(path);
  FILE* file = std::fopen(path.c_str(), "r+");
  std::fseek(file, static_cast<long>(size / 2), SEEK_SET);
  for (std::uintmax_t i = 0; i < size / 4; ++i) std::fputc('x', file);
  std::fclose(file);
  CHECK(*Journal::is_damaged(path));
  auto journal = Journal::open(path, Journal::Mode::read_write);
  const auto checked = journal ? journal->check() : Result<void>(journal.error());
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message.find("rebuild-journal") != std::string::npos);
  CHECK(checked.error().message.find('\n') == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "open windows are those of captures that are not finished") {
  REQUIRE(journal.accept(capture("a")));
  auto ignored = capture("b");
  ignored.ignored_reason = "filtered";
  REQUIRE(journal.accept(ignored));
  const auto windows = *journal.open_windows();
  REQUIRE(windows.size() == 1);
  CHECK(windows[0].camera.str() == "cam");
  CHECK(windows[0].end == capture("a").window_end);
  const auto id = windows[0].capture;
  CHECK_FALSE(windows[0].has_clip);

  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  CHECK((*journal.open_windows()).at(0).capture == id);
  auto partial = outcome(State::partial, "a hole", clip_on_disk);
  partial.next_attempt_at = t0 + 60s;
  REQUIRE(journal.finish(id, "me", partial, t0 + 1s));
  CHECK((*journal.open_windows()).at(0).capture == id);
  CHECK((*journal.open_windows()).at(0).has_clip);
  REQUIRE(*journal.claim(id, "me", t0 + 60s, t0 + 80s));
  CHECK((*journal.open_windows()).at(0).has_clip);
  REQUIRE(journal.finish(id, "me", outcome(State::partial, "a hole", clip_on_disk), t0 + 61s));
  CHECK((*journal.open_windows()).empty());
}

TEST_CASE("a journal of version 1 is taken over whole") {
  const test::TempFolder folder;
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open((folder / "j.db").c_str(), &raw) == SQLITE_OK);
  constexpr const char* version_1 = R"sql(
CREATE TABLE captures (
  id INTEGER PRIMARY KEY, alert TEXT NOT NULL, camera TEXT NOT NULL, camera_name TEXT NOT NULL DEFAULT '',
  location TEXT NOT NULL, activities TEXT NOT NULL, via TEXT NOT NULL, received_ms INTEGER NOT NULL,
  alert_ms INTEGER NOT NULL, duration_s INTEGER NOT NULL, window_start_s INTEGER NOT NULL,
  window_end_s INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0, next_attempt_ms INTEGER, lease_owner TEXT, lease_until_ms INTEGER,
  source TEXT, clip TEXT, bytes INTEGER, sha256 TEXT, gaps TEXT NOT NULL DEFAULT '', finished_ms INTEGER,
  UNIQUE (alert, camera)) STRICT;
CREATE INDEX captures_waiting ON captures (next_attempt_ms) WHERE state = 'waiting';
CREATE INDEX captures_leased ON captures (lease_until_ms) WHERE state = 'capturing';
CREATE TABLE pins (device TEXT PRIMARY KEY, key_sha256 TEXT NOT NULL, first_seen_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO captures (id, alert, camera, location, activities, via, received_ms, alert_ms, duration_s, window_start_s,
  window_end_s, state, next_attempt_ms) VALUES (7, 'a', 'cam', 'loc', 'FACE', 'webhook', 1700000000000, 1700000000000,
  10, 1699999970, 1700000040, 'waiting', 1700000000000);
INSERT INTO captures (id, alert, camera, location, activities, via, received_ms, alert_ms, duration_s, window_start_s,
  window_end_s, state, source, clip, bytes, sha256, finished_ms) VALUES (8, 'b', 'cam', 'loc', '', 'webhook',
  1700000000000, 1700000000000, 10, 1699999970, 1700000040, 'partial', 'lan', 'b.mp4', 5, 'cd', 1700000001000);
INSERT INTO pins VALUES ('cam', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 5);
PRAGMA user_version = 1;
)sql";
  REQUIRE(sqlite3_exec(raw, version_1, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(raw);
  auto journal = Journal::open(folder / "j.db", Journal::Mode::read_write);
  REQUIRE(journal);
  const auto rows = all(*journal);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].published->clip == "b.mp4");
  CHECK(rows[0].state == State::partial);
  CHECK(rows[1].id == 7);
  CHECK(due_ids(*journal, t0) == std::vector<CaptureId>{7});  // a partial of then was final
  CHECK(journal->pins()->at(0).device.str() == "cam");
  CHECK(Journal::open(folder / "j.db", Journal::Mode::read_write));
}

namespace {
const std::string without_version_5 =
    "DROP TRIGGER captures_counted; DROP TRIGGER captures_counted_anew; DROP TABLE totals; DROP INDEX captures_waiting;"
    "DROP INDEX captures_unconfirmed; DROP INDEX captures_sidecars; ALTER TABLE ready DROP COLUMN presence; "
    "ALTER TABLE captures DROP COLUMN presence; ALTER TABLE captures DROP COLUMN sidecar_presence;";
const std::string without_version_4 =
    without_version_5 +
    "DROP INDEX captures_clips; DROP INDEX captures_named; DROP INDEX captures_held; DROP TABLE deliveries; DROP "
    "TABLE targets; ALTER TABLE "
    "captures DROP COLUMN kind; "
    "ALTER TABLE captures DROP COLUMN held; ALTER TABLE captures DROP COLUMN removed_ms; "
    "ALTER TABLE captures DROP COLUMN damage;";
}  // namespace

TEST_CASE("a journal of version 4 is taken over with its totals") {
  const test::TempFolder folder;
  {
    auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
    REQUIRE(journal.accept(capture("a")));
    const auto id = journal.accept(capture("b"))->id;
    REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
    REQUIRE(journal.finish(id, "me", outcome(State::done, "", clip_on_disk), t0));
  }
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open((folder / "j.db").c_str(), &raw) == SQLITE_OK);
  REQUIRE(sqlite3_exec(raw, (without_version_5 + "PRAGMA user_version = 4;").c_str(), nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  sqlite3_close(raw);
  auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
  CHECK(journal.counts()->waiting == 1);
  CHECK(journal.counts()->oldest_waiting == t0);
  CHECK(journal.counts()->done == 1);
  CHECK(journal.stored_totals()->clips == 1);
  CHECK(journal.stored_totals()->bytes == clip_on_disk.bytes);
}

TEST_CASE("a journal of version 3 is taken over whole") {
  const test::TempFolder folder;
  {
    auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
    REQUIRE(journal.accept(capture("a")));
  }
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open((folder / "j.db").c_str(), &raw) == SQLITE_OK);
  REQUIRE(sqlite3_exec(raw, (without_version_4 + "PRAGMA user_version = 3;").c_str(), nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  sqlite3_close(raw);
  auto journal = Journal::open(folder / "j.db", Journal::Mode::read_write);
  REQUIRE(journal);
  const auto rows = all(*journal);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].kind == Kind::alert);
  CHECK_FALSE(rows[0].held);
  CHECK_FALSE(rows[0].removed_at);
}

TEST_CASE("a journal of version 2 is taken over whole") {
  const test::TempFolder folder;
  {
    auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
    REQUIRE(journal.accept(capture("a")));
    REQUIRE(journal.set_fact("archive_id", "x"));
  }
  // What later versions have added, taken away again.
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open((folder / "j.db").c_str(), &raw) == SQLITE_OK);
  REQUIRE(sqlite3_exec(
              raw,
              (without_version_4 + "DROP INDEX captures_missed; DROP INDEX captures_future; DROP TABLE leftovers; "
                                   "ALTER TABLE captures DROP COLUMN webhook_missed; PRAGMA user_version = 2;")
                  .c_str(),
              nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(raw);
  auto journal = Journal::open(folder / "j.db", Journal::Mode::read_write);
  REQUIRE(journal);
  CHECK(all(*journal).size() == 1);
  CHECK(**journal->fact("archive_id") == "x");
  CHECK(journal->leftovers()->empty());
  CHECK(journal->missed_webhooks(t0 - 1h, t0)->count == 0);
  CHECK(due_ids(*journal, t0).size() == 1);
}

namespace {

const std::vector<Target> hook_and_offsite{{"hook", {State::done, State::partial, State::failed}},
                                           {"offsite", {State::done, State::partial}}};

struct Deliveries : Fixture {
  Deliveries() { REQUIRE(journal.set_targets(hook_and_offsite)); }

  const CaptureId id = journal.accept(capture("a"))->id;

  void finish(State state, const std::string& sha256 = "") {
    REQUIRE(journal.retry(AlertId("a"), t0));
    REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
    auto clip = clip_on_disk;
    clip.sha256 = sha256;
    REQUIRE(journal.finish(id, "me", outcome(state, "", sha256.empty() ? std::nullopt : std::optional(clip)), t0));
  }
  // What the target is told now, and is told with that.
  std::vector<State> told(const std::string& target) {
    std::vector<State> states;
    while (const auto next = *journal.next_delivery(target, t0)) {
      states.push_back(next->state);
      REQUIRE(journal.delivered(next->id, t0));
    }
    return states;
  }
};

}  // namespace

TEST_CASE_METHOD(Deliveries, "each target is told of the outcomes that it asks for, and of none twice") {
  finish(State::failed);
  CHECK(told("hook") == std::vector{State::failed});
  CHECK(told("offsite").empty());
  finish(State::failed);
  CHECK(told("hook").empty());
  finish(State::partial, "11");
  CHECK(told("hook") == std::vector{State::partial});
  finish(State::partial, "11");  // tried again, and nothing better
  CHECK(told("hook").empty());
  finish(State::partial, "22");
  finish(State::done, "33");
  CHECK(told("hook") == std::vector{State::partial, State::done});
  CHECK(told("offsite") == std::vector{State::partial, State::partial, State::done});
}

TEST_CASE_METHOD(Deliveries, "an outcome and its deliveries are one: a crash leaves both or none") {
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  const auto undone = journal.transaction([&]() -> Result<void> {
    CHECK(journal.finish(id, "me", outcome(State::done, "", clip_on_disk), t0));
    CHECK(*journal.next_delivery("hook", t0));
    return Error{ErrorKind::transient, "the power goes"};
  });
  CHECK_FALSE(undone);
  CHECK_FALSE(*journal.next_delivery("hook", t0));
  REQUIRE(journal.finish(id, "me", outcome(State::done, "", clip_on_disk), t0));
  // Whoever opens it next finds it due, as often as it takes until somebody says that it is delivered.
  for (int start = 0; start < 3; ++start) {
    auto next_process = *Journal::open(folder / "state/journal.db", Journal::Mode::read_write);
    REQUIRE(next_process.set_targets(hook_and_offsite));
    REQUIRE(*next_process.next_delivery("hook", t0));
    CHECK((*next_process.next_delivery("hook", t0))->capture.published->clip == clip_on_disk.clip);
  }
  CHECK(told("hook") == std::vector{State::done});
}

TEST_CASE_METHOD(Deliveries, "an end that is not one tells nobody") {
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.finish(id, "somebody else", outcome(State::done, "", clip_on_disk), t0));
  auto shorter = outcome(State::done, "", clip_on_disk);
  shorter.window_end -= 1s;  // the window has grown meanwhile
  REQUIRE(journal.finish(id, "me", shorter, t0));
  CHECK(told("hook").empty());
}

TEST_CASE_METHOD(Deliveries,
                 "a delivery waits for its time and for the one before it, and no clock puts it off for long") {
  finish(State::partial, "11");
  finish(State::done, "22");
  const auto first = *journal.next_delivery("hook", t0);
  REQUIRE(first);
  REQUIRE(journal.not_delivered(first->id, "no answer", t0 + 30min, true));
  CHECK_FALSE(*journal.next_delivery("hook", t0 + 29min));  // the other would come before it
  CHECK((*journal.next_delivery("hook", t0 + 30min))->attempts == 1);
  CHECK((*journal.next_delivery("hook", t0 - 3h))->id == first->id);  // the clock was set back
  auto counts = journal.delivery_counts()->at(0);
  CHECK(counts.target == "hook");
  CHECK(counts.waiting == 2);
  CHECK(counts.oldest_waiting == t0);
  CHECK(counts.reason == "no answer");

  REQUIRE(journal.not_delivered(first->id, "three days", std::nullopt, true));
  CHECK((*journal.next_delivery("hook", t0))->state == State::done);
  CHECK(journal.delivery_counts()->at(0).given_up == 1);
  CHECK(*journal.retry_deliveries(t0) == 1);
  CHECK(told("hook") == std::vector{State::partial, State::done});
  CHECK(journal.delivery_counts()->at(0).given_up == 0);
}

TEST_CASE_METHOD(Deliveries, "what was given up is told with the next outcome, were it the same") {
  finish(State::done, "11");
  REQUIRE(journal.not_delivered((*journal.next_delivery("hook", t0))->id, "gone", std::nullopt, true));
  finish(State::done, "11");
  CHECK(told("hook") == std::vector{State::done});
}

TEST_CASE_METHOD(Deliveries, "a target that is gone from the configuration is told nothing more") {
  finish(State::done, "11");
  REQUIRE(journal.set_targets({hook_and_offsite[1]}));
  CHECK_FALSE(*journal.next_delivery("hook", t0));
  REQUIRE(journal.delivery_counts()->size() == 1);
  CHECK(journal.delivery_counts()->at(0).target == "offsite");
  CHECK(*journal.retry_deliveries(t0) == 0);
  CHECK(*journal.set_targets({hook_and_offsite[1]}) == 0);
  // Nor does it lose what it was to be told, when it comes back.
  REQUIRE(journal.set_targets(hook_and_offsite));
  CHECK(told("hook") == std::vector{State::done});
}

TEST_CASE_METHOD(Deliveries, "a target that comes back is not told what is older than what it knows") {
  finish(State::partial, "11");
  REQUIRE(*journal.set_targets({hook_and_offsite[1]}) == 1);
  REQUIRE(journal.set_targets({hook_and_offsite[0]}));
  REQUIRE(journal.set_targets({hook_and_offsite[1]}));
  finish(State::done, "22");
  REQUIRE(journal.set_targets(hook_and_offsite));
  CHECK(told("hook") == std::vector{State::partial});
  CHECK(told("offsite") == std::vector{State::partial, State::done});
}

TEST_CASE_METHOD(Deliveries, "what is due beside captures is counted, and what is put off is not") {
  CHECK(journal.work_after_captures(t0)->targets.empty());
  finish(State::done, "11");
  CHECK(journal.work_after_captures(t0)->targets.size() == 2);
  const auto next = **journal.next_delivery("hook", t0);
  REQUIRE(journal.not_delivered(next.id, "busy", t0 + 1min, true));
  finish(State::done, "22");  // of the hook's it waits for the one before
  CHECK(journal.work_after_captures(t0)->targets == std::vector<std::string>{"offsite"});
  CHECK(journal.work_after_captures(t0)->targets == std::vector<std::string>{"offsite"});
  CHECK(told("offsite").size() == 2);
  CHECK_FALSE(journal.work_after_captures(t0)->clips_to_remove);
  REQUIRE(*journal.remove_clip(id, clip_on_disk.clip, "too old", t0));
  CHECK(journal.work_after_captures(t0)->clips_to_remove);
}

TEST_CASE_METHOD(Deliveries, "a whole copy off site gives way to nothing less") {
  finish(State::partial, "11");
  finish(State::done, "22");
  CHECK(told("offsite").size() == 2);
  finish(State::partial, "33");
  CHECK(told("offsite").empty());
  finish(State::done, "44");
  CHECK(told("offsite") == std::vector{State::done});

  REQUIRE(*journal.repair(**journal.find(id), Damage::damaged, t0));
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(
      journal.finish(id, "me", outcome(State::partial, "its clip is damaged", (**journal.find(id)).published), t0));
  CHECK((**journal.find(id)).published->damage == Damage::damaged);
  CHECK(told("offsite").empty());
}
TEST_CASE_METHOD(Deliveries, "retention leaves a clip until it is copied off site, and waits for no hook") {
  finish(State::done, "11");
  const auto clip = journal.find(id)->value().published->clip;
  CHECK_FALSE(*journal.remove_clip(id, clip, "too old", t0));
  CHECK(told("offsite").size() == 1);
  CHECK(*journal.remove_clip(id, clip, "too old", t0));
  CHECK(*journal.next_delivery("hook", t0));
}

TEST_CASE_METHOD(Fixture, "counts and filters") {
  const auto id = journal.accept(capture("a"))->id;
  REQUIRE(journal.accept(capture("b")));
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  REQUIRE(journal.finish(id, "me", outcome(State::failed, "gone"), t0 + 1s));
  const auto counts = *journal.counts();
  CHECK(counts.waiting == 1);
  CHECK(counts.failed == 1);
  CHECK(counts.oldest_waiting == t0);
  CHECK(all(journal, {.state = State::failed, .after = {}, .limit = 10}).size() == 1);
  CHECK(all(journal, {.state = {}, .after = t0 + 1s, .limit = 10}).empty());
  CHECK(all(journal, {.state = {}, .after = {}, .limit = 1}).size() == 1);
}

TEST_CASE_METHOD(Fixture, "a capture that is worked on is found by its camera's name, and only its name changes") {
  const auto id = journal.accept(capture("a", "Cam1"))->id;
  const auto other = journal.accept(capture("b", "Cam2"))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 1h));
  CHECK(all(journal, {.camera = "lobby"}).empty());
  REQUIRE(journal.name_camera(id, "Lobby"));
  const auto found = all(journal, {.camera = "lobby"});
  REQUIRE(found.size() == 1);
  CHECK(found[0].camera_name == "Lobby");
  CHECK(found[0].state == State::capturing);
  CHECK((*journal.find(other))->camera_name.empty());
  REQUIRE(journal.finish(id, "me", outcome(State::done, "", clip_on_disk), t0));
  CHECK((*journal.find(id))->state == State::done);
}

TEST_CASE_METHOD(Fixture, "captures are found by camera, activity, way and time") {
  auto one = capture("a", "Cam1");
  one.activities = {"MOTION_HUMAN", "FACE"};
  auto other = capture("b", "Cam2");
  other.activities = {"MOTION_CAR"};
  other.via = Via::catch_up;
  other.received_at = t0 + 1h;
  REQUIRE(journal.accept(one));
  const auto id = journal.accept(other)->id;
  REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
  auto named = outcome(State::failed, "x");
  named.camera_name = "100%_Door";
  REQUIRE(journal.finish(id, "me", named, t0 + 1h));

  struct Case {
    Filter filter;
    std::string found;
  };
  const std::vector<Case> cases{
      {{.camera = "Cam1"}, "a"},
      {{.camera = "Cam"}, ""},  // a part of a UUID says nothing
      {{.camera = "door"}, "b"},
      {{.camera = "%_d"}, "b"},
      {{.camera = "_Cam"}, ""},
      {{.camera = "%"}, "b"},
      {{.camera = "\\"}, ""},
      {{.activity = "face"}, "a"},
      {{.activity = "MOTION_HUMAN"}, "a"},
      {{.activity = "MOTION"}, ""},
      {{.activity = "MOTION%"}, ""},
      {{.via = Via::catch_up}, "b"},
      {{.after = t0 + 1h}, "b"},
      {{.before = t0 + 1h}, "a"},
      {{.state = State::failed, .camera = "door", .activity = "motion_car"}, "b"},
      {{.state = State::waiting, .camera = "door"}, ""},
  };
  for (const auto& [filter, found] : cases) {
    CAPTURE(filter.camera, filter.activity);
    std::string alerts;
    for (const auto& row : all(journal, filter)) alerts += row.alert.str();
    CHECK(alerts == found);
  }
}

namespace {

CaptureId publish(Journal& journal, const std::string& alert, const Published& clip,
                  std::optional<WallTime> next = {}) {
  const auto id = journal.accept(capture(alert))->id;
  REQUIRE(*journal.claim(id, "me", t0, t0 + 20s));
  auto done = outcome(State::done, "", clip);
  if (next) done = outcome(State::partial, "a hole", clip);
  done.next_attempt_at = next;
  REQUIRE(journal.finish(id, "me", done, t0 + 1s));
  return id;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "published clips are listed in the order of their captures") {
  const auto one = publish(journal, "a", clip_on_disk);
  REQUIRE(journal.accept(capture("b")));
  const auto three = publish(journal, "c", {"c.mp4", "lan", 100, "cd", {}});
  const auto page = *journal.published(0, 10);
  REQUIRE(page.size() == 2);
  CHECK(page[0].id == one);
  CHECK(page[1].id == three);
  CHECK(journal.published(0, 1)->size() == 1);
  CHECK(journal.published(one, 10)->at(0).id == three);
  CHECK(journal.published(three, 10)->empty());
  CHECK(journal.published_totals(0)->clips == 2);
  CHECK(journal.published_totals(0)->bytes == 223);
  CHECK(journal.published_totals(one)->bytes == 100);
  CHECK(journal.published_totals(three)->bytes == 0);
}

TEST_CASE_METHOD(Fixture, "a capture with a damaged clip is put back in line, once, and keeps what is known of it") {
  const auto id = publish(journal, "a", clip_on_disk);
  const auto seen = **journal.find(id);
  REQUIRE(*journal.repair(seen, Damage::damaged, t0 + 1h));
  auto row = **journal.find(id);
  CHECK(row.state == State::waiting);
  CHECK(row.reason == "its clip is damaged");
  CHECK(row.published->damage == Damage::damaged);
  CHECK(row.published->sha256 == clip_on_disk.sha256);
  CHECK(row.published->gaps == clip_on_disk.gaps);
  CHECK(due_ids(journal, t0 + 1h) == std::vector<CaptureId>{id});
  CHECK_FALSE(*journal.repair(seen, Damage::damaged, t0 + 2h));
  // A crash in the middle of it changes nothing.
  REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
  CHECK_FALSE(*journal.repair(seen, Damage::missing, t0 + 1h));  // somebody is at work on it
  REQUIRE(journal.release_leases(t0 + 1h));
  CHECK((**journal.find(id)).published->damage == Damage::damaged);

  // In vain: the row says so, and is not tried for it again and again.
  REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
  auto kept = outcome(State::partial, "its clip is damaged, and there is no better one", row.published);
  REQUIRE(journal.finish(id, "me", kept, t0 + 1h));
  CHECK((**journal.find(id)).published->damage == Damage::damaged);
  CHECK_FALSE(*journal.repair(seen, Damage::damaged, t0 + 2h));
  CHECK(journal.due(t0 + 24h, 10)->empty());

  // The owner has put it back.
  REQUIRE(*journal.set_sound(seen, t0 + 3h));
  CHECK_FALSE(*journal.set_sound(seen, t0 + 3h));
  row = **journal.find(id);
  CHECK(row.published->damage == Damage::none);
  CHECK(row.state == State::waiting);
}

TEST_CASE_METHOD(Fixture, "another clip takes the damage away, and is none of the repair's") {
  const auto id = publish(journal, "a", clip_on_disk);
  const auto seen = **journal.find(id);
  REQUIRE(*journal.repair(seen, Damage::missing, t0 + 1h));
  REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
  // The very same clip, made anew.
  REQUIRE(journal.finish(id, "me", outcome(State::done, "", clip_on_disk), t0 + 1h));
  CHECK((**journal.find(id)).published->damage == Damage::none);
  CHECK((**journal.find(id)).state == State::done);

  REQUIRE(journal.retry(AlertId("a"), t0 + 2h));
  REQUIRE(*journal.claim(id, "me", t0 + 2h, t0 + 3h));
  REQUIRE(journal.finish(id, "me", outcome(State::done, "", Published{"a/b.mp4", "lan", 124, "ef", {}}), t0 + 2h));
  CHECK_FALSE(*journal.repair(seen, Damage::damaged, t0 + 3h));
  CHECK((**journal.find(id)).state == State::done);
}

TEST_CASE_METHOD(Fixture, "a clip's name is its capture's, whatever becomes of the file") {
  const auto first = publish(journal, "a", clip_on_disk);
  const auto name = clip_on_disk.clip;
  CHECK_FALSE(*journal.is_clip_of_another(name, first));
  CHECK(*journal.is_clip_of_another(name, first + 1));
  CHECK_FALSE(*journal.is_clip_of_another("other.mp4", first));
  REQUIRE(*journal.repair(**journal.find(first), Damage::missing, t0));
  CHECK(*journal.is_clip_of_another(name, first + 1));
  REQUIRE(*journal.set_sound(**journal.find(first), t0));
  REQUIRE(*journal.claim(first, "me", t0, t0 + 20s));
  REQUIRE(journal.finish(first, "me", outcome(State::done, "", clip_on_disk), t0));
  REQUIRE(*journal.remove_clip(first, name, "too old", t0));
  CHECK(*journal.is_clip_of_another(name, first + 1));

  // Should another capture's clip come to the name all the same, and the first one's to another: the name stays.
  publish(journal, "b", clip_on_disk);
  CHECK(journal.leftovers()->empty());
  REQUIRE(journal.retry(AlertId("a"), t0));
  REQUIRE(*journal.claim(first, "me", t0, t0 + 20s));
  REQUIRE(journal.finish(first, "me", outcome(State::done, "", Published{"a/b.mp4", "lan", 124, "ef", {}}), t0));
  CHECK(journal.leftovers()->empty());
}

TEST_CASE_METHOD(Fixture, "the first key of a device stays") {
  const DeviceId device("cam");
  CHECK_FALSE(*journal.pin(device));
  REQUIRE(journal.set_pin(device, std::string(64, 'a'), t0));
  REQUIRE(journal.set_pin(device, std::string(64, 'b'), t0));
  CHECK(**journal.pin(device) == std::string(64, 'a'));
  CHECK(journal.pins()->size() == 1);
  CHECK(*journal.forget_pin(device));
  CHECK_FALSE(*journal.forget_pin(device));
  CHECK_FALSE(*journal.pin(device));
  REQUIRE(journal.set_fact("archive_id", "x"));
  REQUIRE(journal.set_fact("archive_id", "y"));
  CHECK(**journal.fact("archive_id") == "y");
  CHECK(*journal.settle_fact("archive_id", "z") == "y");
  CHECK(*journal.settle_fact("journal_id", "z") == "z");
  CHECK_FALSE(*journal.fact("other"));
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

namespace {

std::set<std::string> files_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

void set_version(const std::filesystem::path& path, int version) {
  sqlite3* raw = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &raw) == SQLITE_OK);
  REQUIRE(sqlite3_exec(raw, ("PRAGMA user_version = " + std::to_string(version)).c_str(), nullptr, nullptr,
                       nullptr) == SQLITE_OK);
  sqlite3_close(raw);
}

// A process of a user who owns nothing here. It is begun before this one opens a journal: SQLite's connections do not
// survive a fork.
class Stranger {
 public:
  explicit Stranger(const std::function<int()>& work) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      constexpr uid_t nobody = 65534;
      char go = 0;
      ::close(ends[1]);
      const bool told = ::read(ends[0], &go, 1) == 1;
      const bool is_stranger = ::geteuid() != 0 || (::setgid(nobody) == 0 && ::setuid(nobody) == 0);
      ::_exit(told && is_stranger ? work() : 99);
    }
    ::close(ends[0]);
    go_ = ends[1];
  }
  ~Stranger() {
    if (pid_ > 0) run();
  }
  void go() {
    CHECK(::write(go_, "g", 1) == 1);
    ::close(go_);
    go_ = -1;
  }
  bool is_done() {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
    pid_ = -1;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return true;
  }
  int status() const { return status_; }
  // From its beginning to its end.
  int run() {
    if (go_ >= 0) go();
    while (!is_done()) std::this_thread::yield();
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int go_ = -1;
  int status_ = -1;
};

// 0: all captures that wait are seen, at least so many.
int look_many_times(const std::filesystem::path& path, int times, std::uint64_t least) {
  for (int i = 0; i < times; ++i) {
    auto mine = Journal::open(path, Journal::Mode::read_only);
    if (!mine) return 1;
    const auto counts = mine->counts();
    if (!counts || counts->waiting < least) return 2;
  }
  return 0;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "looking needs no turn among those that write") {
  REQUIRE(journal.accept(capture("a")));
  const auto held = journal.transaction([&]() -> Result<void> {
    CHECK(journal.accept(capture("b")));
    const auto began = std::chrono::steady_clock::now();
    auto looking = Journal::open(folder / "state/journal.db", Journal::Mode::read_only);
    REQUIRE(looking);
    CHECK(all(*looking).size() == 1);
    CHECK(looking->check());
    CHECK(looking->has_write_ahead_log());
    CHECK(std::chrono::steady_clock::now() - began < Journal::usual_patience / 2);
    return {};
  });
  CHECK(held);
  // Nor does who looks keep anybody from writing.
  auto looking = *Journal::open(folder / "state/journal.db", Journal::Mode::read_only);
  CHECK(looking.snapshot([&]() -> Result<void> {
    CHECK(all(looking).size() == 2);
    CHECK(journal.accept(capture("c")));
    CHECK(all(looking).size() == 2);
    return {};
  }));
  CHECK(all(looking).size() == 3);
  CHECK_FALSE(looking.accept(capture("d")));
}

TEST_CASE("who looks brings no journal up to date, and says in one line why it cannot be looked at") {
  for (const int version : {0, 3, 4, 99}) {
    CAPTURE(version);
    const test::TempFolder folder;
    { REQUIRE(Journal::open(folder / "j.db", Journal::Mode::read_write)); }
    set_version(folder / "j.db", version);
    const auto before = files_in(folder.path());
    const auto looking = Journal::open(folder / "j.db", Journal::Mode::read_only);
    REQUIRE_FALSE(looking);
    CHECK(looking.error().message.find('\n') == std::string::npos);
    if (version != 0) {
      CHECK(looking.error().message.find("the journal has version " + std::to_string(version) +
                                         ", this program knows 5: use the program that serve runs") !=
            std::string::npos);
    }
    CHECK(files_in(folder.path()) == before);
  }
}

TEST_CASE("looking at a journal that nobody has open makes no file, and sees what comes later") {
  const test::TempFolder folder;
  const auto path = folder / "a?b#c%20.db";
  {
    auto journal = *Journal::open(path, Journal::Mode::read_write);
    REQUIRE(journal.accept(capture("a")));
  }
  REQUIRE(files_in(folder.path()).size() == 1);
  auto looking = *Journal::open(path, Journal::Mode::read_only);
  CHECK(all(looking).size() == 1);
  CHECK(*looking.has_write_ahead_log());
  CHECK(looking.check());
  CHECK_FALSE(looking.accept(capture("x")));
  CHECK(files_in(folder.path()).size() == 1);
  {
    auto journal = *Journal::open(path, Journal::Mode::read_write);
    REQUIRE(journal.accept(capture("b")));
    CHECK(all(looking).size() == 2);
    REQUIRE(journal.accept(capture("c")));
    CHECK(all(looking).size() == 3);
  }
  CHECK(all(looking).size() == 3);
}

TEST_CASE("what is changed while it is read without locks is not believed") {
  const test::TempFolder folder;
  const auto path = folder / "j.db";
  {
    auto journal = *Journal::open(path, Journal::Mode::read_write);
    for (int i = 0; i < 50; ++i) REQUIRE(journal.accept(capture(std::to_string(i))));
  }
  auto looking = *Journal::open(path, Journal::Mode::read_only);
  std::size_t seen = 0;
  const auto read = looking.each({.limit = 100}, [&](const Capture&) {
    if (++seen != 10) return;
    auto journal = *Journal::open(path, Journal::Mode::read_write);
    CHECK(journal.accept(capture("more")));
  });
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::transient);
  CHECK(all(looking).size() == 51);
}

TEST_CASE("a log without its shared memory is no reason to show an older state") {
  const test::TempFolder folder;
  {
    auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
    REQUIRE(journal.accept(capture("a")));
    std::filesystem::copy_file(folder / "j.db", folder / "copy.db");
    std::filesystem::copy_file(folder / "j.db-wal", folder / "copy.db-wal");
  }
  const auto looking = Journal::open(folder / "copy.db", Journal::Mode::read_only);
  REQUIRE_FALSE(looking);
  CHECK(looking.error().message.find("copy.db-shm is missing") != std::string::npos);
  auto writing = *Journal::open(folder / "copy.db", Journal::Mode::read_write);
  CHECK(all(writing).size() == 1);
}

TEST_CASE("who may only read looks beside a writer that commits back to back, and after one that was killed") {
  const test::TempFolder folder;
  const auto path = folder / "j.db";
  const auto killed = folder / "killed.db";
  Stranger beside([&] { return look_many_times(path, 200, 1); });
  Stranger after([&] { return look_many_times(killed, 1, 2); });
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  auto journal = *Journal::open(path, Journal::Mode::read_write);
  REQUIRE(journal.accept(capture("a")));
  REQUIRE(journal.accept(capture("b")));
  const auto let_read = [](const std::filesystem::path& of) {
    for (const auto* end : {"", "-wal", "-shm"}) REQUIRE(::chmod((of.string() + end).c_str(), 0644) == 0);
  };
  let_read(path);
  beside.go();
  for (int i = 0; !beside.is_done(); ++i) REQUIRE(journal.accept(capture("w" + std::to_string(i))));
  CHECK(beside.status() == 0);

  // Nobody has them open, and they are still there.
  for (const auto* end : {"", "-wal", "-shm"}) std::filesystem::copy_file(path.string() + end, killed.string() + end);
  let_read(killed);
  const auto before = files_in(folder.path());
  CHECK(after.run() == 0);
  CHECK(files_in(folder.path()) == before);
}

TEST_CASE("who may not read a journal is told whose it is") {
  const test::TempFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  Stranger stranger([&] {
    const auto mine = Journal::open(folder / "j.db", Journal::Mode::read_only);
    if (mine) return 1;
    const auto said = [&](std::string_view what) { return mine.error().message.find(what) != std::string::npos; };
    return said("cannot read") && said("j.db-shm") && said("run this as ") ? 0 : 2;
  });
  auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
  REQUIRE(::chmod((folder / "j.db-shm").c_str(), 0) == 0);
  CHECK(stranger.run() == 0);
}

TEST_CASE("a command beside the process that works on the journal leaves its log alone") {
  const test::TempFolder folder;
  auto journal = *Journal::open(folder / "j.db", Journal::Mode::read_write);
  REQUIRE(journal.accept(capture("a")));
  const auto log = journal.log_bytes();
  REQUIRE(log > 0);
  auto beside = *Journal::open(folder / "j.db", Journal::Mode::read_write_beside);
  CHECK(journal.log_bytes() == log);
  CHECK(*beside.find(AlertId("a"), DeviceId("cam")));
  auto alone = *Journal::open(folder / "j.db", Journal::Mode::read_write);
  CHECK(journal.log_bytes() == 0);
}

TEST_CASE("a journal whose file system allows no write-ahead log says so") {
  const test::TempFolder folder;
  auto* usual = sqlite3_vfs_find(nullptr);
  auto* without_shared_memory = sqlite3_vfs_find("unix-dotfile");
  REQUIRE(without_shared_memory != nullptr);
  sqlite3_vfs_register(without_shared_memory, 1);
  bool has = true;
  {
    auto journal = Journal::open(folder / "j.db", Journal::Mode::read_write);
    if (journal) has = journal->has_write_ahead_log() && *journal->has_write_ahead_log();
  }
  sqlite3_vfs_register(usual, 1);
  CHECK_FALSE(has);
  CHECK(*Journal::open(folder / "other.db", Journal::Mode::read_write)->has_write_ahead_log());
}

TEST_CASE_METHOD(Fixture, "of changes that are committed together, each that fails is undone alone") {
  const auto change = [&](std::size_t i) -> Result<void> {
    const auto accepted = journal.accept(capture(std::to_string(i)));
    if (!accepted) return accepted.error();
    return i % 2 == 0 ? Error{ErrorKind::permanent, "even"} : Result<void>{};
  };
  const auto committed = journal.commit_each(5, change);
  REQUIRE(committed);
  REQUIRE(committed->size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(static_cast<bool>((*committed)[i]) == (i % 2 == 1));
  CHECK(all(journal).size() == 2);
  CHECK(journal.commit_each(0, change)->empty());
}

TEST_CASE_METHOD(Fixture, "what is due of all ways is in the order of its times") {
  for (int i = 0; i < 6; ++i) {
    auto one = capture("a" + std::to_string(i));
    one.via = i % 2 == 0 ? Via::manual : Via::catch_up;
    one.alert_at = t0 - std::chrono::seconds(100 - i);
    REQUIRE(journal.accept(one));
  }
  CHECK(due_ids(journal, t0) == std::vector<CaptureId>{1, 2, 3, 4, 5, 6});
  const auto first = *journal.due(t0, 3);
  REQUIRE(first.size() == 3);
  CHECK(first[2].id == 3);
}

TEST_CASE("who looks in the process that writes the journal leaves its locks where they are") {
  const test::TempFolder folder;
  const auto file = folder / "journal.db";
  auto writing = Journal::open(file, Journal::Mode::read_write);
  REQUIRE(writing);
  REQUIRE(writing->accept(capture("a")));
  for (int i = 0; i < 2; ++i) REQUIRE(Journal::open(file, Journal::Mode::read_only)->counts());
  // Another process may not take the whole database, as one does that thinks that it is the last to close it.
  const auto child = ::fork();
  if (child == 0) {
    constexpr off_t shared_locks_at = 0x40000002;
    const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = shared_locks_at;
    lock.l_len = 510;
    ::_exit(fd < 0 ? 2 : ::fcntl(fd, F_SETLK, &lock) == 0 ? 1 : 0);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
