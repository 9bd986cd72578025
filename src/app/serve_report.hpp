// What the running serve says of itself, for `check` and `status`: they ask it through a socket beside the journal,
// whatever admin.listen is. It is there from the start of serve to its end, so a full disk does not matter to it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/journal/journal.hpp"

#include "config.hpp"

namespace responder::app {

// The socket on which serve answers /readyz to whoever may use the journal's folder.
std::filesystem::path serve_socket(std::filesystem::path journal);

struct ServeReport {
  struct Problem {
    std::string part;    // as /readyz names it
    std::string status;  // degraded, unready
    std::string detail;
  };
  bool runs = false;
  std::string status = "unknown";  // ok, degraded, unready; unknown: not asked, or no answer
  std::vector<Problem> problems;   // what it suffers from
  std::string no_answer;           // why it runs and cannot be asked; else empty

  // Of the named part; empty: none is known.
  std::string problem_of(std::string_view part) const;
};

// Returns within a few seconds, whatever serve does.
ServeReport ask_serve(const Config& config);

// Remembers in the journal that serve has begun, or has ended in order.
Result<void> remember_serve(journal::Journal& journal, bool runs, WallTime now);

// Remembers in the journal that the command `catch-up` has made a pass.
Result<void> remember_catch_up(journal::Journal& journal, WallTime now);

// What it means that serve does not run.
struct ServeAbsence {
  bool is_wrong = true;
  std::string text;
};

// Not wrong where serve never ran here, or where a `catch-up` has been run since it ended, within a day. Requires
// that serve does not run.
Result<ServeAbsence> explain_absence(journal::Journal& journal, WallTime now);

}  // namespace responder::app
