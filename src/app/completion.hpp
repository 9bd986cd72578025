// Shell completion: scripts for three shells, made from the command line's own definition.
#pragma once

#include <string>

#include "command_tree.hpp"

namespace responder::app {

// The same for the same program, wherever it is made.
std::string bash_completion(const CommandEntry& program);
std::string zsh_completion(const CommandEntry& program);
std::string fish_completion(const CommandEntry& program);

}  // namespace responder::app
