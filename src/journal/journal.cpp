#include "responder/journal/journal.hpp"

#include <array>

#include <fmt/format.h>

#include "responder/base/clock.hpp"
#include "responder/base/file.hpp"

#include "journal_impl.hpp"
#include "schema.hpp"

namespace responder::journal {
namespace {

constexpr std::array<std::pair<State, std::string_view>, 6> state_names{{{State::waiting, "waiting"},
                                                                         {State::capturing, "capturing"},
                                                                         {State::done, "done"},
                                                                         {State::partial, "partial"},
                                                                         {State::failed, "failed"},
                                                                         {State::ignored, "ignored"}}};

Result<std::int64_t> version_of(Database& database) {
  auto query = database.prepare("PRAGMA user_version");
  if (!query) return query.error();
  if (auto row = query->step(); !row) return row.error();
  return query->integer(0);
}

// Who only looks leaves a journal as it is.
Result<void> check_version(Database& database) {
  const auto found = version_of(database);
  if (!found) return found.error();
  if (*found == schema_version) return {};
  if (*found == 0) return Error{ErrorKind::permanent, "it is no journal yet: serve and catch-up make it one"};
  return Error{ErrorKind::permanent,
               fmt::format("the journal has version {}, this program knows {}: use the program that serve runs",
                           *found, schema_version)};
}

Result<void> migrate(Database& database) {
  const auto found = version_of(database);
  if (!found) return found.error();
  if (*found == schema_version) return {};
  auto transaction = Transaction::begin(database);
  if (!transaction) return transaction.error();
  // Again: another process may have been faster.
  const auto now = version_of(database);
  if (!now) return now.error();
  const auto version = *now;
  if (version > schema_version) {
    return Error{
        ErrorKind::permanent,
        fmt::format(
            "it was written by a newer rhombus-responder (schema {}, this one knows {}): update this program, "
            "or name another journal.path",
            version, schema_version)};
  }
  if (version == schema_version) return {};
  const auto execute = [&](bool needed, const char* sql) { return needed ? database.execute(sql) : Result<void>{}; };
  if (auto done = execute(version == 1, set_version_1_aside); !done) return done.error();
  if (auto done = execute(version < 2, create_schema); !done) return done.error();
  if (auto done = execute(version == 1, take_over_version_1); !done) return done.error();
  if (auto done = execute(version == 2, from_version_2); !done) return done.error();
  if (auto done = execute(version == 2 || version == 3, from_version_3); !done) return done.error();
  if (auto done = database.execute(from_version_4); !done) return done.error();
  return transaction->commit();
}

// To become a write-ahead log's, a database that is new is locked twice, and SQLite does not wait for the second
// lock: processes that begin at once in a new place would not all get it. Where there can be no such log SQLite goes
// on without (has_write_ahead_log).
Result<void> use_write_ahead_log(Database& database) {
  constexpr std::chrono::milliseconds interval{10};
  SystemClock clock;
  const auto until = clock.steady_now() + Journal::usual_patience;
  while (true) {
    auto done = database.execute("PRAGMA journal_mode = WAL;");
    const bool is_taken = !done && done.error().kind == ErrorKind::transient;
    if (!is_taken || clock.steady_now() >= until) return done;
    clock.sleep(interval, {});
  }
}

// Moves what the write-ahead log holds into the database, by writes and syncs of our own. What a sync that failed has
// left in the log may be in memory alone, and a later sync that succeeds would not say so.
Result<void> settle(Database& database) {
  auto query = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!query) return query.error();
  // It would hold writers up while it waits for readers.
  const auto patience = database.set_patience(std::chrono::milliseconds(0));
  const auto row = query->step();
  database.set_patience(patience);
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

std::string_view to_string(Damage damage) {
  switch (damage) {
    case Damage::none: return "";
    case Damage::damaged: return "damaged";
    case Damage::missing: return "missing";
  }
  return "";
}

std::string_view to_string(PresenceState presence) {
  switch (presence) {
    case PresenceState::not_told: return "";
    case PresenceState::pending: return "pending";
    case PresenceState::confirmed: return "confirmed";
    case PresenceState::unknown: return "unknown";
    case PresenceState::off: return "off";
  }
  return "";
}

PresenceState parse_presence(std::string_view text) {
  for (const auto one :
       {PresenceState::pending, PresenceState::confirmed, PresenceState::unknown, PresenceState::off}) {
    if (to_string(one) == text) return one;
  }
  return PresenceState::not_told;
}

std::string_view to_string(GapReason reason) { return reason == GapReason::placeholder ? "placeholder" : "missing"; }

std::string_view to_string(Kind kind) { return kind == Kind::range ? "range" : "alert"; }

Via parse_via(std::string_view text) {
  if (text == "catch-up") return Via::catch_up;
  return text == "manual" ? Via::manual : Via::webhook;
}

Journal::Journal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Journal::~Journal() = default;
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;

namespace {

// FULL: in WAL mode anything less does not sync each commit, and a 200 must mean "on disk".
const std::string set_up_to_write =
    fmt::format("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = {};",
                Journal::usual_log_bytes);
constexpr const char* set_up = "PRAGMA cache_size = -8192;";

Result<Database> open_to_write(const std::filesystem::path& path, bool settles) {
  if (path.has_parent_path()) {
    if (auto made = make_directories(path.parent_path()); !made) return made.error();
  }
  auto database = Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!database) return database;
  database->set_patience(Journal::usual_patience);
  auto usable = use_write_ahead_log(*database);
  if (usable) usable = database->execute(set_up);
  if (usable) usable = database->execute(set_up_to_write.c_str());
  // A journal that a serve of another version works on stays as it is.
  const auto version = usable && !settles ? version_of(*database) : Result<std::int64_t>(std::int64_t{0});
  if (usable) usable = version && *version != 0 ? check_version(*database) : migrate(*database);
  if (!usable) return with_context(usable.error(), fmt::format("cannot use {}", path.string()));
  // The process that wrote last may have died of a sync that failed. With somebody else at work on it, that somebody
  // has seen to it.
  if (!settles) return database;
  const auto settled = settle(*database);
  if (!settled && settled.error().kind != ErrorKind::transient)
    return with_context(settled.error(), fmt::format("cannot use {}", path.string()));
  return database;
}

Result<Database> open_to_read(const std::filesystem::path& path) {
  auto database = Database::open_to_read(path);
  if (!database) return database;
  database->set_patience(Journal::usual_patience);
  auto usable = database->execute(set_up);
  if (usable) usable = check_version(*database);
  if (!usable) return with_context(usable.error(), fmt::format("cannot use {}", path.string()));
  return database;
}

}  // namespace

Result<Journal> Journal::open(const std::filesystem::path& path, Mode mode) {
  auto database = mode == Mode::read_only ? open_to_read(path) : open_to_write(path, mode == Mode::read_write);
  if (!database) return database.error();
  return Journal(std::make_unique<Impl>(std::move(*database), path));
}

Result<void> Journal::Impl::stay_current() {
  if (!database.must_be_reopened()) return {};
  auto again = open_to_read(path);
  if (!again) return again.error();
  statements.clear();
  database = std::move(*again);
  return {};
}

Result<Journal> Journal::in_memory() {
  auto database = Database::open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (!database) return database.error();
  if (auto migrated = migrate(*database); !migrated) return migrated.error();
  return Journal(std::make_unique<Impl>(std::move(*database), std::filesystem::path()));
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

Result<bool> Journal::has_write_ahead_log() {
  if (impl_->database.is_unattended()) return true;  // only such a one is read without locks
  auto query = impl_->statement("PRAGMA journal_mode");
  if (!query) return query.error();
  (*query)->bind();
  const auto row = (*query)->step();
  if (!row) return row.error();
  const bool has = (*query)->text(0) == "wal";
  (*query)->reset();
  return has;
}

std::uint64_t Journal::log_bytes() const {
  if (impl_->path.empty()) return 0;
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(impl_->path.string() + "-wal", failed);
  return failed ? 0 : bytes;
}

Result<void> Journal::settle() { return journal::settle(impl_->database); }

void Journal::set_patience(std::chrono::milliseconds longest) { impl_->database.set_patience(longest); }

Result<void> Journal::transaction(const std::function<Result<void>()>& work) {
  if (impl_->doubtful) {
    if (auto settled = settle(); !settled) return settled;
    impl_->doubtful = false;
  }
  auto transaction = Transaction::begin(impl_->database);
  if (!transaction) return transaction.error();
  if (auto done = work(); !done) return done.error();
  auto committed = transaction->commit();
  impl_->doubtful = !committed;
  return committed;
}

Result<std::vector<Result<void>>> Journal::commit_each(std::size_t count,
                                                       const std::function<Result<void>(std::size_t)>& change) {
  std::vector<Result<void>> each(count);
  bool one_failed = false;
  const auto together = transaction([&]() -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      each[i] = change(i);
      one_failed = !each[i];
      if (one_failed) return each[i];
    }
    return {};
  });
  if (!together && !one_failed) return together.error();
  if (together || count == 1) return each;
  // Seldom, and so not made ready for each time: again, in such a way that each can be undone alone.
  const auto apart = transaction([&]() -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      each[i] = impl_->apart([&] { return change(i); });
      // SQLite has undone all of it: the disk is full, say.
      if (!each[i] && !impl_->database.in_transaction()) return each[i];
    }
    return {};
  });
  if (!apart) return apart.error();
  return each;
}

Result<void> Journal::Impl::apart(const std::function<Result<void>()>& work) {
  if (auto begun = run("SAVEPOINT apart"); !begun) return begun;
  auto done = work();
  if (!done) {
    // Where that fails, half of the change is left: no transaction may commit it.
    if (auto undone = run("ROLLBACK TO apart"); !undone) {
      [[maybe_unused]] const auto ended = run("ROLLBACK");
      return done;
    }
  }
  if (auto released = run("RELEASE apart"); !released && done) return released;
  return done;
}

Result<void> Journal::snapshot(const std::function<Result<void>()>& work) {
  if (auto current = impl_->stay_current(); !current) return current;
  auto transaction = Transaction::begin(impl_->database, Transaction::Purpose::read);
  if (!transaction) return transaction.error();
  if (auto done = work(); !done) return done.error();
  return transaction->commit();
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

Result<std::string> Journal::settle_fact(std::string_view name, std::string_view value) {
  auto written =
      impl_->run("INSERT INTO facts (name, value) VALUES (?,?) ON CONFLICT (name) DO NOTHING", name, value);
  if (!written) return written.error();
  const auto settled = fact(name);
  if (!settled) return settled.error();
  return settled->value_or(std::string(value));
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

}  // namespace responder::journal
