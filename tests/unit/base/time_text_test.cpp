#include "responder/base/time_text.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace std::chrono_literals;

TEST_CASE("times are epoch seconds, RFC 3339 or relative") {
  const WallTime now(1'700'000'000s);
  CHECK(*parse_time("1672531200", now) == WallTime(1'672'531'200s));
  CHECK(*parse_time("2023-01-01T00:00:00Z", now) == WallTime(1'672'531'200s));
  CHECK(*parse_time("2023-01-01T01:30:00.250+01:30", now) == WallTime(1'672'531'200s) + 250ms);
  CHECK(*parse_time("-24h", now) == now - 24h);
  CHECK(*parse_time("-30m", now) == now - 30min);
  for (const auto* bad :
       {"", "yesterday", "2023-13-01T00:00:00Z", "2023-01-01", "2023-01-01T00:00:00", "-h", "12.5", "-5"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_time(bad, now));
  }
}

TEST_CASE("times are written in UTC, and for names in the zone asked for") {
  CHECK(format_rfc3339(WallTime(1'672'531'200s)) == "2023-01-01T00:00:00Z");
  CHECK(format_for_name(std::chrono::sys_seconds(1'704'897'022s), NameZone::utc) == "20240110_143022");
}
