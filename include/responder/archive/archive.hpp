// The archive: where published clips stand, each with its sidecar. A clip appears under its final name only when
// complete and synced: temporary name, fsync, rename, fsync of the folder. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "responder/archive/names.hpp"
#include "responder/base/error.hpp"

namespace responder::archive {

struct ArchivedClip {
  std::string path;  // under the archive, with its ending
  std::uint64_t bytes = 0;
  std::string sha256;
  std::uint64_t damaged_bytes = 0;  // of a damaged clip that stands beside it
};

// What decides on a clip's name, beside what the clip is.
struct Naming {
  bool whole = true;
  std::optional<Layout> layout = {};  // instead of the archive's
  std::string own = {};               // the name that it has already, as the journal knows; or empty
  bool keep_own = false;  // what stands there is damaged, and stays beside the new clip as CLIP.damaged.mp4
  // Whether a name is known to be another clip's, were its file gone. Where it is empty none is.
  std::function<Result<bool>(const std::string& clip)> is_of_another = {};
};

// What the storage that an archive is on can do.
struct Abilities {
  bool syncs_folders = true;
  bool tells_free_space = true;
  bool minds_case = true;                     // else "Lobby.mp4" and "lobby.mp4" are one file
  std::size_t longest_name = max_name_bytes;  // of a clip, in bytes
};
// What follows from what it cannot do, a line each; none where it can do everything.
std::vector<std::string> describe(const Abilities& abilities);

class Archive {
 public:
  // Called between pieces of a long copy with how many bytes the last one had; an Error ends the copy.
  using Step = std::function<Result<void>(std::size_t bytes)>;

  // `probes`: what the files are named with that try the storage out; empty: the process's id. Whoever may be killed
  // and comes again gives the same name each time, so that nothing stays behind.
  Archive(std::filesystem::path directory, Layout layout, NameZone zone, std::uint64_t min_free_bytes,
          std::string probes = {});

  // Creates the folder if need be and does in it what publishing does: writes and syncs a file, puts it in the place
  // of another, syncs the folder. Leaves nothing behind.
  Result<void> check_writable() const;
  // The same, and what the storage can do. It must be there and writable.
  Result<Abilities> try_out() const;

  // The marker: a file that says this is the archive and not the empty folder that a share is mounted on. nullopt:
  // there is none.
  Result<std::optional<std::string>> marker() const;
  Result<void> write_marker(const std::string& id) const;

  // How many bytes there are too few to leave min_free_bytes after `more` bytes. None where it is not known how much
  // is free: nothing may go for the sake of a figure that is none.
  Result<std::uint64_t> lacking(std::uint64_t more) const;
  // An Error of kind no_space when less than min_free_bytes would be left after `more` bytes, as far as that is
  // known.
  Result<void> check_space(std::uint64_t more) const;

  // Brings `finished` (from the spool, where it stays and must not be written to any more: it may be the same file)
  // to the clip's name and writes the sidecar that `sidecar` makes of it. A clip of the same alert and camera that
  // already has the name is replaced; one of another, or without a sidecar of ours, is not: the new one gets a
  // number. The archive's own folder has to be there. One whose sidecar is damaged gives way only to a `whole` clip
  // whose own the name is. What cannot be looked at just now is nobody's: that is an Error, and the clip can wait.
  // Names are cut to what the folder allows. Where a clip of the same stands under another layout, it stays, and
  // whoever knows of it removes it.
  Result<ArchivedClip> publish(const std::filesystem::path& finished, const ClipIdentity& clip, const Naming& naming,
                               const std::function<std::string(const ArchivedClip&)>& sidecar,
                               const Step& step = {}) const;

  // Writes a published clip's sidecar anew, as `change` makes it of the present text; where it makes nothing of it, or
  // there is none, all stays as it is.
  Result<void> rewrite_sidecar(const std::string& clip,
                               const std::function<std::optional<std::string>(std::string)>& change) const;

  // Puts a picture beside a published clip; an Error, and no picture, where the clip is not.
  Result<void> publish_thumbnail(const std::filesystem::path& finished, const std::string& clip) const;

  // Removes what a process that ended in publish_thumbnail() has left of it.
  void remove_unfinished_thumbnail() const;

  // Removes a published clip with what stands beside it, for good, and folders that are empty then. One that is not
  // there is no error.
  Result<void> remove(const std::string& clip) const;

  // Whether two names lead to one file: where upper and lower case are one, two names of a clip may.
  Result<bool> is_same_file(const std::string& one, const std::string& other) const;

  // Absolute, without a slash at its end.
  const std::filesystem::path& directory() const { return directory_; }

 private:
  Result<void> write_probe(const std::filesystem::path& probe) const;
  Result<std::size_t> longest_name() const;
  Result<bool> minds_case() const;
  Result<std::filesystem::path> free_stem(const std::filesystem::path& finished, const ClipIdentity& clip,
                                          const Naming& naming) const;
  Result<bool> may_have(const std::filesystem::path& stem, const std::filesystem::path& finished,
                        const ClipIdentity& clip, const Naming& naming) const;
  Result<ArchivedClip> publish_as(const std::filesystem::path& stem, const std::filesystem::path& finished,
                                  const Naming& naming,
                                  const std::function<std::string(const ArchivedClip&)>& sidecar,
                                  const Step& step) const;
  Result<void> keep_damaged(const std::filesystem::path& stem, const Naming& naming) const;
  Result<void> make_folders(const std::filesystem::path& clip) const;
  Result<void> sync_folders(const std::string& clip) const;

  const std::filesystem::path directory_;
  const Layout layout_;
  const NameZone zone_;
  const std::uint64_t min_free_bytes_;
  const std::string probes_;
  // Alone: what was found out last; 0: to be found out.
  mutable std::atomic<std::size_t> longest_name_{0};
};

// What the beginning of every sidecar says, which tells whose clip it is.
std::string sidecar_identity(const ClipIdentity& clip);

}  // namespace responder::archive
