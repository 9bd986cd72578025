#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/journal.hpp"

#include "commands.hpp"
#include "process_lock.hpp"
#include "push_path.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

void write_deliveries(JsonWriter& json, const journal::DeliveryCounts& counts) {
  json.begin_object().field("target", counts.target).field("waiting", counts.waiting);
  json.field("given_up", counts.given_up).key("oldest_waiting");
  counts.oldest_waiting ? json.value(format_rfc3339(*counts.oldest_waiting)) : json.null();
  json.field("reason", counts.reason).end_object();
}

std::string describe_deliveries(const journal::DeliveryCounts& counts) {
  auto text = fmt::format("{}: {} waiting, {} given up", counts.target, counts.waiting, counts.given_up);
  if (counts.oldest_waiting) text += fmt::format(", the oldest since {}", format_rfc3339(*counts.oldest_waiting));
  return counts.reason.empty() ? text : fmt::format("{}; {}", text, printable(counts.reason));
}

}  // namespace

int status(const Config& config, bool as_json) {
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  const auto counts = journal->counts();
  if (!counts) return complain(counts.error().message);
  const bool serving = ProcessLock::is_held(serve_lock(config.journal.path));
  const auto now = SystemClock().wall_now();
  const auto last = ingest::last_catch_up(*journal);
  const auto silence = ingest::silence(*journal, now);
  const auto push_path = describe_silence(*journal, now);
  if (!last || !silence || !push_path)
    return complain(!last ? last.error().message : !silence ? silence.error().message : push_path.error().message);
  const auto deliveries = journal->delivery_counts();
  if (!deliveries) return complain(deliveries.error().message);
  const auto stored = journal->stored_totals();
  if (!stored) return complain(stored.error().message);
  const auto waiting = journal->waiting_for_archive();
  if (!waiting) return complain(waiting.error().message);
  const auto free = free_bytes(config.archive.directory);

  if (as_json) {
    JsonWriter json;
    json.begin_object().field("serving", serving);
    json.key("captures").begin_object();
    json.field("waiting", counts->waiting).field("capturing", counts->capturing).field("done", counts->done);
    json.field("partial", counts->partial)
        .field("failed", counts->failed)
        .field("ignored", counts->ignored)
        .end_object();
    json.field("queue_depth", counts->waiting).key("oldest_waiting");
    counts->oldest_waiting ? json.value(format_rfc3339(*counts->oldest_waiting)) : json.null();
    json.key("last_catch_up");
    *last ? json.value(format_rfc3339(**last)) : json.null();
    json.field("webhooks_missed", silence->missed).key("webhooks_missing_since");
    silence->broken_since ? json.value(format_rfc3339(*silence->broken_since)) : json.null();
    json.key("deliveries").begin_array();
    for (const auto& one : *deliveries) write_deliveries(json, one);
    json.end_array();
    json.key("clips").begin_object().field("stored", stored->clips).field("bytes", stored->bytes);
    json.field("held", stored->held).field("removed", stored->removed).end_object();
    json.key("waiting_for_archive").begin_object().field("clips", waiting->clips);
    json.field("reason", waiting->reason).end_object();
    json.field("journal", config.journal.path).field("archive", config.archive.directory).key("archive_free_bytes");
    free&&* free ? json.value(**free) : json.null();
    json.end_object();
    fmt::print("{}\n", std::move(json).str());
    return exit_done;
  }
  fmt::print("serve      {}\n", serving ? "runs" : "does not run");
  fmt::print("captures   {} waiting, {} capturing, {} done, {} partial, {} failed, {} ignored\n", counts->waiting,
             counts->capturing, counts->done, counts->partial, counts->failed, counts->ignored);
  if (counts->oldest_waiting) fmt::print("oldest     waiting since {}\n", format_rfc3339(*counts->oldest_waiting));
  fmt::print("clips      {} ({:.1f} GiB), {} held; {} removed by retention\n", stored->clips,
             static_cast<double>(stored->bytes) / (1U << 30U), stored->held, stored->removed);
  if (waiting->clips > 0)
    fmt::print("spool      {} clips wait for the archive{}\n", waiting->clips,
               waiting->reason.empty() ? "" : ": " + printable(waiting->reason, 400));
  fmt::print("catch-up   {}\n", *last ? format_rfc3339(**last) : "never yet");
  if (!push_path->empty()) fmt::print("webhooks   {}\n", *push_path);
  for (const auto& one : *deliveries) fmt::print("deliveries {}\n", describe_deliveries(one));
  fmt::print("journal    {}\n", config.journal.path);
  fmt::print("archive    {} ({})\n", config.archive.directory,
             !free   ? free.error().message
             : *free ? fmt::format("{:.1f} GiB free", static_cast<double>(**free) / (1U << 30U))
                     : "how much is free is not known");
  return exit_done;
}

}  // namespace responder::app
