// Logging is spdlog's default logger; this sets it up. Every record is one line: control characters are escaped.
#pragma once

#include <cstddef>
#include <string_view>

#include "responder/base/error.hpp"

namespace responder {

enum class LogFormat { text, json };

// Whether stderr is a stream of systemd's journal: it then reads a priority, "<4>", at the beginning of each line.
bool stderr_is_journal();

// Writes to stderr from a thread of its own; a full queue drops the oldest records rather than hold up the work.
// Where stderr is systemd's journal, lines begin with their priority and text lines have no time, which it adds.
// `level`: trace, debug, info, warn (or warning), error. `queued_records`: how many the queue takes; its memory, half a
// KiB for each, is taken at once.
Result<void> setup_logging(std::string_view level, LogFormat format, std::size_t queued_records);

// Flushes and stops the log thread: the last thing a program does.
void shutdown_logging();

}  // namespace responder
