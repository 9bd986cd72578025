#include "responder/base/json_writer.hpp"

#include <catch2/catch.hpp>

using namespace responder;

TEST_CASE("JSON is written with its commas and escapes") {
  JsonWriter json;
  json.begin_object()
      .field("a", 1)
      .field("b", "x\"\\\n\x01")
      .key("c")
      .begin_array()
      .value(true)
      .null()
      .value(1.5)
      .end_array();
  json.key("d").begin_object().end_object().end_object();
  CHECK(std::move(json).str() == R"({"a":1,"b":"x\"\\\n\u0001","c":[true,null,1.5],"d":{}})");
}

TEST_CASE("what is not UTF-8 is still valid JSON") {
  JsonWriter json;
  json.value("a\xff");
  CHECK(std::move(json).str() == "\"a\\ufffd\"");
}

TEST_CASE("control characters beyond ASCII are escaped, and other text is not") {
  JsonWriter json;
  json.value("a\xC2\x9B\u200E\u2028\u202E\u2069\u00E9\u2027\U0001F600");
  CHECK(std::move(json).str() == "\"a\\u009b\\u200e\\u2028\\u202e\\u2069\u00E9\u2027\U0001F600\"");
}
