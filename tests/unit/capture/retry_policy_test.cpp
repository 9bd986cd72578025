#include "responder/capture/retry_policy.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::capture;
using namespace std::chrono_literals;

TEST_CASE("the wait grows with the attempts, up to a bound, and is spread") {
  const Error transient{ErrorKind::transient, ""};
  CHECK(retry_delay(transient, 1, 0.0) == 1000ms);
  CHECK(retry_delay(transient, 1, 0.999) <= 2000ms);
  CHECK(retry_delay(transient, 2, 0.0) == 2000ms);
  CHECK(retry_delay(transient, 5, 0.0) == 16000ms);
  CHECK(retry_delay(transient, 1000, 0.0) == 150s);
  CHECK(*retry_delay(transient, 1000, 0.999) <= 300s);
}

TEST_CASE("the kind decides") {
  CHECK_FALSE(retry_delay({ErrorKind::permanent, ""}, 1, 0));
  CHECK(retry_delay({ErrorKind::cancelled, ""}, 7, 0.5) == 0ms);
  CHECK(*retry_delay({ErrorKind::no_space, ""}, 50, 0.5) <= 30s);
  CHECK(*retry_delay({ErrorKind::auth, ""}, 1, 0) >= 5s);
}

TEST_CASE("what the other side asks for is waited") {
  CHECK(retry_delay({ErrorKind::transient, "", 90s}, 1, 0) == 90s);
}
