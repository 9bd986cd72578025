// What is wrong with a published clip, as verify and export find it.
#pragma once

#include <optional>
#include <string>

#include "responder/archive/bulk_digest.hpp"
#include "responder/journal/journal.hpp"

namespace responder::app {

struct ClipFinding {
  // What a repair goes by; none: nothing can be said of the clip just now (it may not be read, say).
  journal::Damage damage = journal::Damage::none;
  std::string text;  // "damaged: it has 5 bytes, not 7"
};

// What was read of the clip's file, held against what is recorded of it.
std::optional<ClipFinding> judge_clip(const journal::Published& recorded, const Result<archive::FileDigest>& read);

// Whether two looks at a capture found the same clip.
bool is_same_clip(const journal::Capture& one, const journal::Capture& other);

// Whether a capture that somebody is at work on has just got this file: a new clip has its name a moment before the
// journal knows of it, and its sidecar a moment before that.
bool is_just_published(const journal::Capture& row, const archive::FileDigest& read,
                       const Result<std::string>& sidecar);

}  // namespace responder::app
