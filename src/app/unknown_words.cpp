#include "unknown_words.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

const CommandEntry* find_command(const CommandEntry& entry, const std::string& name) {
  const auto found =
      std::find_if(entry.commands.begin(), entry.commands.end(), [&](const auto& one) { return one.name == name; });
  return found == entry.commands.end() ? nullptr : &*found;
}

// Whether the option's value is the next word.
bool takes_next_word(const CommandEntry& entry, const std::string& option) {
  return std::any_of(entry.options.begin(), entry.options.end(),
                     [&](const OptionEntry& one) { return contains(one.names, option) && !one.value.empty(); });
}

// The last word of each command, and the whole of it.
void add_names(const CommandEntry& entry, const std::string& before,
               std::vector<std::pair<std::string, std::string>>& names) {
  for (const auto& command : entry.commands) {
    const auto whole = before.empty() ? command.name : before + " " + command.name;
    names.emplace_back(command.name, whole);
    add_names(command, whole, names);
  }
}

std::string unknown_command(const CommandEntry& entry, const std::string& before, const std::string& word) {
  auto text = fmt::format("unknown command '{}{}'", before.empty() ? "" : before + " ", printable(word, 40));
  if (word == "help" || word == "version") return fmt::format("{}; did you mean --{}?", text, word);
  std::vector<std::pair<std::string, std::string>> names;
  add_names(entry, before, names);
  std::vector<std::string> words;
  for (const auto& [name, whole] : names) words.push_back(name);
  const auto close = nearest(word, words);
  if (!close) return text + ": rhombus-responder --help lists those there are";
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& one) { return one.first == *close; });
  return fmt::format("{}; did you mean {}?", text, found->second);
}

}  // namespace

CommandWords read_commands(const CommandEntry& tree, const std::vector<std::string>& words,
                           const std::vector<std::string>& hidden) {
  CommandWords read;
  const auto* entry = &tree;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    if (word == "-v" || word == "-V") {
      read.mistake = fmt::format("unknown option '{}'; did you mean --version?", word);
      return read;
    }
    if (word.starts_with('-')) {
      const bool has_value = takes_next_word(tree, word) || takes_next_word(*entry, word);
      if (has_value) ++i;
      continue;
    }
    const bool takes_commands = !entry->commands.empty();
    if (!takes_commands || (entry == &tree && contains(hidden, word))) return read;
    const auto* next = find_command(*entry, word);
    if (next == nullptr) {
      read.mistake = unknown_command(*entry, read.command, word);
      return read;
    }
    read.command += (read.command.empty() ? "" : " ") + word;
    entry = next;
  }
  if (entry != &tree && !entry->commands.empty()) {
    std::vector<std::string> names;
    for (const auto& command : entry->commands) names.push_back(command.name);
    read.mistake = fmt::format("{} what? Give one of: {}", read.command, join(names, ", "));
  }
  return read;
}

}  // namespace responder::app
