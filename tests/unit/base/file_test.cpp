#include "responder/base/file.hpp"

#include <catch2/catch.hpp>

using namespace responder;

TEST_CASE("a path is on the nearest mount above it, whether it is there or not") {
  CHECK(mount_point("/proc/self/nothing/there") == "/proc");
  CHECK(mount_point("/proc/../no-such-folder/x") == mount_point("/no-such-folder"));
  CHECK(mount_point("/processes") != "/proc");
}

TEST_CASE("a path has one form, however it is written") {
  const auto here = std::filesystem::current_path();
  CHECK(absolute_path("/a/b") == "/a/b");
  CHECK(absolute_path("/a//b/./c/").string() == "/a/b/c");
  CHECK(absolute_path("a/").string() == (here / "a").string());
  CHECK(absolute_path("./a").string() == (here / "a").string());
  CHECK(absolute_path(".").string() == here.string());
  CHECK(absolute_path("/").string() == "/");
  CHECK(absolute_path("//").string() == "/");
  // Behind a symbolic link it leads elsewhere than the words say.
  CHECK(absolute_path("/a/link/../b").string() == "/a/link/../b");
  CHECK(absolute_path("").empty());
}
