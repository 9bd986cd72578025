#include "responder/capture/leftover.hpp"

#include "responder/base/file.hpp"
#include "responder/capture/sidecar.hpp"

namespace responder::capture {
namespace {

// Whose clip it is, as its sidecar says; nullopt: it does not say.
Result<std::optional<journal::NewCapture>> owner_of(const archive::Archive& archive, const std::string& clip) {
  const auto sidecar = (archive.directory() / clip).replace_extension(".json");
  const auto text = read_file(sidecar);
  const bool can_be_read_later =
      !text && text.error().kind != ErrorKind::not_found && text.error().kind != ErrorKind::permanent;
  if (can_be_read_later) return text.error();
  auto known = text ? read_sidecar(*text) : Result<journal::KnownClip>(text.error());
  return known ? std::optional(std::move(known->capture)) : std::nullopt;
}

}  // namespace

Result<void> remove_leftover(const archive::Archive& archive, const std::string& clip, const FindCapture& find) {
  const auto owner = owner_of(archive, clip);
  if (!owner) return owner.error();
  if (*owner) {
    const auto row = find((*owner)->alert, (*owner)->camera);
    if (!row) return row.error();
    if (*row && (*row)->published && !(*row)->removed_at && (*row)->published->clip != clip) {
      const auto is_present_clip = archive.is_same_file(clip, (*row)->published->clip);
      if (!is_present_clip || *is_present_clip) return is_present_clip ? Result<void>{} : is_present_clip.error();
    }
  }
  return archive.remove(clip);
}

}  // namespace responder::capture
