// Whether Rhombus's API answers, told from its answers to whatever is asked. The log says once that it does not, and
// once that it does again; what fails meanwhile need not say so for each alert. Thread-safe.
#pragma once

#include <string>

#include "responder/base/clock.hpp"
#include "responder/base/outage.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::app {

class ApiReach {
 public:
  // `api` is its URL, for the log. The clock outlives this.
  ApiReach(std::string api, const Clock& clock) : api_(std::move(api)), clock_(clock) {}

  // An answer's HTTP status; 0: there was none. 5xx are no answer either.
  void note(int status);
  // It has failed several times in a row, and not worked since.
  bool is_away() { return state_.lock()->outage.is_on(); }

 private:
  struct State {
    int failures = 0;  // in a row
    WallTime first_failed_at;
    Outage outage;
  };
  const std::string api_;
  const Clock& clock_;
  Synchronized<State> state_;
};

}  // namespace responder::app
