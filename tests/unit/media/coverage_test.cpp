#include "responder/media/coverage.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::media;
using namespace std::chrono_literals;

using Intervals = std::vector<Interval>;

TEST_CASE("intervals are merged where they touch, in whatever order they come") {
  Coverage coverage;
  coverage.add({4s, 6s});
  coverage.add({0s, 2s});
  coverage.add({8s, 10s});
  CHECK(coverage.intervals() == Intervals{{0s, 2s}, {4s, 6s}, {8s, 10s}});
  CHECK(coverage.uncovered({1s, 9s}) == 4s);
  coverage.add({2s, 4s});
  CHECK(coverage.intervals() == Intervals{{0s, 6s}, {8s, 10s}});
  coverage.add({5s, 9s});
  CHECK(coverage.intervals() == Intervals{{0s, 10s}});
  coverage.add({3s, 4s});
  CHECK(coverage.intervals() == Intervals{{0s, 10s}});
  CHECK(coverage.uncovered({-1s, 11s}) == 2s);
}

TEST_CASE("a day of segments whose ticks were cut to microseconds is one interval") {
  Coverage coverage;
  constexpr int segments = 43'200;
  for (int i = 0; i < segments; ++i) coverage.add({2s * i + 1us, 2s * (i + 1) - 1us});
  CHECK(coverage.intervals() == Intervals{{1us, 2s * segments - 1us}});
  CHECK(coverage.uncovered({0s, 24h}) == 2us);
  CHECK(coverage.gaps(24h).empty());
}

TEST_CASE("a hole in a day of segments stays one") {
  Coverage coverage;
  for (int i = 0; i < 43'200; ++i) {
    if (i != 20'000) coverage.add({2s * i, 2s * (i + 1)});
  }
  CHECK(coverage.gaps(24h) == Intervals{{40'000s, 40'002s}});
}

TEST_CASE("what is a little short at the ends is no gap") {
  Coverage coverage;
  coverage.add({900ms, 19'100ms});
  CHECK(coverage.gaps(20s).empty());
  Coverage shorter;
  shorter.add({901ms, 19'099ms});
  CHECK(shorter.gaps(20s) == Intervals{{0s, 901ms}, {19'099ms, 20s}});
}
