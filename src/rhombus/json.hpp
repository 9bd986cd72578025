// Reading the vendor's JSON: any field may be absent or null, numbers may come as strings.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "responder/base/error.hpp"

namespace responder::rhombus::json {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;
using Array = simdjson::dom::array;

// Parses a whole document into `root`, which lives as long as `parser` parses nothing else. What repair() can replace
// does not make it fail; neither does a byte order mark in front. `repaired`, if given, is told whether anything was
// replaced. Documents that are valid are parsed once and not copied.
simdjson::error_code parse(simdjson::dom::parser& parser, std::string_view text, Element& root,
                           bool* repaired = nullptr);

// The field, nullopt when it is absent or null.
std::optional<Element> field(const Object& object, std::string_view name);

// nullopt when it is absent, null or not of that type.
std::optional<std::string> text(const Object& object, std::string_view name);
std::optional<Object> object(const Object& object, std::string_view name);
std::optional<Array> array(const Object& object, std::string_view name);
std::optional<bool> boolean(const Object& object, std::string_view name);

// 2, 2.5, "2" and "2.5"; nullopt when it is absent or null. An Error when the field is there and is no finite number.
Result<std::optional<double>> number(const Object& object, std::string_view name);

// A cloud region of a clipLocationMap ("us-west-2", or {"region": "us-west-2"}) that can stand in a path.
std::optional<std::string> clip_region(Element value);

// Whether some object in the document, at any depth, has a key twice: two readers could then see two documents. A
// repair may make two different keys the same. In a `repaired` document such keys do not count: no field of ours has
// such a name, and the first of them stays.
bool has_duplicate_key(Element element, bool repaired);

}  // namespace responder::rhombus::json
