#include "responder/archive/spool_budget.hpp"

#include <catch2/catch.hpp>

#include "manual_clock.hpp"

using namespace responder;
using namespace responder::archive;
using namespace std::chrono_literals;
using Cause = SpoolRefusal::Cause;

namespace {

constexpr std::uint64_t mega = 1'000'000;

struct Fixture {
  test::ManualClock clock;
  SpoolBudget budget{{100 * mega, 10 * mega}};

  std::variant<SpoolBudget::ClaimId, SpoolRefusal> ask(CaptureId capture, std::uint64_t missing,
                                                       std::uint64_t present = 0) {
    return budget.admit(capture, {missing * mega, present * mega, (missing + present) * mega}, clock.steady_now());
  }
  SpoolBudget::ClaimId admitted(CaptureId capture, std::uint64_t missing, std::uint64_t present = 0) {
    const auto answer = ask(capture, missing, present);
    REQUIRE(std::holds_alternative<SpoolBudget::ClaimId>(answer));
    return std::get<SpoolBudget::ClaimId>(answer);
  }
  Cause refused(CaptureId capture, std::uint64_t missing, std::uint64_t present = 0) {
    const auto answer = ask(capture, missing, present);
    REQUIRE(std::holds_alternative<SpoolRefusal>(answer));
    return std::get<SpoolRefusal>(answer).cause;
  }
  std::optional<SpoolRefusal> check(SpoolBudget::ClaimId claim) { return budget.check(claim, clock.steady_now()); }
  void contents(std::uint64_t footage, std::uint64_t clips, std::optional<std::uint64_t> free = {}) {
    if (free) *free *= mega;
    budget.set_contents({footage * mega, clips * mega, free});
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the first capture is admitted whatever it needs and whatever footage is there") {
  contents(300, 0);
  const auto claim = admitted(1, 500);
  for (int i = 0; i < 200; ++i) {
    budget.add_fetched(claim, 4 * mega);
    CHECK_FALSE(check(claim));
  }
  CHECK_FALSE(budget.trouble(clock.steady_now()));
  // It is past the limit: footage of those that wait is to go, not its own.
  const auto shortage = budget.take_shortage();
  CHECK(shortage.bytes > 0);
  CHECK(shortage.of_waiting);
  CHECK(shortage.for_capture == 1);
  CHECK_FALSE(budget.is_short());
}

TEST_CASE_METHOD(Fixture, "captures run beside each other while their footage and the largest clip fit") {
  const auto first = admitted(1, 30);
  admitted(2, 30);
  CHECK(refused(3, 30) == Cause::queueing);
  CHECK_FALSE(budget.trouble(clock.steady_now()));
  // Bytes that were fetched are not counted twice.
  budget.add_fetched(first, 30 * mega);
  CHECK(refused(3, 30) == Cause::queueing);
  admitted(4, 10);
  budget.release(first);
  contents(0, 0);
  admitted(3, 30);
}

TEST_CASE_METHOD(Fixture, "when room runs out the oldest claim goes on and the others wait") {
  const auto first = admitted(1, 20), second = admitted(2, 20), third = admitted(3, 20);
  const auto fetch = [&](SpoolBudget::ClaimId claim) {
    if (const auto refusal = check(claim)) return refusal->cause == Cause::queueing ? 'q' : '?';
    budget.add_fetched(claim, mega);
    return '+';
  };
  std::string of_first, of_second, of_third;
  for (int i = 0; i < 60; ++i) {
    of_first += fetch(first);
    of_second += fetch(second);
    of_third += fetch(third);
  }
  CHECK(of_first == std::string(60, '+'));
  CHECK(of_second.ends_with('q'));
  CHECK(of_third.ends_with('q'));
  budget.release(third);
  CHECK(fetch(first) == '+');
  budget.release(first);
  CHECK(fetch(second) == '+');
}

TEST_CASE_METHOD(Fixture, "finished clips that fill it let nobody in, and that is told") {
  contents(0, 60);
  CHECK(refused(1, 50) == Cause::clips_wait);
  REQUIRE(budget.trouble(clock.steady_now()));
  CHECK(budget.trouble(clock.steady_now())->cause == Cause::clips_wait);
  CHECK(budget.trouble(clock.steady_now())->since == clock.steady_now());
  clock.advance(30s);
  CHECK(refused(1, 50) == Cause::clips_wait);
  CHECK(refused(0, 50) == Cause::clips_wait);
  CHECK(budget.trouble(clock.steady_now())->since == clock.steady_now() - 30s);
  budget.note_clip_left(clock.steady_now() - 10s);
  CHECK(budget.trouble(clock.steady_now())->since == clock.steady_now() - 10s);
  admitted(2, 10);
  contents(0, 10);
  CHECK_FALSE(budget.trouble(clock.steady_now()));
  budget.release(1);
  admitted(1, 35);
}

TEST_CASE_METHOD(Fixture, "a short disk holds everybody up, makes room, and lets in whoever it cut off") {
  contents(40, 0, 100);
  const auto claim = admitted(7, 20, 5);
  budget.set_disk_free(9 * mega);
  REQUIRE(check(claim));
  CHECK(check(claim)->cause == Cause::disk);
  CHECK(budget.trouble(clock.steady_now())->cause == Cause::disk);
  const auto shortage = budget.take_shortage();
  CHECK(shortage.bytes >= 21 * mega);
  CHECK(shortage.for_capture == 7);
  budget.release(claim);
  CHECK(refused(8, 5) == Cause::disk);
  contents(5, 0, 60);
  CHECK_FALSE(budget.trouble(clock.steady_now()));
  CHECK(refused(8, 5) == Cause::queueing);
  admitted(7, 20, 5);
  admitted(8, 5);
}

TEST_CASE_METHOD(Fixture, "who went away after being cut off is not waited for") {
  contents(40, 0, 100);
  const auto claim = admitted(7, 20);
  budget.set_disk_free(0);
  CHECK(check(claim));
  budget.release(claim);
  contents(0, 0, 100);
  CHECK(refused(8, 5) == Cause::queueing);
  clock.advance(61s);
  admitted(8, 5);
}

TEST_CASE_METHOD(Fixture, "a capture that alone fills the disk is told so, while it runs and when it comes back") {
  contents(50, 0, 60);
  const auto claim = admitted(1, 100, 50);
  budget.add_fetched(claim, 51 * mega);
  budget.set_disk_free(9 * mega);
  CHECK(check(claim)->cause == Cause::too_large);
  CHECK(budget.note_disk_full(claim, mega, clock.steady_now()).cause == Cause::too_large);
  budget.release(claim);
  CHECK(refused(1, 49, 101) == Cause::too_large);
  CHECK(budget.trouble(clock.steady_now()));
  // To another it is one that can make room.
  CHECK(refused(2, 10) == Cause::disk);
  // When all is fetched, a short disk is no reason to keep it: its end gives room.
  contents(101, 0, 9);
  CHECK(refused(1, 0, 101) == Cause::too_large);
  contents(8, 0, 9);
  admitted(3, 0, 8);
}

TEST_CASE_METHOD(Fixture, "nobody is passed over for ever") {
  auto running = admitted(100, 20);
  CHECK(refused(1, 90) == Cause::queueing);
  CaptureId next = 101;
  bool let_in = false;
  for (int minute = 0; minute < 30 && !let_in; ++minute) {
    for (int i = 0; i < 4; ++i) {
      clock.advance(15s);
      CHECK(refused(1, 90) == Cause::queueing);
    }
    const auto another = ask(next++, 20);
    budget.release(running);
    if (const auto* claim = std::get_if<SpoolBudget::ClaimId>(&another)) {
      running = *claim;
    } else {
      let_in = std::holds_alternative<SpoolBudget::ClaimId>(ask(1, 90));
    }
  }
  CHECK(let_in);
}

TEST_CASE_METHOD(Fixture, "a live capture that fits does not wait for one that is to be the next") {
  admitted(100, 20);
  for (int i = 0; i < 41; ++i) {
    CHECK(refused(1, 90) == Cause::queueing);
    clock.advance(15s);
  }
  CHECK(refused(1, 90) == Cause::queueing);
  CHECK(refused(2, 5) == Cause::queueing);
  const auto ask_live = [&](CaptureId capture, std::uint64_t missing) {
    return budget.admit(capture, {missing * mega, 0, missing * mega, true}, clock.steady_now());
  };
  CHECK(std::holds_alternative<SpoolBudget::ClaimId>(ask_live(3, 5)));
  CHECK(std::holds_alternative<SpoolRefusal>(ask_live(4, 90)));
}

TEST_CASE_METHOD(Fixture, "a clip is put together early only where there is room for it") {
  contents(0, 0, 200);
  const auto claim = admitted(1, 45);
  CHECK(budget.has_room_beside(claim));
  budget.set_disk_free(50 * mega);
  CHECK_FALSE(budget.has_room_beside(claim));
  contents(40, 0, 200);
  CHECK_FALSE(budget.has_room_beside(claim));
}

TEST_CASE("footage goes in the order in which it is least missed") {
  const std::vector<IdleFootage> idle{
      {10, {5}, false},     // 0: of one that waits
      {10, {9, 3}, true},   // 1: of published ones
      {10, {}, true},       // 2: wanted by nobody
      {10, {8}, false},     // 3
      {10, {2}, true},      // 4
      {10, {8, 1}, false},  // 5
  };
  using Places = std::vector<std::size_t>;
  CHECK(choose_evictions(idle, {0, true, {}}).empty());
  CHECK(choose_evictions(idle, {5, false, {}}) == Places{2});
  CHECK(choose_evictions(idle, {25, false, {}}) == Places{2, 4, 1});
  CHECK(choose_evictions(idle, {1000, false, {}}) == Places{2, 4, 1});
  CHECK(choose_evictions(idle, {1000, true, {}}) == Places{2, 4, 1, 3, 0, 5});
  CHECK(choose_evictions(idle, {1000, true, 8}) == Places{2, 4, 1, 0});
}
