#include "completion.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

// As one word of a POSIX shell, and of fish where there is no backslash in it.
std::string as_word(std::string_view text, std::string_view quote = R"('\'')") {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string(quote) : std::string(1, c);
  return word + "'";
}

std::vector<std::string> command_names(const CommandEntry& command) {
  std::vector<std::string> names;
  for (const auto& one : command.commands) names.push_back(one.name);
  return names;
}

std::vector<std::string> option_names(const std::vector<OptionEntry>& options) {
  std::vector<std::string> names;
  for (const auto& option : options) {
    if (!option.is_argument) names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

// Every command takes the program's options, too: from here on they are said once, by the program, and not by each.
void keep_own_options(CommandEntry& command, const std::vector<OptionEntry>& global) {
  for (auto& one : command.commands) {
    std::erase_if(one.options, [&](const OptionEntry& option) {
      return std::any_of(global.begin(), global.end(),
                         [&](const OptionEntry& other) { return other.names == option.names; });
    });
    keep_own_options(one, global);
  }
}

// ---------- bash ----------

// What goes before the patterns of a case: the command, or any for what all of them take.
std::string bash_pattern(const std::string& path, bool is_root, const std::string& word) {
  return is_root ? "*:" + word : as_word(path + ":" + word);
}

std::string bash_pattern(const std::string& path, bool is_root, const OptionEntry& option) {
  std::vector<std::string> patterns;
  for (const auto& name : option.names) patterns.push_back(bash_pattern(path, is_root, name));
  return join(patterns, "|");
}

std::string bash_values(const OptionEntry& option) {
  if (option.value == "FILE") return "_rhombus_responder_paths -f";
  if (option.value == "DIR") return "_rhombus_responder_paths -d";
  const auto words = option.choices();
  return words.empty() ? "return" : fmt::format("_rhombus_responder_words {}", as_word(join(words, " ")));
}

// The three cases of the script, a line for each command or option.
struct BashCases {
  std::string path_of;  // which command the words before amount to
  std::string value_of;
  std::string words_of;
};

void add_bash_cases(BashCases& cases, const CommandEntry& command, const std::string& path, bool is_root,
                    const std::vector<std::string>& global_options) {
  for (const auto& option : command.options) {
    if (option.is_argument || option.value.empty()) continue;
    const auto pattern = bash_pattern(path, is_root, option);
    cases.path_of += fmt::format("      {}) _rhombus_responder_skip ;;\n", pattern);
    cases.value_of += fmt::format("    {}) {} ;;\n", pattern, bash_values(option));
  }
  auto words = command_names(command);
  const auto options = option_names(command.options);
  words.insert(words.end(), options.begin(), options.end());
  if (!is_root) words.insert(words.end(), global_options.begin(), global_options.end());
  cases.words_of +=
      fmt::format("        {}) _rhombus_responder_words {} ;;\n", as_word(path), as_word(join(words, " ")));
  for (const auto& one : command.commands) {
    const auto below = path.empty() ? one.name : path + " " + one.name;
    cases.path_of += fmt::format("      {}) path={} ;;\n", as_word(path + ":" + one.name), as_word(below));
    add_bash_cases(cases, one, below, false, global_options);
  }
}

// ---------- zsh ----------

// Within a specification of _arguments.
std::string zsh_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string zsh_values(const OptionEntry& option) {
  if (option.value == "FILE") return "_files";
  if (option.value == "DIR") return "_files -/";
  const auto words = option.choices();
  return words.empty() ? " " : "(" + join(words, " ") + ")";
}

std::string zsh_what(const OptionEntry& option) {
  return fmt::format(":{}:{}", zsh_text(option.choices().empty() ? option.value : "value"), zsh_values(option));
}

std::string zsh_option(const OptionEntry& option) {
  const auto text = "[" + zsh_text(option.description) + "]" + (option.value.empty() ? "" : zsh_what(option));
  if (option.is_argument) return as_word((option.repeats ? "*" : "") + zsh_what(option));
  // One of several names keeps the others away.
  if (option.names.size() == 1) return as_word(option.names[0] + text);
  return as_word("(" + join(option.names, " ") + ")") + "{" + join(option.names, ",") + "}" + as_word(text);
}

void add_zsh_function(std::string& script, const CommandEntry& command, const std::string& function,
                      const std::vector<OptionEntry>& global_options) {
  std::string specifications;
  const auto add = [&](const std::string& one) { specifications += " \\\n    " + one; };
  for (const auto& option : command.options) add(zsh_option(option));
  for (const auto& option : global_options) add(zsh_option(option));
  if (command.commands.empty()) {
    script += fmt::format("{}() {{\n  _arguments{}\n}}\n\n", function, specifications);
    return;
  }
  add("'1:command:->command'");
  add("'*::argument:->argument'");
  std::string commands;
  std::string calls;
  for (const auto& one : command.commands) {
    commands += fmt::format("\n        {}", as_word(one.name + ":" + zsh_text(one.description)));
    calls += fmt::format("        {}) {}_{} ;;\n", one.name, function, one.name);
  }
  script += fmt::format(R"({}() {{
  local context state state_descr line
  typeset -A opt_args
  _arguments -C{}
  case $state in
    command)
      local -a commands=({}
      )
      _describe command commands
      ;;
    argument)
      case $words[1] in
{}      esac
      ;;
  esac
}}

)",
                        function, specifications, commands, calls);
  for (const auto& one : command.commands) add_zsh_function(script, one, function + "_" + one.name, global_options);
}

// ---------- fish ----------

std::string fish_word(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped += c == '\\' ? std::string("\\\\") : std::string(1, c);
  return as_word(escaped, R"(\')");
}

std::string fish_option(const OptionEntry& option) {
  std::string line;
  for (const auto& name : option.names) {
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  const auto words = option.choices();
  if (option.value == "FILE") {
    line += " -r -F";
  } else if (option.value == "DIR") {
    line += " -x -a '(__fish_complete_directories)'";
  } else if (!words.empty()) {
    line += " -x -a " + as_word(join(words, " "));
  } else if (!option.value.empty()) {
    line += " -x";
  }
  return line + " -d " + fish_word(option.description);
}

// `where`: the condition under which the command is the one that is being written.
void add_fish_lines(std::string& script, const CommandEntry& command, const std::string& where) {
  const auto line = [&](const std::string& condition) {
    return "complete -c rhombus-responder" + (condition.empty() ? "" : " -n " + as_word(condition));
  };
  const std::string more = where.empty() ? "" : where + "; and ";
  for (const auto& option : command.options) {
    if (!option.is_argument) script += line(where) + fish_option(option) + "\n";
  }
  const auto names = join(command_names(command), " ");
  for (const auto& one : command.commands) {
    script += fmt::format("{} -a {} -d {}\n", line(more + "not __fish_seen_subcommand_from " + names), one.name,
                          fish_word(one.description));
    add_fish_lines(script, one, more + "__fish_seen_subcommand_from " + one.name);
  }
}

}  // namespace

std::string bash_completion(const CommandEntry& program) {
  auto root = program;
  keep_own_options(root, program.options);
  BashCases cases;
  add_bash_cases(cases, root, "", true, option_names(program.options));
  return fmt::format(R"(# bash completion for rhombus-responder. Made by: rhombus-responder completion bash

# These see the variables of the function below.
_rhombus_responder_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }}
_rhombus_responder_paths() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}}
_rhombus_responder_skip() {{ # --option=value comes as three words
  [[ ${{COMP_WORDS[i + 1]}} == = ]] && ((++i))
  ((++i))
}}

_rhombus_responder() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} path='' i
  COMPREPLY=()
  if [[ $current == = ]]; then
    current=''
  elif [[ $before == = ]]; then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case $path:${{COMP_WORDS[i]}} in
{}    esac
  done
  case $path:$before in
{}    *)
      case $path in
{}      esac
      ;;
  esac
}}
complete -F _rhombus_responder rhombus-responder
)",
                     cases.path_of, cases.value_of, cases.words_of);
}

std::string zsh_completion(const CommandEntry& program) {
  auto root = program;
  keep_own_options(root, program.options);
  root.options.clear();
  std::string functions;
  add_zsh_function(functions, root, "_rhombus-responder", program.options);
  return "#compdef rhombus-responder\n# zsh completion for rhombus-responder. Made by: rhombus-responder completion "
         "zsh\n\n" +
         functions + "_rhombus-responder \"$@\"\n";
}

std::string fish_completion(const CommandEntry& program) {
  std::string script =
      "# fish completion for rhombus-responder. Made by: rhombus-responder completion fish\n\n"
      "complete -c rhombus-responder -f\n";
  auto root = program;
  keep_own_options(root, program.options);
  add_fish_lines(script, root, "");
  return script;
}

}  // namespace responder::app
