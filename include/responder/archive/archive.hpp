// The archive: where published clips stand, each with its sidecar. A clip appears under its final name only when
// complete and synced: temporary name, fsync, rename, fsync of the folder. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "responder/archive/names.hpp"
#include "responder/base/error.hpp"

namespace responder::archive {

struct ArchivedClip {
  std::string path;  // under the archive, with its ending
  std::uint64_t bytes = 0;
  std::string sha256;
};

class Archive {
 public:
  Archive(std::filesystem::path directory, Layout layout, NameZone zone, std::uint64_t min_free_bytes);

  // Creates the folder if need be and tries to write in it.
  Result<void> check_writable() const;

  // An Error of kind no_space when less than min_free_bytes would be left after `more` bytes.
  Result<void> check_space(std::uint64_t more) const;

  // Moves `finished` (from the spool) to the clip's name and writes the sidecar that `sidecar` makes of it. A clip of
  // the same alert and camera that already has the name is replaced; one of another alert is not, the new one gets a
  // number.
  Result<ArchivedClip> publish(const std::filesystem::path& finished, const ClipIdentity& clip,
                               const std::function<std::string(const ArchivedClip&)>& sidecar) const;

  const std::filesystem::path& directory() const { return directory_; }

 private:
  Result<std::filesystem::path> free_stem(const ClipIdentity& clip) const;
  Result<ArchivedClip> publish_as(const std::filesystem::path& stem, const std::filesystem::path& finished,
                                  const std::function<std::string(const ArchivedClip&)>& sidecar) const;

  const std::filesystem::path directory_;
  const Layout layout_;
  const NameZone zone_;
  const std::uint64_t min_free_bytes_;
};

// What the beginning of every sidecar says, which tells whose clip it is.
std::string sidecar_identity(const ClipIdentity& clip);

}  // namespace responder::archive
