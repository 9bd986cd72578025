#include "words.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace responder::app {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> of_several_letters{
    {{"-loc", "--location_uuid"},
     {"-cam", "--camera_uuid"},
     {"-al", "--alerts"},
     {"-ma", "--max_alerts"},
     {"-bt", "--before_time"},
     {"-at", "--after_time"},
     {"-ab", "--alert_buffer"}}};

constexpr std::array<std::string_view, 14> long_ones{
    "--api_key",    "--cert",        "--private_key",   "--start_time",  "--duration",
    "--debug",      "--usewan",      "--location_uuid", "--camera_uuid", "--alerts",
    "--max_alerts", "--before_time", "--after_time",    "--alert_buffer"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> of_one_letter_with_value{
    {{"-a", "--api_key"}, {"-c", "--cert"}, {"-p", "--private_key"}, {"-s", "--start_time"}, {"-u", "--duration"}}};

std::optional<std::string> of_one_letter(std::string_view option) {
  const auto found = std::find_if(of_one_letter_with_value.begin(), of_one_letter_with_value.end(),
                                  [&](const auto& one) { return one.first == option; });
  if (found == of_one_letter_with_value.end()) return std::nullopt;
  return std::string(found->second);
}

bool takes_value(std::string_view option) {
  if (of_one_letter(option)) return true;
  constexpr std::array<std::string_view, 3> flags{"--debug", "--usewan", "--alerts"};
  return std::find(long_ones.begin(), long_ones.end(), option) != long_ones.end() &&
         std::find(flags.begin(), flags.end(), option) == flags.end();
}

std::optional<std::string> expanded(std::string_view option) {
  const auto several = std::find_if(of_several_letters.begin(), of_several_letters.end(),
                                    [&](const auto& one) { return one.first == option; });
  if (several != of_several_letters.end()) return std::string(several->second);
  if (!option.starts_with("--") || option.size() == 2) return std::nullopt;
  std::optional<std::string> only;
  for (const auto whole : long_ones) {
    if (whole == option) return std::string(whole);
    if (!whole.starts_with(option)) continue;
    if (only) return std::nullopt;  // of several it could be any
    only = whole;
  }
  return only;
}

}  // namespace

std::vector<std::string> with_predecessor_words(std::vector<std::string> words) {
  const auto command = std::find(words.begin(), words.end(), "copy-footage");
  for (auto word = command; word != words.end(); ++word) {
    const auto equals = word->find('=');
    const auto option = std::string_view(*word).substr(0, equals);
    auto whole = expanded(option);
    // Ours would take the '=' after one letter for a part of the value.
    if (equals != std::string::npos && !whole) whole = of_one_letter(option);
    if (whole) *word = *whole + (equals == std::string::npos ? "" : word->substr(equals));
    if (equals == std::string::npos && takes_value(*word) && word + 1 != words.end()) ++word;  // that is no option
  }
  return words;
}

std::vector<std::string> with_alerts_apart(std::vector<std::string> words) {
  constexpr std::array<std::string_view, 5> commands{"retry", "hold", "release", "export", "show"};
  const auto command = std::find_first_of(words.begin(), words.end(), commands.begin(), commands.end());
  if (std::find(command, words.end(), "--") != words.end()) return words;
  // Base64 of a UUID, as a URL may have it.
  const auto is_no_alert = [](const std::string& word) {
    constexpr std::size_t length_of_id = 22;
    return !(word.size() == length_of_id && word.front() == '-' &&
             std::all_of(word.begin(), word.end(),
                         [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; }));
  };
  const auto alerts = std::stable_partition(command, words.end(), is_no_alert);
  if (alerts != words.end()) words.insert(alerts, "--");
  return words;
}

}  // namespace responder::app
