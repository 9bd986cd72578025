// The archive: where published clips stand, each with its sidecar. A clip appears under its final name only when
// complete and synced: temporary name, fsync, rename, fsync of the folder. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "responder/archive/names.hpp"
#include "responder/base/error.hpp"

namespace responder::archive {

struct ArchivedClip {
  std::string path;  // under the archive, with its ending
  std::uint64_t bytes = 0;
  std::string sha256;
};

// What decides on a clip's name, beside what the clip is.
struct Naming {
  bool whole = true;
  std::optional<Layout> layout = {};  // instead of the archive's
  std::string own = {};               // the name that it has already, as the journal knows; or empty
  // Whether a name is known to be another clip's, were its file gone. Where it is empty none is.
  std::function<Result<bool>(const std::string& clip)> is_of_another = {};
};

class Archive {
 public:
  Archive(std::filesystem::path directory, Layout layout, NameZone zone, std::uint64_t min_free_bytes);

  // Creates the folder if need be and tries to write in it.
  Result<void> check_writable() const;

  // The marker: a file that says this is the archive and not the empty folder that a share is mounted on. nullopt:
  // there is none.
  Result<std::optional<std::string>> marker() const;
  Result<void> write_marker(const std::string& id) const;

  // How many bytes there are too few to leave min_free_bytes after `more` bytes.
  Result<std::uint64_t> lacking(std::uint64_t more) const;
  // An Error of kind no_space when less than min_free_bytes would be left after `more` bytes.
  Result<void> check_space(std::uint64_t more) const;

  // Brings `finished` (from the spool, where it stays and must not be written to any more: it may be the same file)
  // to the clip's name and writes the sidecar that `sidecar` makes of it. A clip of the same alert and camera that
  // already has the name is replaced; one of another, or without a sidecar of ours, is not: the new one gets a
  // number. One whose sidecar is damaged gives way only to a `whole` clip whose own the name is. Copying to another
  // file system stops on `stop`. Where a clip of the same stands under another layout, it stays, and whoever knows of
  // it removes it.
  Result<ArchivedClip> publish(const std::filesystem::path& finished, const ClipIdentity& clip, const Naming& naming,
                               const std::function<std::string(const ArchivedClip&)>& sidecar,
                               std::stop_token stop = {}) const;

  // Puts a picture beside a published clip.
  Result<void> publish_thumbnail(const std::filesystem::path& finished, const std::string& clip) const;

  // Makes room for another one where a damaged clip stands: it is CLIP.damaged.mp4 from then on, unless there is one.
  Result<void> keep_damaged(const std::string& clip) const;

  // Removes a published clip with what stands beside it, for good, and folders that are empty then. One that is not
  // there is no error.
  Result<void> remove(const std::string& clip) const;

  const std::filesystem::path& directory() const { return directory_; }

 private:
  Result<std::filesystem::path> free_stem(const std::filesystem::path& finished, const ClipIdentity& clip,
                                          const Naming& naming) const;
  Result<bool> may_have(const std::filesystem::path& stem, const std::filesystem::path& finished,
                        const ClipIdentity& clip, const Naming& naming) const;
  Result<ArchivedClip> publish_as(const std::filesystem::path& stem, const std::filesystem::path& finished,
                                  const std::function<std::string(const ArchivedClip&)>& sidecar,
                                  std::stop_token stop) const;

  const std::filesystem::path directory_;
  const Layout layout_;
  const NameZone zone_;
  const std::uint64_t min_free_bytes_;
};

// What the beginning of every sidecar says, which tells whose clip it is.
std::string sidecar_identity(const ClipIdentity& clip);

}  // namespace responder::archive
