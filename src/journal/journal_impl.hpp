// What the parts of the journal's implementation share: its connection, and how its rows are read and written.
//
//   look.cpp       how it is opened by who only looks at it
//   journal.cpp    opening, versions, damage, transactions; facts and pins
//   captures.cpp   the way of a capture: taken in, claimed, ready, finished, tried again
//   presence.cpp   what Rhombus says of the footage of clips
//   deliveries.cpp who is told of finished captures
//   lookups.cpp    what names and file names that people give stand for
//   reports.cpp    what is asked and changes nothing
//   retention.cpp  clips that are kept, held and removed
#pragma once

#include <map>

#include "responder/journal/journal.hpp"

#include "sqlite.hpp"

namespace responder::journal {

using std::chrono::seconds;
using std::chrono::sys_seconds;

// Of read_capture().
inline constexpr std::string_view capture_columns =
    "id, alert, camera, camera_name, location, activities, via, received_ms, alert_ms, duration_s, window_start_s, "
    "window_end_s, state, reason, attempts, next_attempt_ms, clip, source, bytes, sha256, gaps, clip_region, "
    "clip_end_s, kind, held, removed_ms, damage, presence";

// Of `captures`: a clip that is still to be copied off site.
inline constexpr std::string_view awaits_offsite_sql =
    "EXISTS (SELECT 1 FROM deliveries WHERE deliveries.capture = captures.id AND target = 'offsite' "
    "AND next_ms IS NOT NULL)";

inline std::int64_t to_ms(WallTime time) { return time.time_since_epoch().count(); }
inline std::int64_t to_s(sys_seconds time) { return time.time_since_epoch().count(); }
inline std::int64_t to_count(seconds duration) { return duration.count(); }
inline WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

// Gaps as "start-end,start-end" in epoch milliseconds, with a "p" after those of placeholders.
std::string encode_gaps(const std::vector<Gap>& gaps);
std::vector<Gap> decode_gaps(std::string_view text);

Capture read_capture(const Statement& row);

struct Journal::Impl {
  Impl(Database opened, std::filesystem::path file) : path(std::move(file)), database(std::move(opened)) {}

  const std::filesystem::path path;  // empty: in memory
  Database database;
  // Prepared once each, keyed by their text, which are string literals.
  std::map<std::string_view, Statement> statements;
  bool doubtful = false;  // a commit failed: the log is settled before anything is added to it

  // A journal that was opened while nobody had it open is opened again when somebody has.
  Result<void> stay_current();

  Result<Statement*> statement(std::string_view sql) {
    if (auto current = stay_current(); !current) return current.error();
    if (const auto found = statements.find(sql); found != statements.end()) return &found->second;
    auto prepared = database.prepare(sql);
    if (!prepared) return prepared.error();
    return &statements.emplace(sql, std::move(*prepared)).first->second;
  }

  template <class... Values>
  Result<void> run(std::string_view sql, const Values&... values) {
    auto prepared = statement(sql);
    if (!prepared) return prepared.error();
    return (*prepared)->bind(values...).run();
  }

  Result<std::vector<CaptureId>> ids(std::string_view sql) {
    auto query = statement(sql);
    if (!query) return query.error();
    std::vector<CaptureId> found;
    (*query)->bind();
    while (true) {
      const auto row = (*query)->step();
      if (!row) return row.error();
      if (!*row) return found;
      found.push_back((*query)->integer(0));
    }
  }

  // The one capture that a query finds, if it does.
  template <class... Values>
  Result<std::optional<Capture>> one(std::string_view sql, const Values&... values) {
    auto query = statement(sql);
    if (!query) return query.error();
    const auto row = (*query)->bind(values...).step();
    if (!row) return row.error();
    std::optional<Capture> found;
    if (*row) found = read_capture(**query);
    (*query)->reset();
    return found;
  }

  // Undoes `work` alone when it fails. Inside a transaction.
  Result<void> apart(const std::function<Result<void>()>& work);

  Result<Accepted> accept_known(const NewCapture& capture);
  Result<std::optional<ReadyCapture>> claim_ready(Kind kind, std::string_view owner, WallTime now,
                                                  WallTime lease_until);
  Result<void> tell_targets(CaptureId id, std::int64_t now);
  Result<void> note_late_webhook(Accepted& accepted, bool was_missed, std::int64_t now);
};

}  // namespace responder::journal
