#include "responder/base/json_writer.hpp"

#include <cmath>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder {

void JsonWriter::separate() {
  if (need_comma_) text_ += ',';
  need_comma_ = true;
}

JsonWriter& JsonWriter::raw(std::string_view text) {
  separate();
  text_ += text;
  return *this;
}

JsonWriter& JsonWriter::begin_object() {
  raw("{");
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  raw("[");
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  text_ += '}';
  need_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  text_ += ']';
  need_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  value(name);
  text_ += ':';
  need_comma_ = false;
  return *this;
}

namespace {

// UTF-8 of two or three bytes as the number of its character.
unsigned code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(character[i])); };
  if (character.size() == 1) return byte(0);
  if (character.size() == 2) return ((byte(0) & 0x1FU) << 6U) | (byte(1) & 0x3FU);
  return ((byte(0) & 0x0FU) << 12U) | ((byte(1) & 0x3FU) << 6U) | (byte(2) & 0x3FU);
}

}  // namespace

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  text_ += '"';
  const bool valid = is_valid_utf8(text);
  while (!text.empty()) {
    const std::size_t length = valid ? utf8_length(text) : 1;
    const auto character = text.substr(0, length);
    text.remove_prefix(length);
    switch (character.front()) {
      case '"': text_ += "\\\""; break;
      case '\\': text_ += "\\\\"; break;
      case '\n': text_ += "\\n"; break;
      case '\r': text_ += "\\r"; break;
      case '\t': text_ += "\\t"; break;
      default:
        if (is_control(character)) {
          // Such text may be shown at a terminal as it is.
          fmt::format_to(std::back_inserter(text_), "\\u{:04x}", code_point(character));
        } else if (static_cast<unsigned char>(character.front()) >= 0x80 && !valid) {
          text_ += "\\ufffd";
        } else {
          text_ += character;
        }
    }
  }
  text_ += '"';
  return *this;
}

JsonWriter& JsonWriter::value(bool flag) { return raw(flag ? "true" : "false"); }

JsonWriter& JsonWriter::value(double number) {
  return std::isfinite(number) ? raw(fmt::format("{}", number)) : null();
}

JsonWriter& JsonWriter::null() { return raw("null"); }

}  // namespace responder
