#include "responder/base/text.hpp"

#include <catch2/catch.hpp>

#include "responder/base/ids.hpp"

using namespace responder;

TEST_CASE("printable keeps text and replaces what would break a line") {
  CHECK(printable("Front Door") == "Front Door");
  CHECK(printable("a\nb\tc\x7f") == "a?b?c?");
  CHECK(printable("\xff\xfe") == "??");
  CHECK(printable("入口") == "入口");
  CHECK(printable("abcdef", 3) == "abc…");
  CHECK(printable("入口", 4) == "入…");
}

TEST_CASE("printable replaces what steers a terminal or turns the direction of text around") {
  for (const std::string control : {"\xC2\x80", "\xC2\x9B", "\xC2\x9F", "\u200E", "\u200F", "\u2028", "\u2029",
                                    "\u202A", "\u202E", "\u2066", "\u2069"}) {
    CAPTURE(control);
    CHECK(printable("a" + control + "b") == "a?b");
  }
  for (const std::string kept :
       {"\u00A0", "\u00E9", "\u200D", "\u2010", "\u2027", "\u202F", "\u2065", "\u206A", "\u1FFF", "\U0001F600"}) {
    CAPTURE(kept);
    CHECK(printable("a" + kept + "b") == "a" + kept + "b");
  }
}

TEST_CASE("UTF-8 is checked to the letter") {
  CHECK(is_valid_utf8("入口 ü"));
  CHECK_FALSE(is_valid_utf8("\xc0\xaf"));          // overlong
  CHECK_FALSE(is_valid_utf8("\xed\xa0\x80"));      // surrogate
  CHECK_FALSE(is_valid_utf8("\xf4\x90\x80\x80"));  // past U+10FFFF
  CHECK_FALSE(is_valid_utf8("\xe5\x85"));          // cut off
}

TEST_CASE("split trims and leaves empty parts out") {
  CHECK(split("MOTION_HUMAN, FACE,,", ',') == std::vector<std::string>{"MOTION_HUMAN", "FACE"});
  CHECK(split("", ',').empty());
}

TEST_CASE("parse_int takes the whole text or nothing") {
  CHECK(parse_int("42") == 42);
  CHECK(parse_int("-7") == -7);
  CHECK_FALSE(parse_int("42x"));
  CHECK_FALSE(parse_int(""));
  CHECK_FALSE(parse_int("99999999999999999999"));
}

TEST_CASE("nearest finds what was meant") {
  const std::vector<std::string> keys{"webhook.listen", "webhook.secrets", "archive.directory"};
  CHECK(nearest("webhook.secret", keys) == "webhook.secrets");
  CHECK_FALSE(nearest("xyz", keys));
}

TEST_CASE("ids that could leave their place are refused") {
  CHECK(is_safe_id("AAAAAAAAAAAAAAAAAAAAAA.v0"));
  CHECK(is_safe_id(std::string(64, 'a')));
  CHECK_FALSE(is_safe_id(""));
  CHECK_FALSE(is_safe_id(std::string(65, 'a')));
  CHECK_FALSE(is_safe_id("a/b"));
  CHECK_FALSE(is_safe_id(std::string("a\0b", 3)));
  CHECK_FALSE(is_safe_id("a b"));
}
