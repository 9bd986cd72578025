// Group commit: one thread writes the journal; everybody's changes that arrive while a sync runs share the next one.
//
// Threads: submit() from any, without a lock; `work` and `done` run on the writer's thread and must not block on it.
#pragma once

#include <functional>
#include <memory>

#include "responder/base/error.hpp"
#include "responder/journal/journal.hpp"

namespace responder::journal {

class Writer {
 public:
  // Changes the journal, inside a transaction. May run twice (when somebody else's change in the same batch failed
  // and everything is undone and done one by one), so it must have no effect but on the journal and on what `done`
  // reads.
  using Work = std::function<Result<void>(Journal&)>;
  // Told once whether the change is on disk.
  using Done = std::function<void(Result<void>)>;

  // `max_queued` bounds what may wait; past it submit() answers at once with an Error.
  Writer(Journal journal, std::size_t max_queued);
  ~Writer();  // as stop()

  void submit(Work work, Done done);

  // Writes what is queued, then ends. What is submitted later is answered with an Error.
  void stop();

  // The same as submit(), waited for. Not from the writer's own thread.
  Result<void> run(Work work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::journal
