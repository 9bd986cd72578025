// What the fuzz targets share. A target is one function that takes any bytes and aborts where a promise is broken.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <spdlog/spdlog.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace responder::fuzz {

inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// What is about to be refused a thousand times a second is not worth a line each.
inline const bool quiet = [] {
  spdlog::set_level(spdlog::level::off);
  return true;
}();

// Messages end up on a terminal and in logs.
inline void require_one_line(std::string_view message) {
  for (const char c : message) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, "a message is one line");
}

// Settings of a target, taken off the front of its input.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(as_text(data, size)) {}

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  unsigned byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  // Two bytes of length, then as many bytes as there are of it.
  std::string_view block() {
    const std::size_t high = byte();
    const std::size_t length = high << 8U | byte();
    const auto content = rest_.substr(0, length);
    rest_.remove_prefix(content.size());
    return content;
  }

 private:
  std::string_view rest_;
};

}  // namespace responder::fuzz
