// A run that takes alerts: catch-up, and copy-footage --alerts. One pass over Rhombus's alerts, then what is missing
// is captured.
#pragma once

#include <string>

#include "responder/ingest/catch_up.hpp"

#include "config.hpp"
#include "signals.hpp"

namespace responder::app {

struct AlertRunStyle {
  std::string how_to_go_on = "what is left waits in the journal for the next run";
  bool tell_files = false;          // each as it is finished
  bool again_what_is_lost = false;  // clips that are not in the archive any more are taken again
};

// Takes them, or sees to it that a running serve does. The exit status.
int take_alerts(const Config& config, const ingest::PassScope& scope, const AlertRunStyle& style,
                const Signals& signals);

}  // namespace responder::app
