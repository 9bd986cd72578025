#include "responder/base/file.hpp"

#include <catch2/catch.hpp>

using namespace responder;

TEST_CASE("a path is on the nearest mount above it, whether it is there or not") {
  CHECK(mount_point("/proc/self/nothing/there") == "/proc");
  CHECK(mount_point("/proc/../no-such-folder/x") == mount_point("/no-such-folder"));
  CHECK(mount_point("/processes") != "/proc");
}
