// Locks between processes, which the kernel gives back the moment their holder is gone, whatever became of it: no
// clock has a part in it.
#pragma once

#include <filesystem>
#include <optional>

#include "responder/base/error.hpp"
#include "responder/base/file.hpp"

namespace responder::app {

class ProcessLock {
 public:
  // nullopt: another process has it. Makes the file and its folder if need be; the file stays.
  static Result<std::optional<ProcessLock>> try_take(const std::filesystem::path& file);

  // Whether another process has it; takes nothing, so that nobody is kept from taking it just then.
  static bool is_held(const std::filesystem::path& file);

 private:
  explicit ProcessLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Held by `serve` on its journal: there is one, and it works on the captures of everybody.
std::filesystem::path serve_lock(std::filesystem::path journal);

// Held by whoever works on captures: a serve, or a catch-up while there is no serve. One on the journal, whose leases
// are the holder's alone, so that whoever comes next may give them back; and one on the spool.
struct WorkLocks {
  ProcessLock journal;
  ProcessLock spool;
};
// nullopt: another process has one of them.
Result<std::optional<WorkLocks>> take_work_locks(const std::filesystem::path& journal,
                                                 const std::filesystem::path& spool);
// The one on the journal.
std::filesystem::path work_lock(std::filesystem::path journal);

}  // namespace responder::app
