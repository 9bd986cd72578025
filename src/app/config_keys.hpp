// The keys of a configuration: how each is set from what the file (typed) or the environment (text) gives.
// Only for config.cpp.
#pragma once

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
};

// The setters, by the type of the field. `field` finds it in a Target.

template <class Target = Config, class Field>
Key<Target> text(std::string name, Field field) {
  return {std::move(name), [field](Target& target, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr) return wrong("is not a string");
            field(target) = *given;
            return {};
          }};
}

template <class Target = Config, class Field>
Key<Target> secret(std::string name, Field field) {
  return {std::move(name), [field](Target& target, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr) return wrong("is not a string");
            field(target) = Secret(*given);
            return {};
          }};
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
  return {std::move(name), [=](Target& target, const Value& value) -> Result<void> {
            const auto number = as_integer(value);
            if (!number) return wrong("is not a whole number");
            if (*number < least || *number > most)
              return wrong(fmt::format("is {}, not from {} to {}", *number, least, most));
            field(target) = *number;
            return {};
          }};
}

template <class Target = Config, class Field>
Key<Target> number(std::string name, double least, double most, Field field) {
  return {std::move(name), [=](Target& target, const Value& value) -> Result<void> {
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
          }};
}

template <class Target = Config, class Field>
Key<Target> flag(std::string name, Field field) {
  return {std::move(name), [field](Target& target, const Value& value) -> Result<void> {
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
          }};
}

template <class Target = Config, class Field>
Key<Target> list(std::string name, Field field) {
  return {std::move(name), [field](Target& target, const Value& value) -> Result<void> {
            if (const auto* given = std::get_if<std::vector<std::string>>(&value)) {
              field(target) = *given;
            } else if (const auto* written = std::get_if<std::string>(&value);
                       written != nullptr && std::is_same_v<Target, Config>) {
              field(target) = split(*written, ',');  // as the environment gives it, which has none of the tables
            } else {
              return wrong("is not a list of strings");
            }
            return {};
          }};
}

template <class Choice, class Target = Config, class Field>
Key<Target> choice(std::string name, std::vector<std::pair<std::string, Choice>> choices, Field field) {
  return {std::move(name), [choices = std::move(choices), field](Target& target, const Value& value) -> Result<void> {
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
          }};
}

}  // namespace responder::app
