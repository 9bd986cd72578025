#include "alert_words.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "responder/archive/names.hpp"
#include "responder/base/text.hpp"

namespace responder::app {
namespace {

constexpr std::size_t longest_word = 200;  // in a message

// The name of the clip that a file belongs to, without its ending; nothing where the word is no file's name.
std::optional<std::string> clip_of_file(const std::string& word) {
  constexpr std::array<std::string_view, 5> endings{".damaged.mp4", ".mp4", ".json", ".jpg", ".jpeg"};
  const auto name = word.substr(word.rfind('/') + 1);
  for (const auto ending : endings) {
    if (name.size() > ending.size() && name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  if (name.find("_alert_") != std::string::npos) return name;
  return std::nullopt;
}

// The alert's letters and digits in a clip's name: CameraName_CAMERA_20240101_143022_alert_MOTIONHUMAN_ALERT_video.
std::string letters_of_clip(const std::string& clip) {
  const auto parts = split(clip, '_');
  const bool is_of_alert = clip.find("_alert_") != std::string::npos && parts.size() >= 2;
  return is_of_alert ? parts[parts.size() - 2] : std::string();
}

Error ambiguous(const std::string& word, const std::vector<AlertId>& alerts) {
  std::vector<std::string> ids;
  for (const auto& alert : alerts) ids.push_back(alert.str());
  return {ErrorKind::permanent, fmt::format("'{}' fits {} alerts, give the id of one: {}",
                                            printable(word, longest_word), ids.size(), join(ids, ", "))};
}

Error unknown(journal::Journal& journal, const std::string& word) {
  constexpr std::size_t looked_at = 20'000;
  std::vector<std::string> ids;
  if (const auto alerts = journal.newest_alerts(looked_at)) {
    for (const auto& alert : *alerts) ids.push_back(alert.str());
  }
  constexpr std::size_t too_long = 80;  // to be an id
  const auto close = word.size() <= too_long ? nearest(word, ids) : std::nullopt;
  return {ErrorKind::permanent,
          fmt::format("alert {} is not in the journal{}", printable(word, longest_word),
                      close ? fmt::format("; did you mean {}?", *close) : ": events lists those that are")};
}

// Those of the captures whose clip it is.
Result<std::vector<AlertId>> alerts_of_clip(journal::Journal& journal, const std::string& clip) {
  const auto captures = journal.captures_of_file(clip + ".mp4");
  if (!captures) return captures.error();
  std::vector<AlertId> alerts;
  for (const auto& capture : *captures) {
    if (std::find(alerts.begin(), alerts.end(), capture.alert) == alerts.end()) alerts.push_back(capture.alert);
  }
  return alerts;
}

}  // namespace

Result<AlertId> find_alert(journal::Journal& journal, const std::string& word) {
  bool is_id = false;
  const auto looked = journal.each({.alert = AlertId(word), .limit = 1}, [&](const auto&) { is_id = true; });
  if (!looked) return looked.error();
  if (is_id) return AlertId(word);
  auto letters = archive::letters_and_digits(word, "");
  if (const auto clip = clip_of_file(word)) {
    const auto alerts = alerts_of_clip(journal, *clip);
    if (!alerts) return alerts.error();
    if (alerts->size() > 1) return ambiguous(word, *alerts);
    if (alerts->size() == 1) return alerts->front();
    letters = letters_of_clip(*clip);
  }
  if (letters.empty()) return unknown(journal, word);
  const auto alerts = journal.alerts_of_letters(letters);
  if (!alerts) return alerts.error();
  if (alerts->size() > 1) return ambiguous(word, *alerts);
  return alerts->empty() ? Result<AlertId>(unknown(journal, word)) : Result<AlertId>(alerts->front());
}

Result<std::vector<AlertId>> find_alerts(journal::Journal& journal, const std::vector<std::string>& words) {
  std::vector<AlertId> alerts;
  for (const auto& word : words) {
    const auto alert = find_alert(journal, word);
    if (!alert) return alert.error();
    if (std::find(alerts.begin(), alerts.end(), *alert) == alerts.end()) alerts.push_back(*alert);
  }
  return alerts;
}

}  // namespace responder::app
