// show: all that is known of one alert.
#include <fmt/format.h>

#include "alert_words.hpp"
#include "capture_report.hpp"
#include "commands.hpp"
#include "set_up.hpp"

namespace responder::app {

int show(const Config& config, const std::string& word, bool json) {
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  const auto alert = find_alert(*journal, word);
  if (!alert) return complain(alert.error().message);
  constexpr std::size_t looked_at = 20'000;
  auto names = journal->camera_names(looked_at);
  if (!names) return complain(names.error().message);
  constexpr std::size_t most_cameras = 1000;
  std::vector<journal::Capture> captures;
  const auto read = journal->each({.alert = *alert, .limit = most_cameras}, [&](journal::Capture capture) {
    if (capture.camera_name.empty()) capture.camera_name = (*names)[capture.camera];
    captures.push_back(std::move(capture));
  });
  if (!read) return complain(read.error().message);
  std::vector<CaptureReport> reports;
  for (const auto& capture : captures) {
    auto report = report_on(*journal, config.archive.directory, capture);
    if (!report) return complain(report.error().message);
    reports.push_back(std::move(*report));
  }
  if (json) {
    JsonWriter writer;
    writer.begin_object().field("alert", alert->str()).key("captures").begin_array();
    for (const auto& report : reports) write_report(writer, report);
    writer.end_array().end_object();
    fmt::print("{}\n", std::move(writer).str());
    return exit_done;
  }
  fmt::print("{}\n", captures.empty() ? alert->str() : journal::label(captures.front()));
  for (const auto& report : reports) {
    for (const auto& line : as_lines(report)) fmt::print("{}\n", line);
  }
  return exit_done;
}

}  // namespace responder::app
