#include "responder/net/stall_watch.hpp"

#include <catch2/catch.hpp>

#include "manual_clock.hpp"

using namespace responder;
using namespace responder::net;
using namespace std::chrono_literals;

namespace {

// The watch looks twice a second of real time at a clock that the test moves.
bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 100 && !holds(); ++i) std::this_thread::sleep_for(20ms);
  return holds();
}

}  // namespace

TEST_CASE("a transfer is cut when it stands still or drips, and only then") {
  test::ManualClock clock;
  StallWatch watch(clock, {.first_byte = 15s, .interval = 10s, .least_bytes = 1000});
  std::atomic<int> cut{0};
  StallWatch::Transfer silent(watch, [&] { cut += 1; });
  StallWatch::Transfer drips(watch, [&] { cut += 10; });
  StallWatch::Transfer runs(watch, [&] { cut += 100; });
  drips.received(1);
  runs.received(1);
  std::this_thread::sleep_for(1200ms);  // both are seen to have begun
  for (int i = 0; i < 4; ++i) {
    clock.advance(4s);
    drips.received(100);
    runs.received(1000);
    std::this_thread::sleep_for(600ms);
  }
  CHECK(soon([&] { return silent.was_cut() && drips.was_cut(); }));
  CHECK_FALSE(runs.was_cut());
  CHECK(cut == 11);  // once each
}
