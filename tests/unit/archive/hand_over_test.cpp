#include "responder/archive/hand_over.hpp"

#include <fstream>

#include <catch2/catch.hpp>

#include "responder/base/file.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::archive;
namespace fs = std::filesystem;

namespace {

const std::string abc_sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const auto go_on = [](std::size_t) { return true; };

struct Fixture {
  test::TempFolder folder;

  fs::path file(const std::string& name, const std::string& content) const {
    const auto path = folder / name;
    std::ofstream(path) << content;
    return path;
  }
  HandOver open() const {
    auto opened = HandOver::open(folder / "to");
    REQUIRE(opened);
    return std::move(*opened);
  }
  // All there is, hidden or not.
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder / "to"), {}));
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "what is handed over is whole and listed") {
  auto to = open();
  auto copy = to.copy(file("a", "abc"), "a.mp4", go_on);
  REQUIRE(copy);
  CHECK(copy->digest().sha256 == abc_sum);
  CHECK(copy->digest().bytes == 3);
  REQUIRE(to.keep(std::move(*copy), go_on));
  REQUIRE(to.keep(std::move(*to.write("", "a.json")), go_on));
  REQUIRE(to.write_sums());
  CHECK(*read_file(folder / "to/a.mp4") == "abc");
  CHECK(*read_file(folder / "to/SHA256SUMS") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.json\n" + abc_sum + "  a.mp4\n");
  CHECK(files() == 3);
}

TEST_CASE_METHOD(Fixture, "a second time adds to the list") {
  {
    auto to = open();
    REQUIRE(to.keep(std::move(*to.copy(file("a", "abc"), "a.mp4", go_on)), go_on));
    REQUIRE(to.write_sums());
  }
  auto to = open();
  CHECK(*to.has("a.mp4", abc_sum, go_on));
  CHECK_FALSE(*to.has("b.mp4", abc_sum, go_on));
  REQUIRE(to.keep(std::move(*to.copy(file("b", "abc"), "b.mp4", go_on)), go_on));
  REQUIRE(to.write_sums());
  CHECK(*read_file(folder / "to/SHA256SUMS") == abc_sum + "  a.mp4\n" + abc_sum + "  b.mp4\n");
}

TEST_CASE_METHOD(Fixture, "a file is never replaced by another one") {
  auto to = open();
  file("to/a.mp4", "something else");
  CHECK_FALSE(*to.has("a.mp4", abc_sum, go_on));
  const auto kept = to.keep(std::move(*to.copy(file("a", "abc"), "a.mp4", go_on)), go_on);
  REQUIRE_FALSE(kept);
  CHECK(kept.error().message.find("another file") != std::string::npos);
  CHECK(*read_file(folder / "to/a.mp4") == "something else");
  CHECK(files() == 1);
  // The same content is no other file.
  file("to/b.mp4", "abc");
  CHECK(to.keep(std::move(*to.copy(file("a", "abc"), "b.mp4", go_on)), go_on));
}

TEST_CASE_METHOD(Fixture, "what is not kept, or broken off, leaves nothing") {
  auto to = open();
  { REQUIRE(to.copy(file("a", "abc"), "a.mp4", go_on)); }
  const auto stopped = to.copy(file("a", "abc"), "a.mp4", [](std::size_t) { return false; });
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::cancelled);
  CHECK(to.copy(folder / "none", "a.mp4", go_on).error().kind == ErrorKind::not_found);
  CHECK(files() == 0);
}

TEST_CASE_METHOD(Fixture, "a list of something else is left alone") {
  fs::create_directory(folder / "to");
  file("to/SHA256SUMS", "shopping\n");
  const auto opened = HandOver::open(folder / "to");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("SHA256SUMS") != std::string::npos);
}
