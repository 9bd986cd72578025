// The [[hook]] and [offsite] tables of the configuration as targets.
#pragma once

#include <memory>
#include <vector>

#include "responder/deliver/target.hpp"

#include "config.hpp"

namespace responder::app {

// Whom the journal writes deliveries for.
std::vector<journal::Target> journal_targets(const Config& config);

// The offsite copy as configured. `archive_marker`: the id of the archive; empty where nothing is copied.
deliver::Offsite offsite_options(const Config& config, const std::string& archive_marker);

// Those who deliver. `archive` and `clock` outlive them.
std::vector<std::unique_ptr<deliver::Target>> deliver_targets(const Config& config, const archive::Archive& archive,
                                                              const std::string& archive_marker, Clock& clock);

}  // namespace responder::app
