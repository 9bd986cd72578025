// Text that is to be read as JSON: repaired so far as can be, and then parsed.
#include <simdjson.h>

#include "fuzz.hpp"
#include "json.hpp"
#include "json_repair.hpp"

using namespace responder::rhombus;
using responder::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static simdjson::dom::parser parser;
  static simdjson::dom::parser lenient;
  const auto text = responder::fuzz::as_text(data, size);
  const auto repaired = json::repair(text);
  require(repaired.size() <= 3 * text.size() + 3, "a repaired text is at most three times as long");
  require(json::repair(repaired) == repaired, "what is repaired stays so");

  json::Element strict;
  const bool valid = parser.parse(text.data(), text.size()).get(strict) == simdjson::SUCCESS;
  json::Element root;
  bool was_repaired = false;
  const bool read = json::parse(lenient, text, root, &was_repaired) == simdjson::SUCCESS;
  require(!valid || (read && !was_repaired), "what is valid needs no repair");
  if (valid) {
    const auto meaning = simdjson::minify(strict);
    require(parser.parse(repaired).get(strict) == simdjson::SUCCESS, "what is valid is valid when repaired");
    require(simdjson::minify(strict) == meaning, "what is valid keeps its meaning");
  }
  if (read) require(simdjson::validate_utf8(simdjson::minify(root)), "what is read is UTF-8");
  return 0;
}
