// rhombus-responder(1), made from the command line's own definition.
#pragma once

#include <string>

#include "command_tree.hpp"

namespace responder::app {

// In roff. The same for the same program, wherever it is made.
std::string man_page(const CommandEntry& program);

}  // namespace responder::app
