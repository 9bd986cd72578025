// Clips that are kept, held and removed.
#include <catch2/catch.hpp>

#include "responder/journal/journal.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

struct Fixture {
  test::TempFolder folder;
  Journal journal = *Journal::open(folder / "journal.db", Journal::Mode::read_write);

  NewCapture capture(const std::string& alert, std::chrono::seconds after) {
    NewCapture made;
    made.alert = AlertId(alert);
    made.camera = DeviceId("cam");
    made.location = LocationId("place");
    made.activities = {"MOTION_HUMAN", "FACE"};
    made.received_at = t0 + after;
    made.alert_at = t0 + after;
    made.duration = 10s;
    made.window_start = std::chrono::floor<std::chrono::seconds>(t0 + after);
    made.window_end = made.window_start + 10s;
    return made;
  }

  CaptureId claim(const std::string& alert, std::chrono::seconds after) {
    const auto id = journal.accept(capture(alert, after))->id;
    REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
    return id;
  }

  CaptureId publish(const std::string& alert, std::chrono::seconds after, State state = State::done,
                    std::optional<WallTime> next_attempt_at = std::nullopt) {
    const auto id = claim(alert, after);
    REQUIRE(finish(id, alert + "_video.mp4", state, next_attempt_at));
    return id;
  }

  Result<void> finish(CaptureId id, const std::string& clip, State state = State::done,
                      std::optional<WallTime> next_attempt_at = std::nullopt) {
    return journal.finish(id, "me",
                          {.state = state,
                           .reason = state == State::done ? "" : "a hole",
                           .camera_name = "Cam",
                           .published = Published{clip, "lan", 100, "ab", {}, capture("a", 0s).window_end + 1h},
                           .next_attempt_at = next_attempt_at,
                           .window_end = capture("a", 0s).window_end + 1h},
                          t0 + 1h);
  }

  Result<bool> remove(CaptureId id, const std::string& clip) {
    return journal.remove_clip(id, clip, "its clip was removed: too old", t0 + 24h);
  }

  Capture row(CaptureId id) { return **journal.find(id); }

  std::vector<std::string> oldest_first(std::optional<ClipPosition> after = std::nullopt, std::size_t most = 100) {
    std::vector<std::string> clips;
    REQUIRE(journal.each_stored_clip(after, [&](const StoredClip& clip) {
      clips.push_back(clip.path);
      return clips.size() < most;
    }));
    return clips;
  }
};

using Clips = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(Fixture, "stored clips are told of oldest first, from anywhere on") {
  publish("c", 30s);
  const auto b = publish("b", 20s);
  publish("a", 10s);
  publish("b2", 20s);
  claim("being captured", 0s);
  REQUIRE(journal.accept(capture("waits", 0s)));
  CHECK(oldest_first() == Clips{"a_video.mp4", "b_video.mp4", "b2_video.mp4", "c_video.mp4"});
  CHECK(oldest_first({}, 2) == Clips{"a_video.mp4", "b_video.mp4"});
  CHECK(oldest_first(ClipPosition{row(b).window_end, b}) == Clips{"b2_video.mp4", "c_video.mp4"});
  std::size_t count = 0;
  REQUIRE(journal.each_stored_clip([&](const StoredClip& clip) {
    ++count;
    CHECK(clip.bytes == 100);
    CHECK(clip.location.str() == "place");
    CHECK(clip.activities == Clips{"MOTION_HUMAN", "FACE"});
  }));
  CHECK(count == 4);
}

TEST_CASE_METHOD(Fixture, "a clip is removed once, its row says why, and its file is left to be removed") {
  const auto id = publish("a", 0s, State::partial);
  CHECK_FALSE(*remove(id, "another.mp4"));
  CHECK(*remove(id, "a_video.mp4"));
  CHECK_FALSE(*remove(id, "a_video.mp4"));
  CHECK(row(id).state == State::partial);
  CHECK(row(id).reason == "a hole; its clip was removed: too old");
  CHECK(row(id).removed_at == t0 + 24h);
  CHECK_FALSE(row(id).published);
  CHECK(*journal.leftovers() == Clips{"a_video.mp4"});
  CHECK(oldest_first().empty());
  // It is known, and nothing is to be done for it.
  CHECK(journal.accept(capture("a", 0s))->duplicate);
  CHECK(*journal.retry_failed(t0 + 24h) == 0);
  CHECK(journal.due(t0 + 48h, 10)->empty());
}

TEST_CASE_METHOD(Fixture, "what is held, in work or not final is not removed") {
  const auto held = publish("held", 0s);
  CHECK(journal.set_held(AlertId("held"), true)->count == 1);
  CHECK_FALSE(*remove(held, "held_video.mp4"));
  CHECK(row(held).held);
  const auto again = publish("again", 0s, State::partial, t0 + 2h);
  CHECK_FALSE(*remove(again, "again_video.mp4"));
  const auto retried = publish("retried", 0s);
  REQUIRE(journal.retry(AlertId("retried"), t0));
  CHECK_FALSE(*remove(retried, "retried_video.mp4"));
  REQUIRE(*journal.claim(retried, "me", t0 + 1h, t0 + 2h));
  CHECK_FALSE(*remove(retried, "retried_video.mp4"));
  CHECK(journal.leftovers()->empty());

  REQUIRE(journal.each_stored_clip([&](const StoredClip& clip) {
    CHECK(clip.held == (clip.id == held));
    CHECK(clip.is_final == (clip.id == held));
  }));
  CHECK(journal.set_held(AlertId("held"), false)->count == 1);
  CHECK(*remove(held, "held_video.mp4"));
  CHECK(journal.set_held(AlertId("held"), true)->removed == 1);
  CHECK(journal.set_held(AlertId("unknown"), true)->count == 0);
}

TEST_CASE_METHOD(Fixture, "what is held is held of cameras that join it later, too") {
  publish("a", 0s);
  CHECK(journal.set_held(AlertId("a"), true)->count == 1);
  auto more = capture("a", 0s);
  more.camera = DeviceId("joined");
  CHECK(row(journal.accept(more)->id).held);
  // An ignored one that is taken after all.
  auto ignored = capture("b", 0s);
  ignored.camera = DeviceId("other");
  ignored.ignored_reason = "no";
  const auto taken_up = journal.accept(ignored)->id;
  publish("b", 0s);
  CHECK(journal.set_held(AlertId("b"), true)->count == 1);
  ignored.ignored_reason.clear();
  CHECK_FALSE(journal.accept(ignored)->duplicate);
  CHECK(row(taken_up).held);
}

TEST_CASE_METHOD(Fixture, "a removed clip that is tried again takes its place, and is not removed then") {
  const auto id = publish("a", 0s);
  REQUIRE(*remove(id, "a_video.mp4"));
  CHECK(*journal.retry(AlertId("a"), t0) == 1);
  CHECK_FALSE(row(id).removed_at);
  CHECK_FALSE(row(id).published);
  // Its file may still stand there: it is no clip to take over.
  KnownClip known;
  known.capture = capture("a", 0s);
  known.published = {"a_video.mp4", "lan", 100, "ab", {}};
  CHECK_FALSE(*journal.restore(known));
  REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
  REQUIRE(finish(id, "a_video.mp4"));
  CHECK(row(id).published->clip == "a_video.mp4");
  CHECK(journal.leftovers()->empty());
}

TEST_CASE_METHOD(Fixture, "leftovers are listed in pieces") {
  for (const auto* name : {"a", "b", "c"}) REQUIRE(*remove(publish(name, 0s), std::string(name) + "_video.mp4"));
  CHECK(*journal.leftovers("", 2) == Clips{"a_video.mp4", "b_video.mp4"});
  CHECK(*journal.leftovers("b_video.mp4", 2) == Clips{"c_video.mp4"});
}

TEST_CASE_METHOD(Fixture, "totals of what is stored") {
  publish("a", 0s);
  publish("b", 0s);
  REQUIRE(*remove(publish("c", 0s), "c_video.mp4"));
  REQUIRE(journal.set_held(AlertId("a"), true));
  const auto totals = *journal.stored_totals();
  CHECK(totals.clips == 2);
  CHECK(totals.bytes == 200);
  CHECK(totals.held == 1);
  CHECK(totals.removed == 1);
}

TEST_CASE_METHOD(Fixture, "damaged clips count with those that they stand beside, and go with them") {
  const auto id = publish("a", 0s);
  publish("b", 0s);
  REQUIRE(journal.set_kept_damaged("a_video.mp4", 70));
  REQUIRE(journal.set_kept_damaged("b_video.mp4", 20));
  REQUIRE(journal.set_kept_damaged("b_video.mp4", 30));
  REQUIRE(journal.set_kept_damaged("nobody's.mp4", 5));
  REQUIRE(journal.set_fact("damage", "no clip's"));
  CHECK(*journal.kept_damaged() == std::map<std::string, std::uint64_t>{{"a_video.mp4", 70}, {"b_video.mp4", 30}});
  CHECK(journal.stored_totals()->bytes == 300);
  REQUIRE(*remove(id, "a_video.mp4"));
  CHECK(journal.stored_totals()->bytes == 130);
  REQUIRE(journal.forget_leftover("a_video.mp4"));
  CHECK_FALSE(*journal.fact("damaged a_video.mp4"));
  REQUIRE(journal.set_kept_damaged("b_video.mp4", 0));
  CHECK(journal.kept_damaged()->empty());
}

TEST_CASE_METHOD(Fixture, "a snapshot does not see what others write meanwhile") {
  publish("a", 0s);
  auto other = *Journal::open(folder / "journal.db", Journal::Mode::read_only);
  REQUIRE(other.snapshot([&]() -> Result<void> {
    CHECK(other.stored_totals()->clips == 1);
    publish("b", 0s);
    CHECK(other.stored_totals()->clips == 1);
    return {};
  }));
  CHECK(other.stored_totals()->clips == 2);
  const Error failed{ErrorKind::transient, "no"};
  CHECK(other.snapshot([&]() -> Result<void> { return failed; }).error().message == "no");
  CHECK(other.snapshot([&] { return Result<void>{}; }));
}
