// A run that takes time ranges: backup, and copy-footage without --alerts.
#pragma once

#include <string>
#include <vector>

#include "config.hpp"
#include "ranges.hpp"
#include "signals.hpp"

namespace responder::app {

struct RangePlan {
  std::vector<TimeRange> parts;  // a file each, of each camera
  CameraChoice choice;
  ChoiceOptions options = {};
  std::string same_again;  // the command that goes on where this one was interrupted
};

// Takes them, or sees to it that a running serve does. The exit status.
int take_ranges(const Config& config, const RangePlan& plan, const Signals& signals);

}  // namespace responder::app
