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

constexpr std::chrono::milliseconds usual_patience{10'000};  // with other processes at work on the journal

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
  if (auto done = execute(version == 2 || version == 3, from_version_3); !done) return done.error();
  return transaction->commit();
}

// To become a write-ahead log's, a database that is new is locked twice, and SQLite does not wait for the second
// lock: processes that begin at once in a new place would not all get it.
Result<void> use_write_ahead_log(Database& database) {
  constexpr std::chrono::milliseconds interval{10};
  SystemClock clock;
  const auto until = clock.steady_now() + usual_patience;
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

std::string_view to_string(Damage damage) {
  switch (damage) {
    case Damage::none: return "";
    case Damage::damaged: return "damaged";
    case Damage::missing: return "missing";
  }
  return "";
}

std::string_view to_string(Kind kind) { return kind == Kind::range ? "range" : "alert"; }

Via parse_via(std::string_view text) {
  if (text == "catch-up") return Via::catch_up;
  return text == "manual" ? Via::manual : Via::webhook;
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
      "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -8192;";
  auto usable = use_write_ahead_log(*database);
  if (usable) usable = database->execute(set_up);
  if (!usable) return with_context(usable.error(), fmt::format("cannot use {}", path.string()));
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

Result<void> Journal::snapshot(const std::function<Result<void>()>& work) {
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
