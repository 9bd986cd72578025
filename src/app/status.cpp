// status: counts by state, what waits, what the running serve suffers from, disk.
#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/journal.hpp"

#include "archive_marker.hpp"
#include "commands.hpp"
#include "push_path.hpp"
#include "refused_devices.hpp"
#include "serve_report.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

// All that is shown, in one form or the other.
struct Status {
  ServeReport serve;
  journal::Counts counts;
  std::optional<WallTime> last_catch_up;
  ingest::SilenceReport silence;
  std::string push_path;
  std::vector<journal::DeliveryCounts> deliveries;
  journal::StoredTotals stored;
  std::uint64_t unconfirmed = 0;
  journal::Journal::Waiting waiting_for_archive;
  std::vector<RefusedDevice> refused;
  std::string archive_problem;  // then nothing is known of its space
  std::optional<std::uint64_t> archive_free;
  std::optional<std::uint64_t> journal_free;
  std::optional<std::uint64_t> spool_free;
};

std::optional<std::uint64_t> known_free_bytes(const std::filesystem::path& folder) {
  const auto free = free_bytes(folder);
  return free ? *free : std::nullopt;
}

// A folder that is not the archive, a share that is not mounted for one, has another disk's space. Where serve knows
// that something is wrong with it, nobody else waits for it.
void look_at_archive(const Config& config, journal::Journal& journal, Status& status) {
  status.archive_problem = status.serve.problem_of("archive");
  if (!status.archive_problem.empty()) return;
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (const auto known = check_is_archive(archive, journal); !known) {
    status.archive_problem = known.error().message;
    return;
  }
  const auto free = free_bytes(config.archive.directory);
  if (free) status.archive_free = *free;
  if (!free) status.archive_problem = free.error().message;
}

template <class T>
Result<void> store(T& place, Result<T> value) {
  if (!value) return value.error();
  place = std::move(*value);
  return {};
}

Result<Status> collect(const Config& config, journal::Journal& journal) {
  Status status;
  const auto now = SystemClock().wall_now();
  auto done = store(status.counts, journal.counts());
  if (done) done = store(status.last_catch_up, ingest::last_catch_up(journal));
  if (done) done = store(status.silence, ingest::silence(journal, now));
  if (done) done = store(status.push_path, describe_silence(journal, now));
  if (done) done = store(status.deliveries, journal.delivery_counts());
  if (done) done = store(status.stored, journal.stored_totals());
  if (done) done = store(status.unconfirmed, journal.count_unconfirmed());
  if (done) done = store(status.waiting_for_archive, journal.waiting_for_archive());
  if (done) done = store(status.refused, refused_devices(journal));
  if (!done) return done.error();
  status.serve = ask_serve(config);
  look_at_archive(config, journal, status);
  std::error_code ignored;
  status.journal_free = known_free_bytes(std::filesystem::absolute(config.journal.path, ignored).parent_path());
  status.spool_free = known_free_bytes(config.spool_directory());
  return status;
}

void write_time(JsonWriter& json, std::string_view name, const std::optional<WallTime>& time) {
  json.key(name);
  time ? json.value(format_rfc3339(*time)) : json.null();
}

void write_bytes(JsonWriter& json, std::string_view name, const std::optional<std::uint64_t>& bytes) {
  json.key(name);
  bytes ? json.value(*bytes) : json.null();
}

void write_serve(JsonWriter& json, const ServeReport& serve) {
  json.field("serving", serve.runs).key("serve").begin_object();
  json.field("status", serve.runs ? serve.status : "stopped").field("no_answer", serve.no_answer);
  json.key("problems").begin_array();
  for (const auto& one : serve.problems)
    json.begin_object().field("part", one.part).field("status", one.status).field("detail", one.detail).end_object();
  json.end_array().end_object();
}

void write_deliveries(JsonWriter& json, const journal::DeliveryCounts& counts) {
  json.begin_object().field("target", counts.target).field("waiting", counts.waiting);
  json.field("given_up", counts.given_up);
  write_time(json, "oldest_waiting", counts.oldest_waiting);
  json.field("reason", counts.reason).end_object();
}

std::string as_json(const Config& config, const Status& status) {
  JsonWriter json;
  json.begin_object();
  write_serve(json, status.serve);
  json.key("captures").begin_object();
  json.field("waiting", status.counts.waiting).field("capturing", status.counts.capturing);
  json.field("done", status.counts.done).field("partial", status.counts.partial);
  json.field("failed", status.counts.failed).field("ignored", status.counts.ignored).end_object();
  json.field("queue_depth", status.counts.waiting);
  write_time(json, "oldest_waiting", status.counts.oldest_waiting);
  write_time(json, "last_catch_up", status.last_catch_up);
  json.field("webhooks_missed", status.silence.missed);
  write_time(json, "webhooks_missing_since", status.silence.broken_since);
  json.key("deliveries").begin_array();
  for (const auto& one : status.deliveries) write_deliveries(json, one);
  json.end_array();
  json.key("refused_devices").begin_array();
  for (const auto& one : status.refused)
    json.begin_object().field("device", one.device.str()).field("since", format_rfc3339(one.since)).end_object();
  json.end_array();
  json.key("clips").begin_object().field("stored", status.stored.clips).field("bytes", status.stored.bytes);
  json.field("held", status.stored.held).field("removed", status.stored.removed);
  json.field("unconfirmed", status.unconfirmed).end_object();
  json.key("waiting_for_archive").begin_object().field("clips", status.waiting_for_archive.clips);
  json.field("reason", status.waiting_for_archive.reason).end_object();
  json.field("journal", config.journal.path);
  write_bytes(json, "journal_free_bytes", status.journal_free);
  json.field("spool", config.spool_directory().string());
  write_bytes(json, "spool_free_bytes", status.spool_free);
  json.field("archive", config.archive.directory).field("archive_problem", status.archive_problem);
  write_bytes(json, "archive_free_bytes", status.archive_free);
  json.end_object();
  return std::move(json).str();
}

std::string describe_deliveries(const journal::DeliveryCounts& counts) {
  auto text = fmt::format("{}: {} waiting, {} given up", counts.target, counts.waiting, counts.given_up);
  if (counts.oldest_waiting) text += fmt::format(", the oldest since {}", format_rfc3339(*counts.oldest_waiting));
  return counts.reason.empty() ? text : fmt::format("{}; {}", text, printable(counts.reason));
}

// In a unit in which it is more than nothing.
std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t mib = 1U << 20U;
  constexpr std::uint64_t gib = 1U << 30U;
  if (bytes >= gib) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / gib);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / mib);
}

void print_folder(std::string_view what, const std::string& path, const std::optional<std::uint64_t>& free) {
  fmt::print("{:<10} {}{}\n", what, path,
             free ? fmt::format(" ({} free)", size_text(*free)) : " (how much is free is not known)");
}

void print_serve(const ServeReport& serve) {
  fmt::print("serve      {}\n", !serve.runs                ? "does not run"
                                : !serve.no_answer.empty() ? "runs, but " + serve.no_answer
                                : serve.problems.empty()   ? "runs"
                                                           : "runs, and is " + serve.status);
  for (const auto& one : serve.problems) fmt::print("problem    {}: {}\n", one.part, one.detail);
}

void print_text(const Config& config, const Status& status) {
  const auto& counts = status.counts;
  print_serve(status.serve);
  fmt::print("captures   {} waiting, {} capturing, {} done, {} partial, {} failed, {} ignored\n", counts.waiting,
             counts.capturing, counts.done, counts.partial, counts.failed, counts.ignored);
  if (counts.oldest_waiting) fmt::print("oldest     waiting since {}\n", format_rfc3339(*counts.oldest_waiting));
  fmt::print("clips      {} ({}), {} held; {} removed by retention\n", status.stored.clips,
             size_text(status.stored.bytes), status.stored.held, status.stored.removed);
  if (status.unconfirmed > 0)
    fmt::print("presence   {} clips are still to be confirmed by Rhombus's list of existing footage\n",
               status.unconfirmed);
  if (const auto& waiting = status.waiting_for_archive; waiting.clips > 0)
    fmt::print("waiting    {} clips wait for the archive{}\n", waiting.clips,
               waiting.reason.empty() ? "" : ": " + printable(waiting.reason, 400));
  fmt::print("catch-up   {}\n", status.last_catch_up ? format_rfc3339(*status.last_catch_up) : "never yet");
  if (!status.push_path.empty()) fmt::print("webhooks   {}\n", status.push_path);
  for (const auto& one : status.refused) fmt::print("device     {}\n", describe(one, ""));
  for (const auto& one : status.deliveries) fmt::print("deliveries {}\n", describe_deliveries(one));
  print_folder("journal", config.journal.path, status.journal_free);
  print_folder("spool", config.spool_directory().string(), status.spool_free);
  if (status.archive_problem.empty()) return print_folder("archive", config.archive.directory, status.archive_free);
  fmt::print("archive    {}: {}\n", config.archive.directory, status.archive_problem);
}

}  // namespace

int status(const Config& config, bool json) {
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  const auto status = collect(config, *journal);
  if (!status) return complain(status.error().message);
  if (json) {
    fmt::print("{}\n", as_json(config, *status));
  } else {
    print_text(config, *status);
  }
  return exit_done;
}

}  // namespace responder::app
