// Writes small JSON documents (answers, sidecars, `events --json`). Reading is simdjson's.
//
//   JsonWriter json;
//   json.begin_object().field("status", "accepted").key("gaps").begin_array().end_array().end_object();
//   std::move(json).str();
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace responder {

class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);  // bytes that are not UTF-8 become U+FFFD
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(double number);
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) JsonWriter& value(Number number) { return raw(std::to_string(number)); }
  JsonWriter& null();
  JsonWriter& document(std::string_view json) { return raw(json); }  // a value that is JSON already

  template <class Value>
  JsonWriter& field(std::string_view name, const Value& content) {
    return key(name).value(content);
  }

  std::string str() && { return std::move(text_); }

 private:
  JsonWriter& raw(std::string_view text);
  void separate();

  std::string text_;
  bool need_comma_ = false;
};

}  // namespace responder
