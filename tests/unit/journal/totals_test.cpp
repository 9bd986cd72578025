// Totals that the journal keeps: they are what counting all captures anew would give.
#include <random>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "responder/journal/journal.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

// By a connection of its own, row by row.
std::int64_t counted(const std::filesystem::path& file, const std::string& what) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  sqlite3_stmt* query = nullptr;
  const auto sql = "SELECT " + what + " FROM captures NOT INDEXED";
  REQUIRE(sqlite3_prepare_v2(database, sql.c_str(), -1, &query, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(query) == SQLITE_ROW);
  const auto found = sqlite3_column_int64(query, 0);
  sqlite3_finalize(query);
  sqlite3_close(database);
  return found;
}

// Captures of twenty alerts, to which anything happens that can.
class History {
 public:
  History(Journal& journal, unsigned seed) : journal_(journal), random_(seed) {}

  void step() {
    now_ += 1s;
    const AlertId alert("alert" + std::to_string(pick(20)));
    switch (pick(12)) {
      case 0:
      case 1:
      case 2: must(journal_.accept(new_capture(alert))); return;
      case 3:
      case 4:
      case 5: work_on(alert); return;
      case 6: must(journal_.release_leases(now_)); return;
      case 7: must(pick(2) == 0 ? journal_.retry(alert, now_) : journal_.retry_failed(now_)); return;
      case 8: must(journal_.set_held(alert, pick(2) == 0)); return;
      case 9: must(journal_.restore(known(alert))); return;
      default: change_clip(alert); return;
    }
  }

 private:
  template <class T>
  static void must(const Result<T>& done) {
    if (!done) throw std::runtime_error(done.error().message);
  }
  unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }

  NewCapture new_capture(const AlertId& alert) {
    NewCapture made;
    made.alert = alert;
    made.camera = DeviceId("cam" + std::to_string(pick(2)));
    made.location = LocationId("place");
    made.received_at = now_;
    made.alert_at = t0;
    made.duration = std::chrono::seconds(10 + pick(20));
    made.window_start = std::chrono::floor<std::chrono::seconds>(t0);
    made.window_end = made.window_start + 60s;
    if (pick(5) == 0) made.ignored_reason = "not wanted";
    return made;
  }

  Published clip(const AlertId& alert) {
    return {alert.str() + ".mp4",       "lan", 1 + pick(1000),
            std::to_string(pick(1000)), {},    new_capture(alert).window_end};
  }

  KnownClip known(const AlertId& alert) {
    KnownClip made;
    made.capture = new_capture(alert);
    made.published = clip(alert);
    made.state = pick(2) == 0 ? State::done : State::partial;
    return made;
  }

  std::optional<Capture> one_of(const AlertId& alert) {
    std::optional<Capture> found;
    must(journal_.each({.alert = alert}, [&](const Capture& capture) {
      if (!found || pick(2) == 0) found = capture;
    }));
    return found;
  }

  void work_on(const AlertId& alert) {
    const auto capture = one_of(alert);
    if (!capture) return;
    const auto claimed = journal_.claim(capture->id, "me", now_, now_ + 20s);
    must(claimed);
    if (!*claimed || pick(4) == 0) return;  // it stays in work
    const State states[] = {State::done, State::partial, State::failed};
    Outcome outcome{.state = states[pick(3)],
                    .reason = "",
                    .camera_name = "",
                    .published = {},
                    .next_attempt_at = {},
                    .window_end = capture->window_end};
    if (outcome.state != State::failed) outcome.published = clip(alert);
    if (outcome.state == State::partial && pick(2) == 0) outcome.next_attempt_at = now_ + 5s;
    must(pick(5) == 0 ? journal_.postpone(capture->id, "me", "later", now_ + 1s, true, now_)
                      : journal_.finish(capture->id, "me", outcome, now_));
  }

  void change_clip(const AlertId& alert) {
    const auto capture = one_of(alert);
    if (!capture || !capture->published) return;
    switch (pick(3)) {
      case 0: must(journal_.remove_clip(capture->id, capture->published->clip, "old", now_)); return;
      case 1: must(journal_.repair(*capture, Damage::damaged, now_)); return;
      default: must(journal_.forget_clip(capture->id)); return;
    }
  }

  Journal& journal_;
  std::mt19937 random_;
  WallTime now_ = t0;
};

}  // namespace

TEST_CASE("the totals are those of all captures, whatever happens to them") {
  const unsigned seed = GENERATE(range(1U, 9U));
  CAPTURE(seed);
  const test::TempFolder folder;
  const auto file = folder / "journal.db";
  auto journal = *Journal::open(file, Journal::Mode::read_write);
  History history(journal, seed);
  const std::string has_clip = "(clip IS NOT NULL AND removed_ms IS NULL)";
  for (int round = 0; round < 40; ++round) {
    const auto lived = journal.transaction([&]() -> Result<void> {
      for (int i = 0; i < 10; ++i) history.step();
      return round % 8 == 7 ? Error{ErrorKind::permanent, "none of it is committed"} : Result<void>{};
    });
    CHECK(static_cast<bool>(lived) == (round % 8 != 7));
    const auto counts = *journal.counts();
    CHECK(static_cast<std::int64_t>(counts.waiting) == counted(file, "count(*) FILTER (WHERE state = 'waiting')"));
    CHECK(static_cast<std::int64_t>(counts.capturing) ==
          counted(file, "count(*) FILTER (WHERE state = 'capturing')"));
    CHECK(static_cast<std::int64_t>(counts.done) == counted(file, "count(*) FILTER (WHERE state = 'done')"));
    CHECK(static_cast<std::int64_t>(counts.partial) == counted(file, "count(*) FILTER (WHERE state = 'partial')"));
    CHECK(static_cast<std::int64_t>(counts.failed) == counted(file, "count(*) FILTER (WHERE state = 'failed')"));
    CHECK(static_cast<std::int64_t>(counts.ignored) == counted(file, "count(*) FILTER (WHERE state = 'ignored')"));
    const auto oldest = counted(file, "coalesce(min(received_ms) FILTER (WHERE state = 'waiting'), 0)");
    CHECK((counts.oldest_waiting ? counts.oldest_waiting->time_since_epoch().count() : 0) == oldest);
    const auto stored = *journal.stored_totals();
    CHECK(static_cast<std::int64_t>(stored.clips) == counted(file, "count(*) FILTER (WHERE " + has_clip + ")"));
    CHECK(static_cast<std::int64_t>(stored.bytes) ==
          counted(file, "coalesce(sum(bytes) FILTER (WHERE " + has_clip + "), 0)"));
    CHECK(static_cast<std::int64_t>(stored.held) ==
          counted(file, "count(*) FILTER (WHERE " + has_clip + " AND held = 1)"));
    CHECK(static_cast<std::int64_t>(stored.removed) ==
          counted(file, "count(*) FILTER (WHERE clip IS NOT NULL AND removed_ms IS NOT NULL)"));
  }
}
