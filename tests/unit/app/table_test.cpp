#include "table.hpp"

#include <catch2/catch.hpp>

using namespace responder::app;

namespace {

Table table() {
  Table made({{.heading = "TIME"}, {.heading = "CAMERA", .may_shrink = true}, {.heading = "WHAT"}});
  made.add({"12:00", "Front Door", "a_clip_with_a_long_name.mp4"});
  made.add({"13:00", "The gate at the back of the garden", "short"});
  return made;
}

}  // namespace

TEST_CASE("widths are those of a terminal") {
  struct Case {
    std::string text;
    std::size_t width;
  };
  const auto [text, width] =
      GENERATE(values<Case>({{"", 0}, {"abc", 3}, {"Tür", 3}, {"e\u0301", 1}, {"正門", 4}, {"🚪", 2}, {"\u200b", 0}}));
  CAPTURE(text);
  CHECK(display_width(text) == width);
}

TEST_CASE("text is cut between characters") {
  struct Case {
    std::string text;
    std::size_t width;
    std::string cut;
  };
  const auto [text, width, cut] = GENERATE(values<Case>({{"abc", 3, "abc"},
                                                         {"abcd", 3, "ab…"},
                                                         {"正門前", 6, "正門前"},
                                                         {"正門前", 5, "正門…"},
                                                         {"正門前", 4, "正…"},
                                                         {"Türklingel", 3, "Tü…"},
                                                         {"abc", 1, "…"},
                                                         {"abc", 0, ""}}));
  CAPTURE(text, width);
  CHECK(fit(text, width) == cut);
  CHECK(display_width(fit(text, width)) <= width);
}

TEST_CASE("nothing is cut where there is no terminal") {
  CHECK(table().lines({}) == std::vector<std::string>{
                                 "TIME   CAMERA                              WHAT",
                                 "12:00  Front Door                          a_clip_with_a_long_name.mp4",
                                 "13:00  The gate at the back of the garden  short",
                             });
}

TEST_CASE("on a terminal the widest gives way") {
  CHECK(table().lines(50) == std::vector<std::string>{
                                 "TIME   CAMERA             WHAT",
                                 "12:00  Front Door         a_clip_with_a_long_name…",
                                 "13:00  The gate at the …  short",
                             });
}

TEST_CASE("where there is no room beside the rest, the last column goes below") {
  CHECK(table().lines(30) == std::vector<std::string>{
                                 "TIME   CAMERA",
                                 "12:00  Front Door",
                                 "    a_clip_with_a_long_name.m…",
                                 "13:00  The gate at the back o…",
                                 "    short",
                             });
  // As narrow as it may be, it does not fail.
  CHECK(table().lines(3).size() == 5);
  CHECK(table().lines(0).size() == 5);
}

TEST_CASE("a cell is made printable") {
  Table made({{.heading = "NAME"}});
  made.add({"Front\nDoor\u202E\xC2\x9B"});
  CHECK(made.lines(std::nullopt) == std::vector<std::string>{"NAME", "Front?Door??"});
}
