#include "responder/archive/retention.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::archive;
using namespace std::chrono_literals;
using std::chrono::days;

namespace {

const WallTime now(1'700'000'000s);

// So many days old.
LimitedClip clip(int age, std::uint64_t bytes = 10) {
  return {.end = std::chrono::floor<std::chrono::seconds>(now) - days(age), .bytes = bytes};
}
LimitedClip kept(LimitedClip one) {
  one.may_go = false;
  return one;
}
LimitedClip ruled(LimitedClip one, std::size_t age_limit, std::size_t bytes_limit) {
  one.age_limit = age_limit;
  one.bytes_limit = bytes_limit;
  return one;
}

// One letter a clip, oldest first: - stays, a age, b bytes, r room.
std::string judge(const RetentionLimits& limits, const std::vector<LimitedClip>& clips, std::uint64_t lacking = 0) {
  Retention retention(limits, now, lacking);
  if (retention.must_weigh()) {
    // In any order.
    for (auto one = clips.rbegin(); one != clips.rend(); ++one) retention.weigh(*one);
  }
  std::string verdict;
  for (const auto& one : clips) verdict += "-abr"[static_cast<int>(retention.judge(one))];
  return verdict;
}

}  // namespace

TEST_CASE("clips go by age, by bytes and for room, the oldest first") {
  struct Row {
    const char* what;
    RetentionLimits limits;
    std::vector<LimitedClip> clips;
    std::uint64_t lacking;
    std::string verdict;
  };
  const std::vector<LimitedClip> four{clip(40), clip(30), clip(20), clip(10)};
  const std::vector<Row> rows{
      {"nothing is limited", {{days(0)}, {0}}, four, 0, "----"},
      {"0 keeps, however short the disk is", {{days(0)}, {0}}, four, 1000, "----"},
      {"by age", {{days(25)}, {0}}, four, 0, "aa--"},
      {"not on the day itself", {{days(30)}, {0}}, four, 0, "a---"},
      {"of the future", {{days(1)}, {0}}, {clip(-5)}, 0, "-"},
      {"by bytes", {{days(0)}, {25}}, four, 0, "bb--"},
      {"just full", {{days(0)}, {40}}, four, 0, "----"},
      {"one byte more", {{days(0)}, {39}}, four, 0, "b---"},
      {"no more than has to, whatever comes first",
       {{days(0)}, {30}},
       {clip(4, 1), clip(3, 20), clip(2, 20)},
       0,
       "bb-"},
      {"a clip larger than the limit", {{days(0)}, {5}}, four, 0, "bbbb"},
      {"what goes by age does not count by bytes", {{days(35)}, {30}}, four, 0, "a---"},
      {"both", {{days(35)}, {15}}, four, 0, "abb-"},
      {"held clips stay and count", {{days(35)}, {25}}, {kept(clip(40)), clip(30), clip(20), clip(10)}, 0, "-bb-"},
      {"held clips alone fill it", {{days(0)}, {20}}, {kept(clip(4)), kept(clip(3)), clip(2)}, 0, "--b"},
      {"held clips alone are more, and the others would go in vain",
       {{days(0)}, {15}},
       {kept(clip(4)), kept(clip(3)), clip(2), clip(1)},
       0,
       "----"},
      {"but for age they go", {{days(2)}, {15}}, {kept(clip(5)), kept(clip(4)), clip(3), clip(1)}, 0, "--a-"},
      {"all are held", {{days(1)}, {1}}, {kept(clip(4)), kept(clip(3))}, 5, "--"},
      {"for room", {{days(365)}, {0}}, four, 11, "rr--"},
      {"for room, where only bytes are limited", {{days(0)}, {1000}}, four, 10, "r---"},
      {"what goes by itself makes room", {{days(35)}, {20}}, four, 20, "ab--"},
      {"and what lacks is more", {{days(35)}, {20}}, four, 21, "abr-"},
      {"as much lacks as there is", {{days(365)}, {0}}, four, 40, "rrrr"},
      {"more lacks than there is: nothing goes in vain", {{days(365)}, {0}}, four, 41, "----"},
      {"more lacks than there is, some of it over its bytes", {{days(0)}, {30}}, four, 41, "b---"},
      {"a held clip makes no room", {{days(365)}, {0}}, {kept(clip(40)), clip(30), clip(20)}, 5, "-r-"},
      {"what may not go is not counted as room",
       {{days(365)}, {55}},
       {kept(clip(40, 50)), clip(30), clip(20)},
       10,
       "-bb"},
      {"an age of its own",
       {{days(25), days(5)}, {0}},
       {clip(40), ruled(clip(20), 1, 0), clip(10), ruled(clip(3), 1, 0)},
       0,
       "aa--"},
      {"kept for ever by its rule, also from lack of room",
       {{days(25), days(0)}, {0}},
       {ruled(clip(40), 1, 0), clip(30), clip(20)},
       15,
       "-ar"},
      {"each limit bounds its own clips",
       {{days(0)}, {10, 20}},
       {ruled(clip(9), 0, 1), clip(8), ruled(clip(7), 0, 1), clip(6), ruled(clip(5), 0, 1)},
       0,
       "bb---"},
      {"room is made by what a younger one's age frees first",
       {{days(365), days(1)}, {0}},
       {clip(40), clip(30), ruled(clip(20, 100), 1, 0)},
       50,
       "--a"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    CHECK(judge(row.limits, row.clips, row.lacking) == row.verdict);
  }
}

TEST_CASE("judging ends where nothing younger can go") {
  const auto over = [](RetentionLimits limits, std::uint64_t lacking = 0) {
    Retention retention(std::move(limits), now, lacking);
    for (const int age : {40, 30, 20, 10}) retention.weigh(clip(age));
    int judged = 0;
    for (const int age : {40, 30, 20, 10}) {
      if (retention.is_over(clip(age).end)) break;
      retention.judge(clip(age));
      ++judged;
    }
    return judged;
  };
  CHECK(over({{days(25)}, {0}}) == 2);
  CHECK(over({{days(5)}, {0}}) == 4);
  CHECK(over({{days(0)}, {25}}) == 2);
  CHECK(over({{days(0)}, {1000}}) == 1);
  CHECK(over({{days(365)}, {0}}, 15) == 2);
}

TEST_CASE("a limit that held clips exceed alone is told of") {
  Retention retention({{days(0)}, {15, 15}}, now, 0);
  for (const auto& one : {kept(clip(4)), kept(clip(3)), clip(2), kept(ruled(clip(1), 0, 1))}) retention.weigh(one);
  CHECK(retention.filled_by_kept() == std::vector<std::size_t>{0});
}
