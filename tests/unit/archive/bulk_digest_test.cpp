#include "responder/archive/bulk_digest.hpp"

#include <fstream>
#include <vector>

#include <catch2/catch.hpp>

#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::archive;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempFolder folder;
  SystemClock clock;

  fs::path file(const std::string& name, const std::string& content) const {
    const auto path = folder / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
};

Result<FileDigest> next(BulkDigest& digests) {
  while (true) {
    if (auto read = digests.next(50ms)) return std::move(*read);
  }
}

}  // namespace

TEST_CASE_METHOD(Fixture, "files are hashed in their order, whatever their sizes") {
  BulkDigest digests(0, clock);
  digests.add(file("abc", "abc"));
  digests.add(file("empty", ""));
  digests.add(file("large", std::string(20'000'000, 'x')));
  digests.add(file("abc again", "abc"));
  const auto abc = next(digests);
  CHECK(abc->bytes == 3);
  CHECK(abc->sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(next(digests)->sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const auto large = next(digests);
  CHECK(large->bytes == 20'000'000);
  CHECK(large->sha256 == "bc01a03f3f505eaf5572211cc8a8c6dcda5f6bb93ecc6697f880a5d24a3ffac7");
  CHECK(next(digests)->sha256 == abc->sha256);
  CHECK(digests.bytes_hashed() == 20'000'006);
}

TEST_CASE_METHOD(Fixture, "a file that cannot be read is an error of its own") {
  BulkDigest digests(0, clock);
  digests.add(folder / "none");
  digests.add(folder.path());
  digests.add(file("abc", "abc"));
  CHECK(next(digests).error().kind == ErrorKind::not_found);
  CHECK(next(digests).error().message.find("cannot read") != std::string::npos);
  CHECK(next(digests)->bytes == 3);
}

TEST_CASE_METHOD(Fixture, "a rate is kept") {
  test::ManualClock slow;
  BulkDigest digests(100'000, slow);
  digests.add(file("one", std::string(500'000, 'x')));
  digests.add(file("two", std::string(500'000, 'x')));
  CHECK(next(digests)->bytes == 500'000);
  CHECK(next(digests)->bytes == 500'000);
  CHECK(slow.elapsed() >= 9s);
  CHECK(slow.elapsed() <= 11s);
}

TEST_CASE_METHOD(Fixture, "it may be stopped in the middle of a file") {
  BulkDigest digests(1, clock);  // which takes months
  digests.add(file("large", std::string(1'000'000, 'x')));
  CHECK_FALSE(digests.next(1ms));
  CHECK(digests.stop(60s));
}
