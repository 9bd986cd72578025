// SQLite as database, statement and transaction objects. Parameters are bound, never pasted.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "responder/base/error.hpp"

namespace responder::journal {

// A journal that cannot be trusted any more, and the mend.
Error damaged(sqlite3* database, std::string_view detail);

class Statement {
 public:
  Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}

  // Binds the parameters in their order; the views must live until the last step().
  template <class... Values>
  Statement& bind(const Values&... values) {
    sqlite3_reset(statement_.get());
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }

  Result<bool> step();  // true: a row is there to be read
  Result<void> run();   // to the end; for statements without rows

  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string text(int column) const;
  bool is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  void reset() { sqlite3_reset(statement_.get()); }

 private:
  void bind_one(int index, std::int64_t value) { sqlite3_bind_int64(statement_.get(), index, value); }
  void bind_one(int index, std::string_view value) {
    sqlite3_bind_text64(statement_.get(), index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  void bind_one(int index, std::nullopt_t) { sqlite3_bind_null(statement_.get(), index); }
  template <class Value>
  void bind_one(int index, const std::optional<Value>& value) {
    value ? bind_one(index, *value) : bind_one(index, std::nullopt);
  }

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  static Result<Database> open(const std::filesystem::path& path, int flags);

  Result<void> execute(const char* sql);
  Result<Statement> prepare(std::string_view sql);
  // How long to wait for others that work on it.
  void set_patience(std::chrono::milliseconds longest) {
    sqlite3_busy_timeout(handle_.get(), static_cast<int>(longest.count()));
  }
  Error damage(std::string_view detail) const { return damaged(handle_.get(), detail); }
  std::int64_t last_id() const { return sqlite3_last_insert_rowid(handle_.get()); }
  std::int64_t changes() const { return sqlite3_changes64(handle_.get()); }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  explicit Database(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3, Close> handle_;
};

// Undone unless committed.
class Transaction {
 public:
  enum class Purpose { write, read };
  static Result<Transaction> begin(Database& database, Purpose purpose = Purpose::write);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

// SQLite's result codes as errors: the one table.
Error sqlite_error(sqlite3* database, int code);

}  // namespace responder::journal
