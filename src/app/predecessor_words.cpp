#include "predecessor_words.hpp"

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
    if (auto whole = expanded(std::string_view(*word).substr(0, equals)))
      *word = *whole + (equals == std::string::npos ? "" : word->substr(equals));
  }
  return words;
}

}  // namespace responder::app
