#include "sqlite.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/clock.hpp"

namespace responder::journal {
namespace {

// What a reader without rights to write may meet while somebody writes, and does not meet again a moment later.
bool is_momentary(int code) {
  return code == SQLITE_READONLY_RECOVERY || code == SQLITE_READONLY_CANTLOCK || code == SQLITE_READONLY_CANTINIT ||
         code == SQLITE_PROTOCOL;
}

// As a file name of SQLite's URIs.
std::string uri_of(const std::filesystem::path& path) {
  std::string uri = "file:";
  for (const char c : std::filesystem::absolute(path).string()) {
    const bool has_meaning = c == '%' || c == '?' || c == '#';
    uri += has_meaning ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return uri;
}

}  // namespace

Error damaged(sqlite3* database, std::string_view detail) {
  const char* path = database != nullptr ? sqlite3_db_filename(database, "main") : nullptr;
  return {ErrorKind::permanent,
          fmt::format("journal.path: {} is damaged ({}): stop serve, then make it anew from the archive with "
                      "rhombus-responder rebuild-journal",
                      path != nullptr ? path : "the journal", detail)};
}

Error sqlite_error(sqlite3* database, int code) {
  ErrorKind kind = ErrorKind::permanent;
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT: kind = ErrorKind::transient; break;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY: kind = ErrorKind::no_space; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return damaged(database, sqlite3_errstr(code));
    default: break;
  }
  const char* detail = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  return Error{kind, fmt::format("journal: {}", detail)};
}

int Statement::step_patiently() {
  constexpr int most = 1000;
  constexpr std::chrono::milliseconds pause{1};
  int code = sqlite3_step(statement_.get());
  for (int i = 0; i < most && !has_row_ && is_momentary(code); ++i) {
    SystemClock().sleep(pause, {});
    sqlite3_reset(statement_.get());
    code = sqlite3_step(statement_.get());
  }
  return code;
}

Result<bool> Statement::step() {
  const int code = step_patiently();
  // Rows between the first and the end are looked after by the end.
  const bool is_to_be_checked = unattended_ != nullptr && (code != SQLITE_ROW || !has_row_);
  if (is_to_be_checked && !unattended_->is_unchanged()) {
    reset();
    return Error{ErrorKind::transient, "journal: it was changed while it was read: do it again"};
  }
  has_row_ = code == SQLITE_ROW;
  if (has_row_) return true;
  Error error = code == SQLITE_DONE ? Error{} : sqlite_error(database_, code);
  sqlite3_reset(statement_.get());
  if (code == SQLITE_DONE) return false;
  return error;
}

Result<void> Statement::run() {
  while (true) {
    const auto row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

std::string Statement::text(int column) const {
  const auto* bytes = sqlite3_column_text(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes), size);
}

Result<Database> Database::open(const std::filesystem::path& path, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Database database(raw);
  if (code != SQLITE_OK) {
    return with_context(sqlite_error(raw, code), fmt::format("cannot open {}", path.string()));
  }
  return database;
}

Result<Database> Database::open_to_read(const std::filesystem::path& path) {
  const auto with = how_to_read(path);
  if (!with) return with.error();
  if (*with == ReadWith::locks) return open(path, SQLITE_OPEN_READONLY);
  auto unattended = std::make_unique<const Unattended>(path);
  auto database = open(uri_of(path) + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  if (database) database->unattended_ = std::move(unattended);
  return database;
}

bool Database::must_be_reopened() const {
  if (unattended_ == nullptr || in_transaction()) return false;
  for (auto* one = sqlite3_next_stmt(handle_.get(), nullptr); one != nullptr;
       one = sqlite3_next_stmt(handle_.get(), one)) {
    if (sqlite3_stmt_busy(one) != 0) return false;
  }
  return !unattended_->is_unchanged() || unattended_->is_attended();
}

Result<void> Database::execute(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(handle_.get(), code);
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return sqlite_error(handle_.get(), code);
  return Statement(handle_.get(), statement, unattended_.get());
}

Result<Transaction> Transaction::begin(Database& database, Purpose purpose) {
  // IMMEDIATE: a transaction that will write takes its turn now instead of failing half-way.
  if (auto begun = database.execute(purpose == Purpose::read ? "BEGIN" : "BEGIN IMMEDIATE"); !begun)
    return begun.error();
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  if (auto undone = database_->execute("ROLLBACK"); !undone) spdlog::debug("rollback: {}", undone.error().message);
}

Result<void> Transaction::commit() {
  if (auto committed = database_->execute("COMMIT"); !committed) return committed.error();
  database_ = nullptr;
  return {};
}

}  // namespace responder::journal
