// check --config-only and --show-config: the configuration alone, without the network.
#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "commands.hpp"
#include "table.hpp"

namespace responder::app {

int check_config_only(const std::string& config_file) {
  auto loaded = load_whole_config(config_file, process_environment, Secrets::read, {}, process_environment_names());
  if (loaded.problems.empty()) {
    if (auto complete = check_for_serving(loaded.config); !complete) loaded.problems.push_back(complete.error());
  }
  for (const auto& problem : loaded.problems) fmt::print("WRONG  config    {}\n", problem.message);
  if (!loaded.problems.empty()) return exit_usage;
  fmt::print("ok     config    {}\n",
             loaded.config.file.empty() ? "built-in defaults and the environment" : loaded.config.file);
  return exit_done;
}

int show_config(const Config& config) {
  Table table({{.heading = "KEY"}, {.heading = "FROM", .may_shrink = true}, {.heading = "VALUE"}});
  constexpr std::size_t whole = 4096;
  for (const auto& value : values_in_force(config))
    table.add({value.key, printable(value.source, whole), printable(value.value, whole)});
  for (const auto& line : table.lines(terminal_width())) fmt::print("{}\n", line);
  const auto count = [](std::string_view name, std::size_t tables) {
    if (tables > 0) fmt::print("[[{}]]: {} of them, as the file has them\n", name, tables);
  };
  count("rule", config.rules.size());
  count("associate", config.associates.size());
  count("hook", config.hooks.size());
  return exit_done;
}

}  // namespace responder::app
