#include "json.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "responder/base/ids.hpp"
#include "responder/base/text.hpp"

namespace responder::rhombus::json {

std::optional<Element> field(const Object& object, std::string_view name) {
  Element found;
  if (object.at_key(name).get(found) != simdjson::SUCCESS || found.is_null()) return std::nullopt;
  return found;
}

namespace {
template <class Wanted>
std::optional<Wanted> typed(const Object& from, std::string_view name) {
  const auto found = field(from, name);
  Wanted value;
  if (!found || found->get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}
}  // namespace

std::optional<std::string> text(const Object& from, std::string_view name) {
  const auto found = typed<std::string_view>(from, name);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

std::optional<Object> object(const Object& from, std::string_view name) { return typed<Object>(from, name); }
std::optional<Array> array(const Object& from, std::string_view name) { return typed<Array>(from, name); }
std::optional<bool> boolean(const Object& from, std::string_view name) { return typed<bool>(from, name); }

Result<std::optional<std::int64_t>> integer(const Object& from, std::string_view name) {
  const auto found = field(from, name);
  if (!found) return std::optional<std::int64_t>{};
  std::int64_t value = 0;
  if (found->get(value) == simdjson::SUCCESS) return std::optional(value);
  std::string_view written;
  if (found->get(written) == simdjson::SUCCESS) {
    if (const auto parsed = parse_int(trim(written))) return std::optional<std::int64_t>(*parsed);
  }
  double number = 0;
  if (found->get(number) == simdjson::SUCCESS && std::trunc(number) == number && std::abs(number) < 9e15) {
    return std::optional(static_cast<std::int64_t>(number));
  }
  return Error{ErrorKind::permanent, fmt::format("{} is not an integer", name)};
}

std::optional<std::string> clip_region(Element value) {
  std::string_view name;
  Object described;
  std::optional<std::string> region;
  if (value.get(name) == simdjson::SUCCESS) region = std::string(name);
  if (value.get(described) == simdjson::SUCCESS) region = text(described, "region");
  return region && is_safe_id(*region) ? region : std::nullopt;
}

bool has_duplicate_key(Element element) {
  Object members;
  if (element.get(members) == simdjson::SUCCESS) {
    std::vector<std::string_view> keys;
    for (const auto [key, value] : members) {
      keys.push_back(key);
      if (has_duplicate_key(value)) return true;
    }
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
  }
  Array items;
  if (element.get(items) != simdjson::SUCCESS) return false;
  return std::any_of(items.begin(), items.end(), has_duplicate_key);
}

}  // namespace responder::rhombus::json
