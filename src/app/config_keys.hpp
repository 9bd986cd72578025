// The keys of a configuration: how each is set from what the file (typed) or the environment (text) gives.
// Only for config.cpp.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "config.hpp"

namespace responder::app {

// One line, whatever it quotes of a file.
inline Error wrong(std::string_view message) { return Error{ErrorKind::permanent, printable(message, 1000)}; }

// A value as the file (typed) or the environment (text) gives it.
using Value = std::variant<std::string, std::int64_t, double, bool, std::vector<std::string>>;

// Of a Target: the Config, or a table that the file may have several of.
template <class Target>
struct Key {
  std::string name;                                        // table.key
  std::function<Result<void>(Target&, const Value&)> set;  // its Error lacks the name
  std::function<std::string(Target&)> show;                // the value as the file would have it; a secret is masked
};

inline std::string shown(const std::string& text) { return '"' + printable(text, 1000) + '"'; }
inline std::string shown(const Secret& secret) { return secret.empty() ? "\"\"" : "(set)"; }
inline std::string shown(bool flag) { return flag ? "true" : "false"; }
inline std::string shown(std::int64_t number) { return std::to_string(number); }
inline std::string shown(double number) { return fmt::format("{}", number); }
inline std::string shown(const std::vector<std::string>& list) {
  std::vector<std::string> items;
  for (const auto& item : list) items.push_back(shown(item));
  return '[' + join(items, ", ") + ']';
}
template <class Value>
std::string shown(const std::optional<Value>& value) {
  return value ? shown(*value) : std::string();
}
template <class Target, class Field>
std::function<std::string(Target&)> shows(Field field) {
  return [field](Target& target) { return shown(field(target)); };
}

// The setters, by the type of the field. `field` finds it in a Target.

template <class Target = Config, class Field>
Key<Target> text(std::string name, Field field) {
  return {std::move(name),
          [field](Target& target, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr) return wrong("is not a string");
            field(target) = *given;
            return {};
          },
          shows<Target>(field)};
}

template <class Target = Config, class Field>
Key<Target> secret(std::string name, Field field) {
  return {std::move(name),
          [field](Target& target, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr) return wrong("is not a string");
            field(target) = Secret(*given);
            return {};
          },
          shows<Target>(field)};
}

inline std::optional<std::int64_t> as_integer(const Value& value) {
  if (const auto* given = std::get_if<std::int64_t>(&value)) return *given;
  if (const auto* written = std::get_if<std::string>(&value)) {
    if (const auto parsed = parse_int(trim(*written))) return *parsed;
  }
  return std::nullopt;
}

template <class Target = Config, class Field>
Key<Target> integer(std::string name, std::int64_t least, std::int64_t most, Field field) {
  return {std::move(name),
          [=](Target& target, const Value& value) -> Result<void> {
            const auto number = as_integer(value);
            if (!number) return wrong("is not a whole number");
            if (*number < least || *number > most)
              return wrong(fmt::format("is {}, not from {} to {}", *number, least, most));
            field(target) = *number;
            return {};
          },
          shows<Target>(field)};
}

template <class Target = Config, class Field>
Key<Target> number(std::string name, double least, double most, Field field) {
  return {std::move(name),
          [=](Target& target, const Value& value) -> Result<void> {
            std::optional<double> given;
            if (const auto* real = std::get_if<double>(&value)) given = *real;
            if (const auto whole = as_integer(value)) given = static_cast<double>(*whole);
            if (const auto* written = std::get_if<std::string>(&value); written != nullptr && !given) {
              char* end = nullptr;
              const double parsed = std::strtod(written->c_str(), &end);
              if (!written->empty() && *end == '\0') given = parsed;
            }
            if (!given || !(*given >= least) || !(*given <= most))
              return wrong(fmt::format("is not a number from {} to {}", least, most));
            field(target) = *given;
            return {};
          },
          shows<Target>(field)};
}

template <class Target = Config, class Field>
Key<Target> flag(std::string name, Field field) {
  return {std::move(name),
          [field](Target& target, const Value& value) -> Result<void> {
            if (const auto* given = std::get_if<bool>(&value)) {
              field(target) = *given;
              return {};
            }
            const auto* written = std::get_if<std::string>(&value);
            const std::string lower = written != nullptr ? ascii_lower(trim(*written)) : "";
            if (lower != "true" && lower != "false" && lower != "1" && lower != "0")
              return wrong("is neither true nor false");
            field(target) = lower == "true" || lower == "1";
            return {};
          },
          shows<Target>(field)};
}

template <class Target = Config, class Field>
Key<Target> list(std::string name, Field field) {
  return {std::move(name),
          [field](Target& target, const Value& value) -> Result<void> {
            if (const auto* given = std::get_if<std::vector<std::string>>(&value)) {
              field(target) = *given;
            } else if (const auto* written = std::get_if<std::string>(&value);
                       written != nullptr && std::is_same_v<Target, Config>) {
              field(target) = split(*written, ',');  // as the environment gives it, which has none of the tables
            } else {
              return wrong("is not a list of strings");
            }
            return {};
          },
          shows<Target>(field)};
}

// `loaded` finds where the secrets of the list are kept, beside those of other sources, once it is loaded.
template <class Target = Config, class Field, class Loaded>
Key<Target> secret_list(std::string name, Field field, Loaded loaded) {
  auto key = list<Target>(std::move(name), field);
  key.show = [loaded](Target& target) { return fmt::format("({} set)", loaded(target).size()); };
  return key;
}

template <class Choice, class Target = Config, class Field>
Key<Target> choice(std::string name, std::vector<std::pair<std::string, Choice>> choices, Field field) {
  const auto show = [choices, field](Target& target) {
    const auto found = std::find_if(choices.begin(), choices.end(), [&](const auto& one) {
      return std::optional<Choice>(one.second) == field(target);
    });
    return found == choices.end() ? std::string("\"\"") : shown(found->first);
  };
  return {std::move(name),
          [choices = std::move(choices), field](Target& target, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            std::vector<std::string> names;
            for (const auto& [text_, chosen] : choices) {
              if (given != nullptr && *given == text_) {
                field(target) = chosen;
                return {};
              }
              names.push_back(text_);
            }
            return wrong(fmt::format("is '{}', not one of: {}",
                                     given != nullptr ? printable(*given, 40) : "no string", join(names, ", ")));
          },
          show};
}

}  // namespace responder::app
