// What a lost journal knew, read from the sidecars of the archive.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "responder/archive/archive.hpp"
#include "responder/journal/journal.hpp"

namespace responder::app {

struct Restored {
  std::size_t written = 0;
  std::size_t known = 0;                   // to the journal already; it stays as it is
  std::vector<std::string> left_out = {};  // sidecars that cannot be used and folders that cannot be read, and why
  std::vector<std::string> passed_over =
      {};  // folders of the disk's or the NAS's own: lost+found, #recycle, .snapshot
};

// Writes every clip of the archive down that the journal does not know. May be broken off and done again. A folder
// that may not be read is left out; an Error is one of the journal, of the archive itself, or of a disk that fails.
Result<Restored> restore_from_archive(const archive::Archive& archive, journal::Journal& journal);

}  // namespace responder::app
