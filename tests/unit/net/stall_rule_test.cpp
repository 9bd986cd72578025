#include "stall_rule.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::net;
using namespace std::chrono_literals;
using Stall = StallRule::Stall;

namespace {
const SteadyTime start{1000s};
const ClientLimits limits{.first_byte = 15s, .interval = 10s, .least_bytes = 1000};
}  // namespace

TEST_CASE("a transfer that brings nothing is cut at its deadline") {
  StallRule rule(limits, start);
  CHECK(rule.next_look() == start + 15s);
  CHECK_FALSE(rule.look(start + 14999ms));
  CHECK(rule.look(start + 15s) == Stall::no_answer);
}

TEST_CASE("a transfer is judged by its progress, however long it takes") {
  StallRule rule(limits, start);
  auto now = start + 14s;
  rule.received(1000, now);
  CHECK(rule.next_look() == start + 24s);
  for (int i = 0; i < 100; ++i) {
    now += 10s;
    CHECK_FALSE(rule.look(now));
    rule.received(1000, now + 1s);
  }
}

TEST_CASE("a transfer that drips is cut") {
  StallRule rule(limits, start);
  rule.received(1000, start);
  CHECK_FALSE(rule.look(start + 10s));
  for (int i = 1; i <= 9; ++i) rule.received(100, start + 10s + std::chrono::seconds(i));
  CHECK_FALSE(rule.look(start + 19s));
  CHECK(rule.look(start + 20s) == Stall::too_slow);
}

TEST_CASE("where a total is given it holds, whatever comes") {
  auto with_total = limits;
  with_total.total = 12s;
  StallRule rule(with_total, start);
  CHECK(rule.next_look() == start + 12s);
  rule.received(1'000'000, start + 3s);
  CHECK_FALSE(rule.look(start + 11s));
  CHECK(rule.look(start + 12s) == Stall::total);
}
