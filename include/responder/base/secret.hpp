// A key, token or shared secret. It has no stream or format operator, so it cannot slip into a log or an error text;
// the bytes are wiped when it goes.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace responder {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(std::exchange(other.value_, {})) {}
  Secret& operator=(Secret other) noexcept {
    value_.swap(other.value_);
    return *this;
  }
  ~Secret();

  // The value itself, for the one place that sends or hashes it.
  std::string_view reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

}  // namespace responder
