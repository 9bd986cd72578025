// The command line as data: what shell completion and man page are made from.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace responder::app {

// An option, or an argument without a name of its own.
struct OptionEntry {
  std::vector<std::string> names;  // with their dashes; of an argument, its word
  std::string value;               // what follows: "UUID", "FILE", "DIR", "lan|wan" for words; empty: nothing does
  std::string description;
  std::string preset;  // the value where it is not given
  bool is_argument = false;
  bool required = false;
  bool repeats = false;

  // The words that `value` names, where it names some.
  std::vector<std::string> choices() const;
};

struct CommandEntry {
  std::string name;
  std::string description;
  std::vector<OptionEntry> options;
  std::vector<CommandEntry> commands;
};

// All of `program` but what is hidden (of group ""), in the order of its definition.
CommandEntry describe(const CLI::App& program);

}  // namespace responder::app
