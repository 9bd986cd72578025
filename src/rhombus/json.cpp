#include "json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "responder/base/ids.hpp"
#include "responder/base/text.hpp"

#include "json_repair.hpp"

namespace responder::rhombus::json {

simdjson::error_code parse(simdjson::dom::parser& parser, std::string_view text, Element& root, bool* repaired) {
  text = without_byte_order_mark(text);
  const auto error = parser.parse(text.data(), text.size()).get(root);
  if (repaired != nullptr) *repaired = false;
  if (error == simdjson::SUCCESS || error == simdjson::CAPACITY || error == simdjson::MEMALLOC) return error;
  const auto better = repair(text);
  if (better == text) return error;
  if (repaired != nullptr) *repaired = true;
  return parser.parse(better).get(root);
}

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

Result<std::optional<double>> number(const Object& from, std::string_view name) {
  const auto found = field(from, name);
  if (!found) return std::optional<double>{};
  double value = 0;
  if (found->get(value) == simdjson::SUCCESS) return std::optional(value);
  std::string_view written;
  if (found->get(written) == simdjson::SUCCESS) {
    written = trim(written);
    const auto* const end = written.data() + written.size();
    const auto [stop, error] = std::from_chars(written.data(), end, value);
    if (error == std::errc{} && stop == end && std::isfinite(value)) return std::optional(value);
  }
  return Error{ErrorKind::permanent, fmt::format("{} is not a number", name)};
}

std::optional<std::string> clip_region(Element value) {
  std::string_view name;
  Object described;
  std::optional<std::string> region;
  if (value.get(name) == simdjson::SUCCESS) region = std::string(name);
  if (value.get(described) == simdjson::SUCCESS) region = text(described, "region");
  return region && is_safe_id(*region) ? region : std::nullopt;
}

bool has_duplicate_key(Element element, bool repaired) {
  Object members;
  if (element.get(members) == simdjson::SUCCESS) {
    std::vector<std::string_view> keys;
    for (const auto [key, value] : members) {
      keys.push_back(key);
      if (has_duplicate_key(value, repaired)) return true;
    }
    if (repaired) std::erase_if(keys, may_be_repaired);
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
  }
  Array items;
  if (element.get(items) != simdjson::SUCCESS) return false;
  return std::any_of(items.begin(), items.end(),
                     [repaired](Element item) { return has_duplicate_key(item, repaired); });
}

}  // namespace responder::rhombus::json
