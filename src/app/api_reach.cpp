#include "api_reach.hpp"

#include <spdlog/spdlog.h>

#include "responder/base/time_text.hpp"

namespace responder::app {

void ApiReach::note(int status) {
  constexpr int enough = 3;  // one or two may be a connection that was closed, or a restart over there
  const bool answers = status > 0 && status < 500;
  auto state = state_.lock();
  if (answers) {
    state->failures = 0;
    if (const auto lasted = state->outage.note_working(clock_.steady_now()))
      spdlog::info("Rhombus is reachable again ({}), after {} s", api_, lasted->count());
    return;
  }
  if (state->failures == 0) state->first_failed_at = clock_.wall_now();
  if (++state->failures < enough) return;
  if (state->outage.note_failing(clock_.steady_now()))
    spdlog::error("Rhombus is unreachable since {} ({}): captures wait, alerts that come by webhook are recorded",
                  format_rfc3339(state->first_failed_at), api_);
}

}  // namespace responder::app
