#include "responder/archive/spool.hpp"

#include <fstream>

#include <catch2/catch.hpp>

#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::archive;

namespace {

constexpr std::uint64_t mib = 1U << 20U;

struct Fixture {
  test::TempFolder folder;
  test::ManualClock clock;

  void write(const std::string& name, std::uint64_t bytes) const {
    const auto file = folder.path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << std::string(bytes, 'x');
  }
  static std::string reason(std::variant<Spool::Claim, Spool::Refused> answer) {
    const auto* refused = std::get_if<Spool::Refused>(&answer);
    return refused != nullptr ? refused->error.message : "";
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "who waits for the others' room is told how much there is, and nothing is wrong") {
  Spool spool(folder.path(), {100 * mib, 0}, clock);
  write("work/cam+va/1_2/lan-1/video-000000", 3 * mib);
  write("set-aside-then/1.mp4", 60 * mib);  // not the spool's any more
  spool.measure();
  CHECK(spool.used() == 3 * mib);
  const auto first = spool.claim(1, {40 * mib, 0, 40 * mib});
  REQUIRE(std::holds_alternative<Spool::Claim>(first));
  CHECK(
      reason(spool.claim(2, {41 * mib, 0, 41 * mib})) ==
      "waits for room in the spool: 41 MiB more are needed; of 100 MiB 3 are used and 40 reserved by other captures");
  CHECK(spool.check_room());
}

TEST_CASE_METHOD(Fixture, "a claim is given back at its end, and counts what was written") {
  Spool spool(folder.path(), {10 * mib, 0}, clock);
  {
    auto answer = spool.claim(1, {4 * mib, 0, 4 * mib});
    auto claim = std::get<Spool::Claim>(std::move(answer));
    claim.add(3 * mib);
    CHECK(claim.check());
    CHECK(spool.used() == 3 * mib);
    claim.add(mib);
  }
  CHECK(spool.used() == 4 * mib);
  CHECK(std::holds_alternative<Spool::Claim>(spool.claim(2, {3 * mib, 0, 3 * mib})));
}

TEST_CASE_METHOD(Fixture, "clips that wait for the archive are named as what fills the spool") {
  Spool spool(folder.path(), {10 * mib, 0}, clock);
  write("ready/1.mp4", 9 * mib);
  spool.measure();
  CHECK(reason(spool.claim(2, {3 * mib, 0, 3 * mib}))
            .starts_with("the spool is full of finished clips that wait for the archive (9 MiB of clips, "
                         "capture.spool_max_bytes is 10 MiB)"));
  clock.advance(std::chrono::minutes(1));
  const auto room = spool.check_room();
  REQUIRE_FALSE(room);
  CHECK(room.error().kind == ErrorKind::no_space);
  CHECK(room.error().message.find("bring the archive back") != std::string::npos);
  std::filesystem::remove(folder.path() / "ready/1.mp4");
  spool.measure();
  CHECK(spool.check_room());
  CHECK(std::holds_alternative<Spool::Claim>(spool.claim(2, {3 * mib, 0, 3 * mib})));
}

TEST_CASE_METHOD(Fixture, "clips that merely pass through a small spool are no reason to mend the archive") {
  using std::chrono::seconds;
  Spool spool(folder.path(), {10 * mib, 0}, clock);
  const auto ask = [&] { return reason(spool.claim(2, {3 * mib, 0, 3 * mib})); };
  const auto says_to_mend = [](const std::string& told) { return told.find("bring the") != std::string::npos; };
  write("ready/1.mp4", 9 * mib);
  spool.measure();
  for (int i = 0; i < 10; ++i) {  // each leaves, and the next one comes
    CHECK_FALSE(ask().empty());
    CHECK_FALSE(says_to_mend(ask()));
    CHECK(spool.check_room());
    clock.advance(seconds(30));
    spool.note_clip_left();
  }
  CHECK_FALSE(says_to_mend(ask()));
  clock.advance(seconds(59));
  CHECK(spool.check_room());
  clock.advance(seconds(1));
  CHECK_FALSE(spool.check_room());
  CHECK(says_to_mend(ask()));
  spool.note_clip_left();
  CHECK(spool.check_room());
}

TEST_CASE_METHOD(Fixture, "marks of pictures go with their captures, and with the journal that they are of") {
  const Spool spool(folder.path(), {10 * mib, 0}, clock);
  REQUIRE(spool.create());
  REQUIRE(spool.belong_to("one", "then"));
  for (const std::int64_t capture : {1, 2}) write("pictures/" + std::to_string(capture), 0);
  REQUIRE(spool.belong_to("one", "then"));
  spool.sweep_picture_marks([](std::int64_t capture) { return capture == 2; });
  CHECK_FALSE(std::filesystem::exists(spool.picture_mark(1)));
  CHECK(std::filesystem::exists(spool.picture_mark(2)));
  REQUIRE(spool.belong_to("another", "now"));
  CHECK_FALSE(std::filesystem::exists(spool.picture_mark(2)));
}

TEST_CASE_METHOD(Fixture, "a disk that is short is named, with what has to stay free of it") {
  Spool spool(folder.path(), {10 * mib, std::uint64_t{1} << 60U}, clock);
  const auto told = reason(spool.claim(1, {mib, 0, mib}));
  CHECK(told.find("the disk of the spool " + folder.path().string() + " has ") == 0);
  CHECK(told.find(" MiB have to stay free") != std::string::npos);
  REQUIRE_FALSE(spool.check_room());
  CHECK(spool.is_short());
}
