#include "responder/base/log.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

namespace responder {
namespace {

constexpr std::size_t max_line_bytes = 4096;

std::string utc_time(const spdlog::details::log_msg& record) {
  const auto time = std::chrono::time_point_cast<std::chrono::milliseconds>(record.time);
  std::string text = format_rfc3339(time);
  text.pop_back();
  return fmt::format("{}.{:03}Z", text, time.time_since_epoch().count() % 1000);
}

// The priority of syslog(3), as systemd's journal reads it at the beginning of a line.
std::string_view journal_prefix(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug: return "<7>";
    case spdlog::level::info: return "<6>";
    case spdlog::level::warn: return "<4>";
    case spdlog::level::err: return "<3>";
    default: return "<2>";
  }
}

class TextFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& record, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(record.level);
    const std::string_view message(record.payload.data(), record.payload.size());
    fmt::format_to(std::back_inserter(out), "{} {:<7} {}\n", utc_time(record),
                   std::string_view(level.data(), level.size()), printable(message, max_line_bytes));
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<TextFormatter>(); }
};

// For systemd's journal, which has a time and a priority of its own for each line.
class JournalFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& record, spdlog::memory_buf_t& out) override {
    const std::string_view message(record.payload.data(), record.payload.size());
    fmt::format_to(std::back_inserter(out), "{}{}\n", journal_prefix(record.level),
                   printable(message, max_line_bytes));
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JournalFormatter>(); }
};

class JsonFormatter final : public spdlog::formatter {
 public:
  explicit JsonFormatter(bool for_journal) : for_journal_(for_journal) {}

  void format(const spdlog::details::log_msg& record, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(record.level);
    const std::string_view message(record.payload.data(), record.payload.size());
    JsonWriter json;
    json.begin_object()
        .field("time", utc_time(record))
        .field("level", std::string_view(level.data(), level.size()))
        .field("message", printable(message, max_line_bytes))
        .end_object();
    fmt::format_to(std::back_inserter(out), "{}{}\n", for_journal_ ? journal_prefix(record.level) : "",
                   std::move(json).str());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(for_journal_); }

 private:
  const bool for_journal_;
};

}  // namespace

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &info) != 0) return false;
  return stream == fmt::format("{}:{}", info.st_dev, info.st_ino);
}

Result<void> setup_logging(std::string_view level, LogFormat format, std::size_t queued_records) {
  if (level == "warning") level = "warn";  // as the log itself writes it
  constexpr std::array<std::string_view, 5> levels = {"trace", "debug", "info", "warn", "error"};
  if (std::find(levels.begin(), levels.end(), level) == levels.end()) {
    return Error{
        ErrorKind::permanent,
        fmt::format("log level '{}' is unknown: give trace, debug, info, warn or error", printable(level, 40))};
  }
  spdlog::init_thread_pool(queued_records, 1);
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  const bool for_journal = stderr_is_journal();
  if (format == LogFormat::json) {
    sink->set_formatter(std::make_unique<JsonFormatter>(for_journal));
  } else if (for_journal) {
    sink->set_formatter(std::make_unique<JournalFormatter>());
  } else {
    sink->set_formatter(std::make_unique<TextFormatter>());
  }
  auto logger = std::make_shared<spdlog::async_logger>("responder", std::move(sink), spdlog::thread_pool(),
                                                       spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

void shutdown_logging() { spdlog::shutdown(); }

}  // namespace responder
