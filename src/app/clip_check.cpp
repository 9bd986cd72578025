#include "clip_check.hpp"

#include <fmt/format.h>

#include "responder/capture/sidecar.hpp"

namespace responder::app {

using journal::Damage;
using journal::State;

std::optional<ClipFinding> judge_clip(const journal::Published& recorded, const Result<archive::FileDigest>& read) {
  if (!read) {
    const auto& error = read.error();
    if (error.kind == ErrorKind::not_found) return ClipFinding{Damage::missing, "missing: it is not in the archive"};
    // What the disk cannot give back is lost; what we may not read is not.
    return ClipFinding{error.kind == ErrorKind::no_space ? Damage::damaged : Damage::none,
                       "unreadable: " + error.message};
  }
  if (read->bytes != recorded.bytes)
    return ClipFinding{Damage::damaged, fmt::format("damaged: it has {} bytes, not {}", read->bytes, recorded.bytes)};
  if (read->sha256 != recorded.sha256)
    return ClipFinding{Damage::damaged, "damaged: its SHA-256 is not the recorded one"};
  return std::nullopt;
}

bool is_same_clip(const journal::Capture& one, const journal::Capture& other) {
  return one.published && other.published && one.published->clip == other.published->clip &&
         one.published->bytes == other.published->bytes && one.published->sha256 == other.published->sha256;
}

bool is_just_published(const journal::Capture& row, const archive::FileDigest& read,
                       const Result<std::string>& sidecar) {
  const bool is_worked_on = row.state == State::capturing || row.state == State::waiting;
  if (!is_worked_on || !sidecar) return false;
  const auto known = capture::read_sidecar(*sidecar);
  return known && known->capture.alert == row.alert && known->capture.camera == row.camera &&
         known->published.bytes == read.bytes && known->published.sha256 == read.sha256;
}

}  // namespace responder::app
