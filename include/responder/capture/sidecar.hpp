// The document beside a clip: whose it is, what it covers, what is missing, how to check it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "responder/archive/archive.hpp"
#include "responder/journal/journal.hpp"
#include "responder/media/remux.hpp"

namespace responder::capture {

// Under which name a capture's clip is published.
archive::ClipIdentity identity_of(const journal::Capture& row, std::string camera_name, bool has_audio);

struct SidecarFacts {
  const journal::Capture& row;
  const archive::ClipIdentity& identity;
  const media::ClipSummary& summary;
  journal::State state;
  const std::string& reason;
  std::string_view source;
  const std::vector<journal::Gap>& gaps;
  const std::vector<std::pair<media::TrackKind, std::vector<journal::Gap>>>& track_gaps;
  bool final;  // nothing better will be tried for
  journal::PresenceState presence;
};

// In two steps: what is known when the clip is made, an object that is still open, and what publishing adds.
std::string sidecar_beginning(const SidecarFacts& facts);
std::string sidecar_end(const archive::ArchivedClip& clip, WallTime published_at);

// The text of a sidecar with another presence in it; nullopt: it is not a sidecar of ours, or has that presence already.
// `is_done`: the capture is done, so that its sidecar becomes final.
std::optional<std::string> with_presence(std::string text, journal::PresenceState presence, bool is_done);

// What a sidecar says, for a journal that is lost. An Error names what it lacks.
Result<journal::KnownClip> read_sidecar(std::string_view text);

}  // namespace responder::capture
