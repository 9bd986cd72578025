// What the program understands on its command line: the one place that names commands and options. Shell completion
// and man pages are made from it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "config.hpp"
#include "run_as.hpp"

namespace responder::app {

class Signals;

// What a command is run with.
struct Invocation {
  const Config& config;
  const std::string& config_file;  // --config, or empty
  const Signals* signals;          // of a command that minds them
};

struct Command {
  CLI::App* app;
  std::function<int(const Invocation&)> run;  // its exit status
  // Whether it ends in order on SIGTERM and SIGINT, which are held back for it.
  std::function<bool()> minds_signals = [] { return false; };
  bool is_for_cron = false;   // what it says goes into somebody's mail: warnings only, unless told otherwise
  bool reads_secrets = true;  // false: it needs none, and is for people who may not read them
  // Whether it runs without a loaded configuration: it looks at none, or reads it itself.
  std::function<bool()> needs_no_config = [] { return false; };
  bool uses_journal = true;  // else it needs no right to use the journal's folder
  RunsAs runs_as = RunsAs::owner_of_journal;
  // What the options say of the configuration.
  std::function<Result<void>(Config&)> adjust = [](Config&) { return Result<void>{}; };
};

// Those about what Rhombus has and what it calls, and about hooks.
void add_rhombus_commands(CLI::App& program, std::vector<Command>& commands);

class CommandLine {
 public:
  CommandLine();

  CLI::App& program() { return program_; }
  const std::string& config_file() const { return config_file_; }
  const std::string& log_level() const { return log_level_; }

  // After parsing: the command that was given.
  const Command* chosen() const;
  // The words of a command, "webhook show": without options, which may hold secrets.
  static std::string words_of(const Command& command);
  // What is wrong with words that cannot be parsed, in one line with the mend. `parser_says`: what CLI11 says of
  // them.
  std::string mistake(const std::vector<std::string>& words, const std::string& parser_says) const;

 private:
  CLI::App program_;
  std::string config_file_;
  std::string log_level_;
  std::vector<Command> commands_;
};

}  // namespace responder::app
