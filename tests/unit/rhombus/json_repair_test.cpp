#include "json_repair.hpp"

#include <catch2/catch.hpp>

#include "json.hpp"

using namespace responder::rhombus;

namespace {
const std::string mark = "\xEF\xBF\xBD";  // U+FFFD
}

TEST_CASE("what a strict parser refuses in a value is replaced") {
  const std::pair<std::string, std::string> table[] = {
      {"\"a\xff\xfeg\"", "\"a" + mark + mark + "g\""},
      {"\"Caf\xe9\"", "\"Caf" + mark + "\""},
      {"\"\xc3\"", "\"" + mark + "\""},
      {"\"\xe2\x82\"", "\"" + mark + mark + "\""},
      {"\"\xed\xa0\x80\"", "\"" + mark + mark + mark + "\""},  // a surrogate's code point
      {"\"\xc0\xaf\"", "\"" + mark + mark + "\""},             // an overlong form
      {R"("\ud83d")", R"("\ufffd")"},
      {R"("\uDE00")", R"("\ufffd")"},
      {R"("\ud83d\ud83d\ude00")", R"("\ufffd\ud83d\ude00")"},
      {R"("\ud83dx\ude00")", R"("\ufffdx\ufffd")"},
      {R"("\ud83d\n")", R"("\ufffd\n")"},
      {"\"a\nb\tc\"", "\"a b c\""},
      {"18446744073709551616", "null"},
      {"-9223372036854775809", "null"},
      {"[1e400,-1E+999,1.5e400]", "[null,null,null]"},
      {"[0.001e312,1e99999999999999999999,1" + std::string(400, '0') + "e-1]", "[null,null,null]"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(json::repair(text) == expected);
  }
}

TEST_CASE("what is valid, and what is beyond repair, stays as it is") {
  for (const std::string text :
       {"",
        "{}",
        "null",
        R"({"a":[1,-2.5e-3,0,18446744073709551615,-9223372036854775808,1.7976931348623157e308]})",
        R"("\ud83d\ude00 \u00e9 \\ud83d \"")",
        "\"\xc3\xa9 \xf0\x9f\x98\x80\"",
        R"("\x")",
        R"("\u12")",
        R"("\u12G4")",
        "\"",
        "\"\\",
        "\"\\u",
        "\"\\ud8",
        "01",
        "-",
        "1e",
        "1.",
        "+1",
        ".5",
        "NaN",
        "\xff",
        "{\xe9:1}",
        "--1e400",
        "1e+-400",
        "00e400"}) {
    CAPTURE(text);
    CHECK(json::repair(text) == text);
  }
}

TEST_CASE("a repair never makes a document of what is none") {
  simdjson::dom::parser parser;
  for (const std::string text : {"1e400x", "nul1e400", "[1e400 1e400]", "{1e400:1}", "\"\\ud83d", "\xff[]",
                                 "[1e400\"\"]", "t1e400rue", "[\"\\q\xff\"]"}) {
    CAPTURE(text);
    json::Element root;
    CHECK(json::parse(parser, text, root) != simdjson::SUCCESS);
  }
}

TEST_CASE("a document is repaired only where it has to be, and a byte order mark is no part of it") {
  simdjson::dom::parser parser;
  json::Element root;
  bool repaired = true;
  REQUIRE(json::parse(parser, "\xEF\xBB\xBF{\"a\":1}", root, &repaired) == simdjson::SUCCESS);
  CHECK_FALSE(repaired);
  REQUIRE(json::parse(parser, "{\"a\":\"\xff\",\"b\":[1e999]}", root, &repaired) == simdjson::SUCCESS);
  CHECK(repaired);
  CHECK(simdjson::minify(root) == "{\"a\":\"" + mark + "\",\"b\":[null]}");
  CHECK(json::parse(parser, "\xEF\xBB\xBF\xEF\xBB\xBF{}", root) != simdjson::SUCCESS);
  CHECK(json::parse(parser, "", root) != simdjson::SUCCESS);
}
