// What is odd about Rhombus's answers and does no harm: said when it is first seen.
#pragma once

#include <string>

namespace responder::rhombus {

// Logs a warning, unless the same line has been logged already by this process: answers are asked for again and
// again. Remembers a bounded number of lines. Thread-safe.
void say_once(const std::string& line);

}  // namespace responder::rhombus
