// Times as people and programs write them.
#pragma once

#include <string>
#include <string_view>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"

namespace responder {

// `T` of the command line: epoch seconds, RFC 3339 ("2024-01-10T14:30:22Z"), or relative to now ("-24h", "-30m",
// "-90s", "-7d").
Result<WallTime> parse_time(std::string_view text, WallTime now);

std::string format_rfc3339(WallTime time);  // UTC, whole seconds: 2024-01-10T14:30:22Z

enum class NameZone { local, utc };

// YYYYmmdd_HHMMSS, as file names carry it.
std::string format_for_name(std::chrono::sys_seconds time, NameZone zone);

}  // namespace responder
