// The document beside a clip: whose it is, what it covers, what is missing, how to check it.
#pragma once

#include <string>
#include <vector>

#include "responder/archive/archive.hpp"
#include "responder/journal/journal.hpp"
#include "responder/media/remux.hpp"

namespace responder::capture {

struct SidecarFacts {
  const journal::Capture& row;
  const archive::ClipIdentity& identity;
  const media::ClipSummary& summary;
  journal::State state;
  const std::string& reason;
  std::string_view source;
  const std::vector<journal::Gap>& gaps;
  WallTime published_at;
};

std::string sidecar_text(const SidecarFacts& facts, const archive::ArchivedClip& clip);

}  // namespace responder::capture
