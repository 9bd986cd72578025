#include "responder/base/outage.hpp"

#include <catch2/catch.hpp>

#include "manual_clock.hpp"

using namespace responder;
using namespace std::chrono_literals;

TEST_CASE("an outage is a few lines however long it lasts") {
  test::ManualClock clock;
  Outage outage;
  CHECK_FALSE(outage.note_working(clock.steady_now()));
  int lines = 0;
  for (int second = 0; second < 24 * 3600; ++second) {
    if (outage.note_failing(clock.steady_now())) ++lines;
    if (second == 0) CHECK(lines == 1);
    if (second == 61) CHECK(lines == 2);
    clock.advance(1s);
  }
  CHECK(lines >= 24);
  CHECK(lines <= 28);
  CHECK(outage.is_on());
  CHECK(outage.note_working(clock.steady_now()) == 24h);
  CHECK_FALSE(outage.note_working(clock.steady_now()));
  CHECK_FALSE(outage.is_on());
  CHECK(outage.note_failing(clock.steady_now()));
}
