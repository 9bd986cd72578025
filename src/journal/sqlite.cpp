#include "sqlite.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace responder::journal {

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

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
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
  return Statement(handle_.get(), statement);
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
