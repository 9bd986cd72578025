#include "command_tree.hpp"

#include <algorithm>
#include <iterator>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

OptionEntry describe_option(const CLI::Option& option) {
  OptionEntry entry;
  entry.is_argument = option.get_positional() && option.get_lnames().empty() && option.get_snames().empty();
  if (entry.is_argument) entry.names.push_back(option.get_name(true));
  for (const auto& name : option.get_snames()) entry.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) entry.names.push_back("--" + name);
  if (option.get_type_size() != 0) entry.value = option.get_type_name();
  entry.description = option.get_description();
  entry.preset = option.get_default_str();
  entry.required = option.get_required();
  entry.repeats = option.get_items_expected_max() > 1;
  return entry;
}

}  // namespace

std::vector<std::string> OptionEntry::choices() const {
  return value.find('|') == std::string::npos ? std::vector<std::string>{} : split(value, '|');
}

CommandEntry describe(const CLI::App& program) {
  CommandEntry entry{program.get_name(), program.get_description(), {}, {}};
  for (const auto* option : program.get_options()) {
    if (!option->get_group().empty()) entry.options.push_back(describe_option(*option));
  }
  for (const auto* one : program.get_subcommands([](const CLI::App* app) { return !app->get_group().empty(); })) {
    auto command = describe(*one);
    if (!command.name.empty()) {
      entry.commands.push_back(std::move(command));
    } else {  // a group of options of this one
      std::move(command.options.begin(), command.options.end(), std::back_inserter(entry.options));
    }
  }
  return entry;
}

}  // namespace responder::app
