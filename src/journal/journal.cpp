#include "responder/journal/journal.hpp"

#include <array>
#include <map>

#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

#include "schema.hpp"
#include "sqlite.hpp"

namespace responder::journal {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::array<std::pair<State, std::string_view>, 6> state_names{{{State::waiting, "waiting"},
                                                                         {State::capturing, "capturing"},
                                                                         {State::done, "done"},
                                                                         {State::partial, "partial"},
                                                                         {State::failed, "failed"},
                                                                         {State::ignored, "ignored"}}};

// Nothing is put off for longer. What seems to be was written by a clock that was ahead and has been set back.
constexpr std::chrono::hours longest_wait{1};

constexpr std::chrono::milliseconds usual_patience{10'000};  // with other processes at work on the journal

constexpr std::string_view capture_columns =
    "id, alert, camera, camera_name, location, activities, via, received_ms, alert_ms, duration_s, window_start_s, "
    "window_end_s, state, reason, attempts, next_attempt_ms, clip, source, bytes, sha256, gaps, clip_region, "
    "clip_end_s";

std::int64_t to_ms(WallTime time) { return time.time_since_epoch().count(); }
std::int64_t to_s(sys_seconds time) { return time.time_since_epoch().count(); }
std::int64_t to_count(seconds duration) { return duration.count(); }
WallTime from_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

// Gaps as "start-end,start-end" in epoch milliseconds.
std::string encode_gaps(const std::vector<Gap>& gaps) {
  std::vector<std::string> parts;
  for (const auto& gap : gaps) parts.push_back(fmt::format("{}-{}", to_ms(gap.start), to_ms(gap.end)));
  return join(parts, ",");
}

std::vector<Gap> decode_gaps(std::string_view text) {
  std::vector<Gap> gaps;
  for (const auto& part : split(text, ',')) {
    const auto dash = part.find('-');
    const auto start = parse_int(std::string_view(part).substr(0, dash));
    const auto end = dash == std::string::npos ? std::nullopt : parse_int(std::string_view(part).substr(dash + 1));
    if (start && end) gaps.push_back({from_ms(*start), from_ms(*end)});
  }
  return gaps;
}

Capture read_capture(const Statement& row) {
  Capture capture;
  capture.id = row.integer(0);
  capture.alert = AlertId(row.text(1));
  capture.camera = DeviceId(row.text(2));
  capture.camera_name = row.text(3);
  capture.location = LocationId(row.text(4));
  capture.activities = split(row.text(5), ',');
  capture.via = parse_via(row.text(6));
  capture.received_at = from_ms(row.integer(7));
  capture.alert_at = from_ms(row.integer(8));
  capture.duration = seconds(row.integer(9));
  capture.window_start = sys_seconds(seconds(row.integer(10)));
  capture.window_end = sys_seconds(seconds(row.integer(11)));
  capture.state = parse_state(row.text(12)).value_or(State::failed);
  capture.reason = row.text(13);
  capture.attempts = static_cast<int>(row.integer(14));
  if (!row.is_null(15)) capture.next_attempt_at = from_ms(row.integer(15));
  if (!row.is_null(16)) {
    capture.published =
        Published{.clip = row.text(16),
                  .source = row.text(17),
                  .bytes = static_cast<std::uint64_t>(row.integer(18)),
                  .sha256 = row.text(19),
                  .gaps = decode_gaps(row.text(20)),
                  .window_end = row.is_null(22) ? capture.window_end : sys_seconds(seconds(row.integer(22)))};
  }
  capture.clip_region = row.text(21);
  return capture;
}

Result<void> migrate(Database& database) {
  auto transaction = Transaction::begin(database);
  if (!transaction) return transaction.error();
  auto query = database.prepare("PRAGMA user_version");
  if (!query) return query.error();
  if (auto row = query->step(); !row) return row.error();
  const auto version = query->integer(0);
  query->reset();
  if (version > schema_version) {
    return Error{
        ErrorKind::permanent,
        fmt::format(
            "it was written by a newer rhombus-responder (schema {}, this one knows {}): update this program, "
            "or name another journal.path",
            version, schema_version)};
  }
  const auto execute = [&](bool needed, const char* sql) { return needed ? database.execute(sql) : Result<void>{}; };
  if (auto done = execute(version == 1, set_version_1_aside); !done) return done.error();
  if (auto done = execute(version < 2, create_schema); !done) return done.error();
  if (auto done = execute(version == 1, take_over_version_1); !done) return done.error();
  if (auto done = execute(version == 2, from_version_2); !done) return done.error();
  return transaction->commit();
}

// Moves what the write-ahead log holds into the database, by writes and syncs of our own. What a sync that failed has
// left in the log may be in memory alone, and a later sync that succeeds would not say so.
Result<void> settle(Database& database) {
  auto query = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!query) return query.error();
  // It would hold writers up while it waits for readers.
  database.set_patience(std::chrono::milliseconds(0));
  const auto row = query->step();
  database.set_patience(usual_patience);
  if (!row) return row.error();
  const bool busy = query->integer(0) != 0;
  query->reset();
  if (busy) return Error{ErrorKind::transient, "journal: its write-ahead log cannot be settled: somebody reads it"};
  return {};
}

// "ok", or the first thing that is wrong.
Result<std::string> quick_check(Database& database) {
  auto query = database.prepare("PRAGMA quick_check(1)");
  if (!query) return query.error();
  const auto row = query->step();
  if (!row) return row.error();
  auto verdict = query->text(0);
  return verdict.substr(verdict.rfind('\n') + 1);  // below a heading
}

}  // namespace

std::string_view to_string(State state) {
  for (const auto& [value, name] : state_names) {
    if (value == state) return name;
  }
  return "unknown";
}

std::optional<State> parse_state(std::string_view text) {
  for (const auto& [value, name] : state_names) {
    if (name == text) return value;
  }
  return std::nullopt;
}

std::string_view to_string(Via via) {
  switch (via) {
    case Via::webhook: return "webhook";
    case Via::catch_up: return "catch-up";
    case Via::manual: return "manual";
  }
  return "webhook";
}

Via parse_via(std::string_view text) {
  if (text == "catch-up") return Via::catch_up;
  return text == "manual" ? Via::manual : Via::webhook;
}

struct Journal::Impl {
  explicit Impl(Database opened) : database(std::move(opened)) {}

  Database database;
  // Prepared once each, keyed by their text, which are string literals.
  std::map<std::string_view, Statement> statements;
  bool doubtful = false;  // a commit failed: the log is settled before anything is added to it

  Result<Statement*> statement(std::string_view sql) {
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

  Result<Accepted> accept_known(const NewCapture& capture);
  Result<void> note_late_webhook(Accepted& accepted, bool was_missed, std::int64_t now);
};

// The poller was faster than the webhook.
Result<void> Journal::Impl::note_late_webhook(Accepted& accepted, bool was_missed, std::int64_t now) {
  if (was_missed) {
    if (auto here = run("UPDATE captures SET webhook_missed = 0 WHERE id = ?", accepted.id); !here) return here;
  }
  const auto hurried =
      run("UPDATE captures SET via = 'webhook', next_attempt_ms = ?2 "
          "WHERE id = ?1 AND via = 'catch-up' AND state = 'waiting' AND attempts = 0 "
          "AND id NOT IN (SELECT capture FROM ready)",
          accepted.id, now);
  if (hurried) accepted.hurried = database.changes() > 0;
  return hurried;
}

// What the journal knows of the capture already, and what this telling adds.
Result<Accepted> Journal::Impl::accept_known(const NewCapture& capture) {
  auto query = statement("SELECT id, state, duration_s, webhook_missed FROM captures WHERE alert = ? AND camera = ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(capture.alert.str(), capture.camera.str()).step();
  if (!row) return row.error();
  Accepted accepted{.duplicate = true, .id = (*query)->integer(0)};
  const bool was_ignored = (*query)->text(1) == to_string(State::ignored);
  const bool goes_on = capture.duration_is_told && (*query)->integer(2) < to_count(capture.duration);
  const bool was_missed = (*query)->integer(3) != 0;
  (*query)->reset();
  const auto now = to_ms(capture.received_at);

  if (capture.via == Via::webhook) {
    if (auto came = note_late_webhook(accepted, was_missed, now); !came) return came.error();
  }
  if (!capture.ignored_reason.empty()) return accepted;
  if (was_ignored) {
    accepted.duplicate = false;
    const auto revived = run(
        "UPDATE captures SET state = 'waiting', reason = '', finished_ms = NULL, next_attempt_ms = ?2, alert_ms = "
        "?3, "
        "duration_s = ?4, window_start_s = ?5, window_end_s = ?6, activities = ?7, location = ?8, clip_region = ?9 "
        "WHERE id = ?1",
        accepted.id, now, to_ms(capture.alert_at), to_count(capture.duration), to_s(capture.window_start),
        to_s(capture.window_end), join(capture.activities, ","), capture.location.str(), capture.clip_region);
    if (!revived) return revived.error();
    return accepted;
  }
  if (!goes_on) return accepted;
  // The alert went on: its window grows, and what was finished is work again.
  const auto grown =
      run("UPDATE captures SET window_end_s = window_end_s + (?2 - duration_s), duration_s = ?2, "
          "next_attempt_ms = CASE state WHEN 'capturing' THEN NULL ELSE ?3 END, "
          "finished_ms = NULL, state = CASE state WHEN 'capturing' THEN state ELSE 'waiting' END WHERE id = ?1",
          accepted.id, to_count(capture.duration), now);
  if (!grown) return grown.error();
  accepted.grew = true;
  return accepted;
}

Journal::Journal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Journal::~Journal() = default;
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;

Result<Journal> Journal::open(const std::filesystem::path& path, Mode mode) {
  const bool writes = mode == Mode::read_write;
  if (writes && path.has_parent_path()) {
    if (auto made = make_directories(path.parent_path()); !made) return made.error();
  }
  // A reader of a WAL database needs to write its shared-memory file, so both modes open it alike.
  auto database = Database::open(path, SQLITE_OPEN_READWRITE | (writes ? SQLITE_OPEN_CREATE : 0));
  if (!database) return database.error();
  database->set_patience(usual_patience);
  // FULL: in WAL mode anything less does not sync each commit, and a 200 must mean "on disk".
  constexpr const char* set_up =
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = "
      "-8192;";
  if (auto done = database->execute(set_up); !done) {
    return with_context(done.error(), fmt::format("cannot use {}", path.string()));
  }
  if (auto migrated = migrate(*database); !migrated)
    return with_context(migrated.error(), fmt::format("cannot use {}", path.string()));
  // The process that wrote last may have died of a sync that failed. With somebody else at work on it, that somebody
  // has seen to it.
  if (writes) {
    const auto settled = settle(*database);
    if (!settled && settled.error().kind != ErrorKind::transient)
      return with_context(settled.error(), fmt::format("cannot use {}", path.string()));
  }
  return Journal(std::make_unique<Impl>(std::move(*database)));
}

Result<Journal> Journal::in_memory() {
  auto database = Database::open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!database) return database.error();
  if (auto migrated = migrate(*database); !migrated) return migrated.error();
  return Journal(std::make_unique<Impl>(std::move(*database)));
}

Result<void> Journal::check() {
  const auto verdict = quick_check(impl_->database);
  if (!verdict) return verdict.error();
  if (*verdict != "ok") return impl_->database.damage(*verdict);
  return {};
}

Result<bool> Journal::is_damaged(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return false;
  auto database = Database::open(path, SQLITE_OPEN_READWRITE);
  const auto verdict = database ? quick_check(*database) : Result<std::string>(database.error());
  if (verdict) return *verdict != "ok";
  if (verdict.error().kind == ErrorKind::permanent) return true;
  return verdict.error();
}

Result<void> Journal::transaction(const std::function<Result<void>()>& work) {
  if (impl_->doubtful) {
    if (auto settled = settle(impl_->database); !settled) return settled;
    impl_->doubtful = false;
  }
  auto transaction = Transaction::begin(impl_->database);
  if (!transaction) return transaction.error();
  if (auto done = work(); !done) return done.error();
  auto committed = transaction->commit();
  impl_->doubtful = !committed;
  return committed;
}

Result<Accepted> Journal::accept(const NewCapture& capture) {
  const bool ignored = !capture.ignored_reason.empty();
  const std::optional<std::int64_t> now = to_ms(capture.received_at);
  // What is caught up is worked on in the order of its alerts: the oldest is the next to be lost.
  const bool live = capture.via == Via::webhook;
  const std::optional<std::int64_t> due = live ? *now : std::min(*now, to_ms(capture.alert_at));
  const auto inserted = impl_->run(
      "INSERT INTO captures (alert, camera, location, activities, via, received_ms, alert_ms, duration_s, "
      "window_start_s, window_end_s, state, reason, next_attempt_ms, finished_ms, clip_region, webhook_missed) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (alert, camera) DO NOTHING",
      capture.alert.str(), capture.camera.str(), capture.location.str(), join(capture.activities, ","),
      to_string(capture.via), *now, to_ms(capture.alert_at), to_count(capture.duration), to_s(capture.window_start),
      to_s(capture.window_end), to_string(ignored ? State::ignored : State::waiting), capture.ignored_reason,
      ignored ? std::nullopt : due, ignored ? now : std::nullopt, capture.clip_region,
      std::int64_t{capture.webhook_missed ? 1 : 0});
  if (!inserted) return inserted.error();
  if (impl_->database.changes() > 0) return Accepted{.id = impl_->database.last_id()};
  return impl_->accept_known(capture);
}

Result<void> Journal::grow(CaptureId id, seconds duration) {
  return impl_->run(
      "UPDATE captures SET window_end_s = window_end_s + (?2 - duration_s), duration_s = ?2 "
      "WHERE id = ?1 AND duration_s < ?2",
      id, static_cast<std::int64_t>(duration.count()));
}

Result<std::vector<Due>> Journal::due(WallTime now, std::size_t limit) {
  auto query = impl_->statement(
      "SELECT id, via = 'webhook' FROM captures WHERE state = 'capturing' AND lease_until_ms < ?1 "
      "AND id NOT IN (SELECT capture FROM ready) "
      "UNION ALL SELECT * FROM (SELECT id, 1 FROM captures WHERE via = 'webhook' AND next_attempt_ms <= ?1 "
      "AND id NOT IN (SELECT capture FROM ready) ORDER BY next_attempt_ms LIMIT ?2) "
      "UNION ALL SELECT * FROM (SELECT id, 0 FROM captures WHERE via IN ('catch-up', 'manual') "
      "AND next_attempt_ms <= ?1 AND id NOT IN (SELECT capture FROM ready) ORDER BY next_attempt_ms LIMIT ?2) "
      "UNION ALL SELECT * FROM (SELECT id, via = 'webhook' FROM captures WHERE via IN ('webhook', 'catch-up', "
      "'manual') "
      "AND next_attempt_ms > ?3 AND id NOT IN (SELECT capture FROM ready) LIMIT ?2)");
  if (!query) return query.error();
  std::vector<Due> due;
  (*query)->bind(to_ms(now), static_cast<std::int64_t>(limit), to_ms(now + longest_wait));
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return due;
    due.push_back({(*query)->integer(0), (*query)->integer(1) != 0});
  }
}

Result<std::optional<Capture>> Journal::claim(CaptureId id, std::string_view owner, WallTime now,
                                              WallTime lease_until) {
  static const std::string sql = fmt::format(
      "UPDATE captures SET state = 'capturing', lease_owner = ?2, lease_until_ms = ?3, next_attempt_ms = NULL, "
      "finished_ms = NULL WHERE id = ?1 AND (next_attempt_ms <= ?4 OR next_attempt_ms > ?5 OR "
      "(state = 'capturing' AND lease_until_ms < ?4)) AND id NOT IN (SELECT capture FROM ready) RETURNING {}",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  auto row = (*query)->bind(id, owner, to_ms(lease_until), to_ms(now), to_ms(now + longest_wait)).step();
  if (!row) return row.error();
  std::optional<Capture> claimed;
  if (*row) {
    claimed = read_capture(**query);
    if (auto rest = (*query)->run(); !rest) return rest.error();
  }
  return claimed;
}

Result<void> Journal::release_leases(WallTime now) {
  return impl_->run(
      "UPDATE captures SET state = CASE WHEN clip IS NULL OR id IN (SELECT capture FROM ready) THEN 'waiting' "
      "ELSE 'partial' END, "
      "finished_ms = CASE WHEN clip IS NULL OR id IN (SELECT capture FROM ready) THEN NULL ELSE ?1 END, "
      "next_attempt_ms = min(?1, CASE via WHEN 'webhook' THEN ?1 ELSE alert_ms END), lease_owner = NULL, "
      "lease_until_ms = NULL WHERE state = 'capturing'",
      to_ms(now));
}

Result<void> Journal::renew_leases(std::string_view owner, WallTime lease_until) {
  return impl_->run("UPDATE captures SET lease_until_ms = ?2 WHERE state = 'capturing' AND lease_owner = ?1", owner,
                    to_ms(lease_until));
}

Result<std::vector<CaptureId>> Journal::open_ids() {
  return impl_->ids(
      "SELECT id FROM captures WHERE next_attempt_ms IS NOT NULL UNION ALL "
      "SELECT id FROM captures WHERE state = 'capturing'");
}

Result<void> Journal::forget_clip(CaptureId id) {
  return impl_->run(
      "UPDATE captures SET clip = NULL, source = NULL, bytes = NULL, sha256 = NULL, gaps = '', clip_end_s = NULL "
      "WHERE id = ? AND state = 'waiting'",
      id);
}

Result<void> Journal::revive_future(WallTime until, WallTime now) {
  static const std::string sql = fmt::format(
      "UPDATE captures SET state = 'waiting', reason = '', finished_ms = NULL, next_attempt_ms = ?2 "
      "WHERE state = 'ignored' AND reason = '{}' AND alert_ms <= ?1",
      future_reason);
  return impl_->run(sql, to_ms(until), to_ms(now));
}

Result<std::optional<sys_seconds>> Journal::window_end(CaptureId id) {
  auto query = impl_->statement("SELECT window_end_s FROM captures WHERE id = ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(id).step();
  if (!row) return row.error();
  std::optional<sys_seconds> end;
  if (*row) end = sys_seconds(seconds((*query)->integer(0)));
  (*query)->reset();
  return end;
}

Result<void> Journal::finish(CaptureId id, std::string_view owner, const Outcome& outcome, WallTime now) {
  std::optional<std::string_view> source, clip, sha256;
  std::optional<std::int64_t> bytes;
  std::optional<std::string> gaps;
  std::optional<std::int64_t> clip_end;
  if (const auto& published = outcome.published) {
    source = published->source;
    clip = published->clip;
    sha256 = published->sha256;
    bytes = static_cast<std::int64_t>(published->bytes);
    gaps = encode_gaps(published->gaps);
    clip_end = to_s(published->window_end);
  }
  std::optional<std::int64_t> next;
  if (outcome.next_attempt_at) next = to_ms(*outcome.next_attempt_at);
  // What a clip of another name replaces is to be removed, whatever happens after this commit.
  const auto replaced = impl_->run(
      "INSERT OR IGNORE INTO leftovers SELECT clip FROM captures "
      "WHERE id = ? AND state = 'capturing' AND lease_owner = ? AND clip <> ?",
      id, owner, clip);
  if (!replaced) return replaced;
  const auto finished = impl_->run(
      "UPDATE captures SET reason = ?4, camera_name = CASE ?5 WHEN '' THEN camera_name ELSE ?5 END, "
      "source = coalesce(?6, source), clip = coalesce(?7, clip), sha256 = coalesce(?8, sha256), "
      "bytes = coalesce(?9, bytes), gaps = coalesce(?10, gaps), clip_end_s = coalesce(?14, clip_end_s), attempts = "
      "attempts + 1, lease_owner = NULL, "
      "lease_until_ms = NULL, "
      "state = CASE WHEN window_end_s > ?13 THEN 'waiting' ELSE ?3 END, "
      "next_attempt_ms = CASE WHEN window_end_s > ?13 THEN ?12 ELSE ?11 END, "
      "finished_ms = CASE WHEN window_end_s > ?13 THEN NULL ELSE ?12 END "
      "WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, to_string(outcome.state), outcome.reason, outcome.camera_name, source, clip, sha256, bytes, gaps,
      next, to_ms(now), to_s(outcome.window_end), clip_end);
  if (!finished || impl_->database.changes() == 0) return finished;
  if (auto kept = impl_->run("DELETE FROM leftovers WHERE clip = ?", clip); !kept) return kept;
  return impl_->run("DELETE FROM ready WHERE capture = ?", id);
}

Result<void> Journal::postpone(CaptureId id, std::string_view owner, std::string_view reason,
                               WallTime next_attempt_at, bool count_attempt, WallTime now) {
  return impl_->run(
      "UPDATE captures SET state = CASE WHEN clip IS NULL THEN 'waiting' ELSE 'partial' END, "
      "finished_ms = CASE WHEN clip IS NULL THEN NULL ELSE ?6 END, reason = ?3, next_attempt_ms = ?4, "
      "attempts = attempts + ?5, lease_owner = NULL, lease_until_ms = NULL "
      "WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, reason, to_ms(next_attempt_at), std::int64_t{count_attempt ? 1 : 0}, to_ms(now));
}

Result<void> Journal::ready(CaptureId id, std::string_view owner, const ReadyClip& clip, WallTime now) {
  const auto waits = impl_->run(
      "UPDATE captures SET state = 'waiting', next_attempt_ms = ?3, lease_owner = NULL, lease_until_ms = NULL, "
      "camera_name = ?4 WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, to_ms(now), clip.camera_name);
  if (!waits || impl_->database.changes() == 0) return waits;
  std::optional<std::int64_t> next;
  if (clip.next_attempt_at) next = to_ms(*clip.next_attempt_at);
  return impl_->run(
      "INSERT INTO ready (capture, state, reason, camera_name, source, gaps, has_audio, window_end_s, "
      "next_attempt_ms, sidecar, starts_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      id, to_string(clip.state), clip.reason, clip.camera_name, clip.source, encode_gaps(clip.gaps),
      std::int64_t{clip.has_audio ? 1 : 0}, to_s(clip.window_end), next, clip.sidecar, to_ms(clip.starts_at));
}

Result<std::optional<ReadyCapture>> Journal::claim_ready(std::string_view owner, WallTime now, WallTime lease_until) {
  auto query = impl_->statement(
      "SELECT r.capture, r.state, r.reason, r.camera_name, r.source, r.gaps, r.has_audio, r.window_end_s, "
      "r.next_attempt_ms, r.sidecar, r.starts_ms FROM ready r JOIN captures c ON c.id = r.capture "
      "WHERE c.next_attempt_ms <= ?1 OR c.lease_until_ms < ?1 ORDER BY r.capture LIMIT 1");
  if (!query) return query.error();
  const auto row = (*query)->bind(to_ms(now)).step();
  if (!row) return row.error();
  if (!*row) return std::optional<ReadyCapture>{};
  const auto id = (*query)->integer(0);
  ReadyClip clip;
  clip.state = parse_state((*query)->text(1)).value_or(State::partial);
  clip.reason = (*query)->text(2);
  clip.camera_name = (*query)->text(3);
  clip.source = (*query)->text(4);
  clip.gaps = decode_gaps((*query)->text(5));
  clip.has_audio = (*query)->integer(6) != 0;
  clip.window_end = sys_seconds(seconds((*query)->integer(7)));
  if (!(*query)->is_null(8)) clip.next_attempt_at = from_ms((*query)->integer(8));
  clip.sidecar = (*query)->text(9);
  clip.starts_at = from_ms((*query)->integer(10));
  (*query)->reset();

  static const std::string sql = fmt::format(
      "UPDATE captures SET state = 'capturing', lease_owner = ?2, lease_until_ms = ?3, next_attempt_ms = NULL, "
      "finished_ms = NULL WHERE id = ?1 RETURNING {}",
      capture_columns);
  auto claim = impl_->statement(sql);
  if (!claim) return claim.error();
  const auto claimed = (*claim)->bind(id, owner, to_ms(lease_until)).step();
  if (!claimed) return claimed.error();
  ReadyCapture ready{read_capture(**claim), std::move(clip)};
  if (auto rest = (*claim)->run(); !rest) return rest.error();
  return std::optional(std::move(ready));
}

Result<void> Journal::return_ready(CaptureId id, std::string_view owner, std::string_view reason, bool clip_is_lost,
                                   WallTime next_at) {
  const auto returned = impl_->run(
      "UPDATE captures SET state = 'waiting', reason = ?3, next_attempt_ms = ?4, lease_owner = NULL, "
      "lease_until_ms = NULL WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, reason, to_ms(next_at));
  if (!returned || impl_->database.changes() == 0 || !clip_is_lost) return returned;
  return impl_->run("DELETE FROM ready WHERE capture = ?", id);
}

Result<std::vector<CaptureId>> Journal::ready_ids() { return impl_->ids("SELECT capture FROM ready"); }

Result<void> Journal::explain_ready(std::string_view reason) {
  return impl_->run(
      "UPDATE captures SET reason = ?1 WHERE id IN (SELECT capture FROM ready) AND state <> 'capturing' AND reason "
      "<> ?1",
      reason);
}

Result<std::int64_t> Journal::retry(const AlertId& alert, WallTime now) {
  const auto done = impl_->run(
      "UPDATE captures SET state = 'waiting', next_attempt_ms = ?2, attempts = 0, finished_ms = NULL "
      "WHERE alert = ?1 AND state IN ('waiting', 'done', 'partial', 'failed')",
      alert.str(), to_ms(now));
  if (!done) return done.error();
  return impl_->database.changes();
}

Result<std::int64_t> Journal::retry_failed(WallTime now) {
  const auto done = impl_->run(
      "UPDATE captures SET state = 'waiting', next_attempt_ms = ?1, attempts = 0, finished_ms = NULL "
      "WHERE state = 'failed' OR (state = 'partial' AND next_attempt_ms IS NULL)",
      to_ms(now));
  if (!done) return done.error();
  return impl_->database.changes();
}

Result<void> Journal::each(const Filter& filter, const std::function<void(const Capture&)>& visit) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR received_ms >= ?2) "
      "AND (?4 IS NULL OR alert = ?4) ORDER BY id DESC LIMIT ?3",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  std::optional<std::string_view> state;
  if (filter.state) state = to_string(*filter.state);
  std::optional<std::int64_t> after;
  if (filter.after) after = to_ms(*filter.after);
  std::optional<std::string_view> alert;
  if (filter.alert) alert = filter.alert->str();
  (*query)->bind(state, after, static_cast<std::int64_t>(filter.limit), alert);
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return {};
    visit(read_capture(**query));
  }
}

Result<std::optional<Capture>> Journal::find(CaptureId id) {
  static const std::string sql = fmt::format("SELECT {} FROM captures WHERE id = ?", capture_columns);
  return impl_->one(sql, id);
}

Result<std::optional<Capture>> Journal::find(const AlertId& alert, const DeviceId& camera) {
  static const std::string sql =
      fmt::format("SELECT {} FROM captures WHERE alert = ? AND camera = ?", capture_columns);
  return impl_->one(sql, alert.str(), camera.str());
}

Result<MissedWebhooks> Journal::missed_webhooks(WallTime from, WallTime to) {
  auto query = impl_->statement(
      "SELECT count(*), min(alert_ms) FROM captures WHERE webhook_missed = 1 AND alert_ms BETWEEN ? AND ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(to_ms(from), to_ms(to)).step();
  if (!row) return row.error();
  MissedWebhooks missed{.count = static_cast<std::uint64_t>((*query)->integer(0)), .first = {}};
  if (missed.count > 0) missed.first = from_ms((*query)->integer(1));
  (*query)->reset();
  return missed;
}

Result<std::optional<WallTime>> Journal::last_webhook_alert() {
  auto query = impl_->statement("SELECT alert_ms FROM captures WHERE via = 'webhook' ORDER BY id DESC LIMIT 1");
  if (!query) return query.error();
  (*query)->bind();
  const auto row = (*query)->step();
  if (!row) return row.error();
  std::optional<WallTime> at;
  if (*row) at = from_ms((*query)->integer(0));
  (*query)->reset();
  return at;
}

Result<std::vector<std::string>> Journal::leftovers() {
  auto query = impl_->statement("SELECT clip FROM leftovers");
  if (!query) return query.error();
  std::vector<std::string> clips;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return clips;
    clips.push_back((*query)->text(0));
  }
}

Result<void> Journal::forget_leftover(std::string_view clip) {
  return impl_->run("DELETE FROM leftovers WHERE clip = ?", clip);
}

Result<bool> Journal::restore(const KnownClip& known) {
  const auto& capture = known.capture;
  const auto& clip = known.published;
  const bool goes_on = known.state == State::partial && !known.final;
  const auto now = to_ms(capture.received_at);
  const auto restored = impl_->run(
      "INSERT INTO captures (alert, camera, camera_name, location, activities, via, received_ms, alert_ms, "
      "duration_s, "
      "window_start_s, window_end_s, state, reason, attempts, next_attempt_ms, finished_ms, source, clip, bytes, "
      "sha256, gaps, clip_end_s) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,?,?,?,?,?,?,?) "
      "ON CONFLICT (alert, camera) DO NOTHING",
      capture.alert.str(), capture.camera.str(), known.camera_name, capture.location.str(),
      join(capture.activities, ","), to_string(capture.via), now, to_ms(capture.alert_at), to_count(capture.duration),
      to_s(capture.window_start), to_s(capture.window_end), to_string(known.state), known.reason,
      goes_on ? std::optional(now) : std::nullopt, now, clip.source, clip.clip, static_cast<std::int64_t>(clip.bytes),
      clip.sha256, encode_gaps(clip.gaps), to_s(clip.window_end));
  if (!restored) return restored.error();
  return impl_->database.changes() > 0;
}

Result<Counts> Journal::counts() {
  auto query = impl_->statement(
      "SELECT state, count(*), min(CASE WHEN state = 'waiting' THEN received_ms END) FROM captures GROUP BY state");
  if (!query) return query.error();
  Counts counts;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return counts;
    const auto count = static_cast<std::uint64_t>((*query)->integer(1));
    switch (parse_state((*query)->text(0)).value_or(State::failed)) {
      case State::waiting:
        counts.waiting = count;
        counts.oldest_waiting = from_ms((*query)->integer(2));
        break;
      case State::capturing: counts.capturing = count; break;
      case State::done: counts.done = count; break;
      case State::partial: counts.partial = count; break;
      case State::failed: counts.failed = count; break;
      case State::ignored: counts.ignored = count; break;
    }
  }
}

Result<std::optional<std::string>> Journal::pin(const DeviceId& device) {
  auto query = impl_->statement("SELECT key_sha256 FROM pins WHERE device = ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(device.str()).step();
  if (!row) return row.error();
  std::optional<std::string> key;
  if (*row) key = (*query)->text(0);
  (*query)->reset();
  return key;
}

Result<void> Journal::set_pin(const DeviceId& device, std::string_view key_sha256, WallTime now) {
  return impl_->run(
      "INSERT INTO pins (device, key_sha256, first_seen_ms) VALUES (?,?,?) ON CONFLICT (device) DO NOTHING",
      device.str(), key_sha256, to_ms(now));
}

Result<std::vector<Pin>> Journal::pins() {
  auto query = impl_->statement("SELECT device, key_sha256, first_seen_ms FROM pins ORDER BY first_seen_ms");
  if (!query) return query.error();
  std::vector<Pin> pins;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return pins;
    pins.push_back({DeviceId((*query)->text(0)), (*query)->text(1), from_ms((*query)->integer(2))});
  }
}

Result<bool> Journal::forget_pin(const DeviceId& device) {
  const auto removed = impl_->run("DELETE FROM pins WHERE device = ?", device.str());
  if (!removed) return removed.error();
  return impl_->database.changes() > 0;
}

Result<std::vector<OpenWindow>> Journal::open_windows() {
  auto query = impl_->statement(
      "SELECT camera, window_start_s, window_end_s FROM captures WHERE next_attempt_ms IS NOT NULL "
      "AND id NOT IN (SELECT capture FROM ready) "
      "UNION ALL SELECT camera, window_start_s, window_end_s FROM captures WHERE state = 'capturing'");
  if (!query) return query.error();
  std::vector<OpenWindow> windows;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return windows;
    windows.push_back({DeviceId((*query)->text(0)), sys_seconds(seconds((*query)->integer(1))),
                       sys_seconds(seconds((*query)->integer(2)))});
  }
}

Result<std::optional<std::string>> Journal::fact(std::string_view name) {
  auto query = impl_->statement("SELECT value FROM facts WHERE name = ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(name).step();
  if (!row) return row.error();
  std::optional<std::string> value;
  if (*row) value = (*query)->text(0);
  (*query)->reset();
  return value;
}

Result<void> Journal::set_fact(std::string_view name, std::string_view value) {
  return impl_->run(
      "INSERT INTO facts (name, value) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name,
      value);
}

}  // namespace responder::journal
