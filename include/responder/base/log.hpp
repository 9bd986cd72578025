// Logging is spdlog's default logger; this sets it up. Every record is one line: control characters are escaped.
#pragma once

#include <string_view>

#include "responder/base/error.hpp"

namespace responder {

enum class LogFormat { text, json };

// Writes to stderr from a thread of its own; a full queue drops the oldest records rather than hold up the work.
// `level`: trace, debug, info, warn, error.
Result<void> setup_logging(std::string_view level, LogFormat format);

// Flushes and stops the log thread: the last thing a program does.
void shutdown_logging();

}  // namespace responder
