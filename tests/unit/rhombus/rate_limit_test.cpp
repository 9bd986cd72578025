#include "responder/rhombus/rate_limit.hpp"

#include <catch2/catch.hpp>

#include "manual_clock.hpp"

using namespace responder;
using namespace std::chrono_literals;

TEST_CASE("a burst goes at once, then the rate holds") {
  test::ManualClock clock;
  rhombus::RateLimiter limiter(10, 5, clock);
  for (int i = 0; i < 5; ++i) REQUIRE(limiter.wait_turn({}));
  CHECK(clock.elapsed() == 0ms);
  for (int i = 0; i < 20; ++i) REQUIRE(limiter.wait_turn({}));
  CHECK(clock.elapsed() == 2000ms);
}

TEST_CASE("a quiet time fills the burst again, not more") {
  test::ManualClock clock;
  rhombus::RateLimiter limiter(10, 5, clock);
  clock.advance(1h);
  for (int i = 0; i < 6; ++i) REQUIRE(limiter.wait_turn({}));
  CHECK(clock.elapsed() == 1h + 100ms);
}

TEST_CASE("a pause stops everybody") {
  test::ManualClock clock;
  rhombus::RateLimiter limiter(10, 5, clock);
  limiter.pause(7s);
  REQUIRE(limiter.wait_turn({}));
  CHECK(clock.elapsed() == 7s);
  // And lets nobody make up for it: what waited goes on at the rate.
  for (int i = 0; i < 3; ++i) REQUIRE(limiter.wait_turn({}));
  CHECK(clock.elapsed() == 7s + 300ms);
}

TEST_CASE("a stop ends the wait") {
  test::ManualClock clock;
  rhombus::RateLimiter limiter(10, 5, clock);
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(limiter.wait_turn(stop.get_token()));
}

TEST_CASE("what is in the background leaves half of a burst to what is urgent") {
  test::ManualClock clock;
  rhombus::RateLimiter limiter(10, 10, clock);
  for (int i = 0; i < 5; ++i) REQUIRE(limiter.wait_turn({}, rhombus::Urgency::background));
  CHECK(clock.elapsed() == 0ms);
  for (int i = 0; i < 5; ++i) REQUIRE(limiter.wait_turn({}));
  CHECK(clock.elapsed() == 0ms);
  REQUIRE(limiter.wait_turn({}, rhombus::Urgency::background));
  CHECK(clock.elapsed() == 600ms);
  // On its own it has the whole rate.
  for (int i = 0; i < 20; ++i) REQUIRE(limiter.wait_turn({}, rhombus::Urgency::background));
  CHECK(clock.elapsed() == 2600ms);
}
