// SQLite as database, statement and transaction objects. Parameters are bound, never pasted.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sqlite3.h>

#include "responder/base/error.hpp"

#include "look.hpp"

namespace responder::journal {

// A journal that cannot be trusted any more, and the mend.
Error damaged(sqlite3* database, std::string_view detail);

class Statement {
 public:
  // `unattended`: of a database that is read without locks, else null. It outlives the statement.
  Statement(sqlite3* database, sqlite3_stmt* statement, const Unattended* unattended)
      : database_(database), statement_(statement), unattended_(unattended) {}

  // Binds the parameters in their order; the views must live until the last step().
  template <class... Values>
  Statement& bind(const Values&... values) {
    reset();
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }

  Result<bool> step();  // true: a row is there to be read
  Result<void> run();   // to the end; for statements without rows

  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string text(int column) const;
  bool is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  void reset() {
    sqlite3_reset(statement_.get());
    has_row_ = false;
  }

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

  // SQLite's code of the next step; what passes in a moment is waited out.
  int step_patiently();

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  const Unattended* unattended_;
  bool has_row_ = false;  // since it was last begun anew
};

class Database {
 public:
  static Result<Database> open(const std::filesystem::path& path, int flags);
  // For reading only, see look.hpp.
  static Result<Database> open_to_read(const std::filesystem::path& path);

  bool is_unattended() const { return unattended_ != nullptr; }
  // Whether it was opened to be read without locks and is to be opened again, as somebody else has it open by now.
  // Not while something is being read.
  bool must_be_reopened() const;

  Result<void> execute(const char* sql);
  Result<Statement> prepare(std::string_view sql);
  // How long to wait for others that work on it; returns how long it was.
  std::chrono::milliseconds set_patience(std::chrono::milliseconds longest) {
    sqlite3_busy_timeout(handle_.get(), static_cast<int>(longest.count()));
    return std::exchange(patience_, longest);
  }
  bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
  Error damage(std::string_view detail) const { return damaged(handle_.get(), detail); }
  std::int64_t last_id() const { return sqlite3_last_insert_rowid(handle_.get()); }
  std::int64_t changes() const { return sqlite3_changes64(handle_.get()); }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  explicit Database(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3, Close> handle_;
  std::unique_ptr<const Unattended> unattended_ = {};
  std::chrono::milliseconds patience_{0};
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
