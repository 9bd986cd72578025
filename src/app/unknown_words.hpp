// What is said of a command line that cannot be read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "command_tree.hpp"

namespace responder::app {

struct CommandWords {
  std::string command;                 // the commands that were recognized: "webhook show"; may be empty
  std::optional<std::string> mistake;  // a command that there is not, or one that is missing, with what was meant
};

// `words`: after the program's name. `hidden`: commands that are not in the tree.
CommandWords read_commands(const CommandEntry& tree, const std::vector<std::string>& words,
                           const std::vector<std::string>& hidden = {});

}  // namespace responder::app
