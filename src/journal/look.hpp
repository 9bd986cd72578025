// How a journal is opened by who only looks at it: beside whoever works on it, or alone; nothing is locked against
// writers, and no file is made.
#pragma once

#include <filesystem>
#include <memory>

#include <sys/stat.h>

#include "responder/base/error.hpp"

namespace responder::journal {

// A database file that is read without any locks, because nobody has it open. It notices when that is no longer so.
class Unattended {
 public:
  // Of a file that is there.
  explicit Unattended(std::filesystem::path file);

  // Whether the file is still as it was when this object was made. Where it is not, what was read since may be of no
  // one moment.
  bool is_unchanged() const;
  // Whether somebody has opened it: it can be read with locks from now on.
  bool is_attended() const;

 private:
  struct ::stat look() const;

  const std::filesystem::path file_;
  const struct ::stat seen_;
};

enum class ReadWith { locks, nothing };

// How the journal can be read that is there. Reading one that has a write-ahead log with SQLite's locks needs its log
// and its shared memory, two files beside it that whoever works on it makes and the last to close it removes. An
// Error in one line when it is not there, may not be read, or has a log that only who may write can read.
Result<ReadWith> how_to_read(const std::filesystem::path& file);

}  // namespace responder::journal
