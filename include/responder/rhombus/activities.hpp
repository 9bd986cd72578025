// The activities that Rhombus can name in an alert. Source: Rhombus's OpenAPI document (ActivityEnum). Rhombus adds
// new ones, so that one which is not here may still be one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace responder::rhombus {

std::span<const std::string_view> known_activities();

// Letters in either case.
bool is_known_activity(std::string_view name);

// The known one that was probably meant.
std::optional<std::string> nearest_activity(std::string_view name);

}  // namespace responder::rhombus
