#include "serve_report.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <simdjson.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/net/http_client.hpp"

#include "process_lock.hpp"

namespace responder::app {
namespace {

constexpr std::string_view started_fact = "serve_started_ms";
constexpr std::string_view ended_fact = "serve_ended_ms";
constexpr std::string_view catch_up_fact = "catch_up_command_ms";

constexpr std::string_view how_to_start =
    "start it (sudo systemctl enable --now rhombus-responder), or run catch-up by cron";

std::string text_of(simdjson::dom::element object, const char* name) {
  std::string_view value;
  return object.at_key(name).get(value) == simdjson::SUCCESS ? printable(value, 500) : std::string();
}

// Fills in what an answer of /readyz says; false: it is none.
bool read_readiness(const std::string& body, ServeReport& report) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(body).get(object) != simdjson::SUCCESS) return false;
  for (const auto& [part, value] : object) {
    if (part == "status") {
      std::string_view status;
      if (value.get(status) == simdjson::SUCCESS) report.status = printable(status, 20);
      continue;
    }
    ServeReport::Problem problem{std::string(part), text_of(value, "status"), text_of(value, "detail")};
    if (problem.status != "ok") report.problems.push_back(std::move(problem));
  }
  return true;
}

Result<std::optional<WallTime>> time_fact(journal::Journal& journal, std::string_view name) {
  const auto text = journal.fact(name);
  if (!text) return text.error();
  const auto ms = *text ? parse_int(**text) : std::nullopt;
  return ms ? std::optional(WallTime(std::chrono::milliseconds(*ms))) : std::nullopt;
}

Result<void> set_time_fact(journal::Journal& journal, std::string_view name, WallTime time) {
  return journal.set_fact(name, std::to_string(time.time_since_epoch().count()));
}

}  // namespace

std::filesystem::path serve_socket(std::filesystem::path journal) {
  journal += ".serve-socket";
  return journal;
}

std::string ServeReport::problem_of(std::string_view part) const {
  const auto found =
      std::find_if(problems.begin(), problems.end(), [&](const Problem& one) { return one.part == part; });
  return found == problems.end() ? std::string() : found->detail;
}

ServeReport ask_serve(const Config& config) {
  ServeReport report;
  report.runs = ProcessLock::is_held(serve_lock(config.journal.path));
  if (!report.runs) return report;
  net::ClientLimits limits;
  limits.connect = std::chrono::seconds(2);
  limits.total = std::chrono::seconds(6);  // it waits 2 s for its journal
  constexpr std::size_t max_answer = 64 * 1024;
  const auto socket = serve_socket(config.journal.path);
  const auto answer = net::HttpConnection(socket.string(), limits).get("/readyz", {}, max_answer, {});
  if (!answer) {
    report.no_answer = fmt::format("it does not answer at {}: {}", socket.string(), answer.error().message);
  } else if (!read_readiness(answer->body, report)) {
    report.no_answer = fmt::format("it answers at {} with HTTP {}", socket.string(), answer->status);
  }
  return report;
}

Result<void> remember_serve(journal::Journal& journal, bool runs, WallTime now) {
  return set_time_fact(journal, runs ? started_fact : ended_fact, now);
}

Result<void> remember_catch_up(journal::Journal& journal, WallTime now) {
  return set_time_fact(journal, catch_up_fact, now);
}

Result<ServeAbsence> explain_absence(journal::Journal& journal, WallTime now) {
  constexpr std::chrono::hours recent{24};
  const auto started = time_fact(journal, started_fact);
  const auto ended = time_fact(journal, ended_fact);
  const auto catch_up = time_fact(journal, catch_up_fact);
  for (const auto* fact : {&started, &ended, &catch_up})
    if (!*fact) return fact->error();
  const bool ended_in_order = !*started || (*ended && **ended >= **started);
  const bool is_caught_up = *catch_up && **catch_up > now - recent && (!*ended || **catch_up > **ended);
  if (ended_in_order && is_caught_up)
    return ServeAbsence{false, fmt::format("it does not run; catch-up does its work, the last time at {}",
                                           format_rfc3339(**catch_up))};
  if (!*started) return ServeAbsence{false, fmt::format("it has not run yet: {}", how_to_start)};
  if (!ended_in_order)
    return ServeAbsence{true, fmt::format("it does not run, and did not end in order: see its log (journalctl -u "
                                          "rhombus-responder) and {}",
                                          how_to_start)};
  return ServeAbsence{
      true, fmt::format("it does not run: it was stopped at {}; {}", format_rfc3339(**ended), how_to_start)};
}

}  // namespace responder::app
