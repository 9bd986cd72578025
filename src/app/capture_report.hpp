// All that is known of one capture, for `show`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "responder/archive/names.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/journal/journal.hpp"

namespace responder::app {

struct CaptureReport {
  journal::Capture capture;  // with its camera's name, where one is known
  std::vector<journal::DeliveryState> deliveries;
  bool waits_for_archive = false;  // its clip is finished and not in the archive yet
  // Absolute paths of what is in the archive now; empty: it is not there.
  std::filesystem::path clip, sidecar, picture;
};

// Reads what the journal and the archive's folder have of it. Changes nothing.
Result<CaptureReport> report_on(journal::Journal& journal, const std::filesystem::path& archive,
                                const journal::Capture& capture);

// Lines for people, the first one about the camera, the others indented.
std::vector<std::string> as_lines(const CaptureReport& report);

// An object: the fields of `events --json`, with paths, deliveries and what is missing.
void write_report(JsonWriter& json, const CaptureReport& report);

}  // namespace responder::app
