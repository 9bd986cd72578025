#include "responder/deliver/retry.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::deliver;
using namespace std::chrono_literals;

TEST_CASE("the wait grows to an hour, and ends after about three days") {
  const Error failed{ErrorKind::transient, ""};
  CHECK(*delivery_delay(failed, 1, 0.5) == 2s);
  CHECK(*delivery_delay(failed, 2, 0.5) == 4s);
  CHECK(*delivery_delay(failed, 11, 0.5) == 2048s);
  CHECK(*delivery_delay(failed, 12, 0.5) == 3600s);
  CHECK(*delivery_delay(failed, 12, 0.0) == 3240s);
  CHECK(*delivery_delay(failed, 12, 0.999) < 3960s);
  std::chrono::milliseconds all{0};
  int attempt = 1;
  for (; const auto delay = delivery_delay(failed, attempt, 0.5); ++attempt) all += *delay;
  CHECK(all > std::chrono::hours(70));
  CHECK(all < std::chrono::hours(74));
  CHECK_FALSE(delivery_delay(failed, attempt + 1, 0.5));
}

TEST_CASE("what a delivery's error says decides") {
  CHECK_FALSE(delivery_delay({ErrorKind::permanent, ""}, 1, 0.5));
  // An archive that is away for a month costs no delivery.
  CHECK(*delivery_delay({ErrorKind::no_space, ""}, 5000, 0.5) == 60s);
  CHECK_FALSE(counts_as_attempt({ErrorKind::no_space, ""}));
  CHECK(counts_as_attempt({ErrorKind::transient, ""}));
  CHECK(*delivery_delay({ErrorKind::transient, "", 90s}, 1, 0.5) == 90s);
  CHECK(*delivery_delay({ErrorKind::transient, "", 86400s}, 1, 0.5) == 3600s);
}
