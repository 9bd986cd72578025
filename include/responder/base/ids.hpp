// Ids that cannot be taken for one another: a camera's UUID is not an alert's.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace responder {

template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string value) : value_(std::move(value)) {}

  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }
  auto operator<=>(const Id&) const = default;

 private:
  std::string value_;
};

using AlertId = Id<struct AlertTag>;
using DeviceId = Id<struct DeviceTag>;  // a camera, an audio gateway, a sensor
using LocationId = Id<struct LocationTag>;

// Ids come from outside and end up in file names, URLs and logs: 1-64 characters of A-Za-z0-9._- and nothing else.
bool is_safe_id(std::string_view text);

}  // namespace responder

template <class Tag>
struct std::hash<responder::Id<Tag>> {
  std::size_t operator()(const responder::Id<Tag>& id) const noexcept { return std::hash<std::string>{}(id.str()); }
};
