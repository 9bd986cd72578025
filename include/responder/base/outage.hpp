// Something that fails for a while. Says when that is worth a line in the log, so that an hour of failures is a few
// lines and not thousands. Not thread-safe.
#pragma once

#include <chrono>
#include <optional>

#include "responder/base/clock.hpp"

namespace responder {

class Outage {
 public:
  // It fails. Whether to write a line now: the first time, then after 1, 5 and 15 minutes, and then each hour.
  bool note_failing(SteadyTime now);
  // It works. How long it had failed, when a line was written of that.
  std::optional<std::chrono::seconds> note_working(SteadyTime now);
  bool is_on() const { return since_.has_value(); }

 private:
  std::optional<SteadyTime> since_;
  SteadyTime next_line_;
  int lines_ = 0;
};

}  // namespace responder
