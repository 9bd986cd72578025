// Brings deliveries to their targets: one thread for each target, so that one that hangs holds up nobody else, and no
// capture. The rows are the truth: what is lost with the process is due again at the next start, so a target may be
// told twice, and never less than once.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/deliver/target.hpp"
#include "responder/journal/writer.hpp"

namespace responder::deliver {

class Deliverer {
 public:
  // Told of each attempt that ended: "delivered", "failed" (it is tried again) or "given_up". From several threads.
  using Observer = std::function<void(std::string_view target, std::string_view result)>;

  // `journal_id` tells our deliveries from those of other journals. `reader` is for looking at what is due.
  Deliverer(std::vector<std::unique_ptr<Target>> targets, std::string journal_id, journal::Writer& writer,
            journal::Journal reader, Clock& clock, Observer observer);
  ~Deliverer();

  // A delivery may be due: from any thread, without waiting.
  void notify();

  // Waits until nothing is due any more, at most so long.
  void wait_until_quiet(std::chrono::milliseconds longest);

  // Begins nothing more, gives what runs a moment, then breaks it off. False when something does not let go in time
  // (an archive that hangs): its thread is left behind, and the process has to end without it.
  bool stop(std::chrono::milliseconds deadline);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace responder::deliver
