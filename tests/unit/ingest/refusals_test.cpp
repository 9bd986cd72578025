#include "responder/ingest/refusals.hpp"

#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "manual_clock.hpp"

using namespace responder;
using namespace responder::ingest;
using namespace responder::test;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  ManualClock clock;
  std::vector<std::string> log;
  Refusals refusals{clock, [this](const std::string& line) { log.push_back(line); }};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the first refusal of an address is said at once, the others once a minute") {
  clock.advance(1h);
  refusals.report();
  for (int i = 0; i < 100; ++i) refusals.refused("192.0.2.1", "the signature is wrong");
  REQUIRE(log.size() == 1);
  CHECK(log[0] == "webhook from 192.0.2.1 refused: the signature is wrong");
  clock.advance(59s);
  refusals.report();
  CHECK(log.size() == 1);
  clock.advance(1s);
  refusals.report();
  REQUIRE(log.size() == 2);
  CHECK(log[1] == "99 more webhooks refused in the last minute: 99 from 192.0.2.1");
  clock.advance(1min);
  refusals.report();
  CHECK(log.size() == 2);
}

TEST_CASE_METHOD(Fixture, "many addresses cost neither memory nor a line each") {
  clock.advance(1h);
  refusals.report();
  for (int i = 0; i < 100'000; ++i)
    refusals.refused(fmt::format("10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255), "the signature is missing");
  CHECK(log.size() == Refusals::max_lines_a_minute);
  clock.advance(1min);
  refusals.report();
  REQUIRE(log.size() == Refusals::max_lines_a_minute + 1);
  CHECK(log.back().find("99990 more webhooks refused") == 0);
  CHECK(log.back().find(fmt::format("{} from other addresses", 100'000 - Refusals::max_addresses)) !=
        std::string::npos);
}

TEST_CASE_METHOD(Fixture, "an address that goes on is answered at a bounded rate, another at once") {
  clock.advance(1h);
  const auto now = clock.steady_now();
  for (std::size_t i = 0; i < Refusals::at_once; ++i) CHECK(refusals.refused("192.0.2.1", "x") == now);
  constexpr int more = 1000;
  SteadyTime last;
  for (int i = 0; i < more; ++i) last = refusals.refused("192.0.2.1", "x");
  CHECK(last - now >= (more - 1) * Refusals::distance);
  CHECK(last - now <= more * Refusals::distance);
  CHECK(refusals.refused("192.0.2.2", "x") == now);
  // Hosts have as many addresses of a /64 as they like.
  for (std::size_t i = 0; i <= Refusals::at_once; ++i) last = refusals.refused(fmt::format("2001:db8::{}", i), "x");
  CHECK(last == now);
  CHECK(refusals.refused("2001:db8::ffff", "x") > now);
}
