// Group commit: one thread writes the journal; everybody's changes that arrive while a sync runs share the next one.
//
// Threads: submit() from any, without a lock; `work` and `done` run on the writer's thread and must not block on it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "responder/base/error.hpp"
#include "responder/journal/journal.hpp"

namespace responder::journal {

class Writer {
 public:
  // Changes the journal, inside a transaction with others' changes. When it fails it is undone alone. May run twice
  // (when somebody else's change in the same batch failed), so it must have no effect but on the journal and on what
  // `done` reads.
  using Work = std::function<Result<void>(Journal&)>;
  // Told once whether the change is on disk. When the journal cannot be written (somebody else holds it for longer
  // than `patience`, the disk is full), all that wait are told the same at once.
  using Done = std::function<void(Result<void>)>;

  // `max_queued` bounds what may wait; past it submit() answers at once with an Error. `patience`: how long to wait
  // for others that write to the journal.
  Writer(Journal journal, std::size_t max_queued, std::chrono::milliseconds patience = Journal::usual_patience);
  ~Writer();  // as stop()

  void submit(Work work, Done done);

  // Writes what is queued, then ends; at the latest a second after `patience` when somebody else holds the journal.
  // What is submitted later is answered with an Error.
  void stop();

  // The same as submit(), waited for. Not from the writer's own thread.
  Result<void> run(Work work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::journal
