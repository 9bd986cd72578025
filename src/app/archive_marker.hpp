// The id by which the journal knows its archive: a marker file in the archive says it, so that an empty folder that a
// share should be mounted on is never taken for it.
#pragma once

#include <string>

#include "responder/archive/archive.hpp"
#include "responder/journal/journal.hpp"

namespace responder::app {

// The id the journal knows; where it knows none yet, that of the folder, which becomes the archive. One that was an
// archive before tells the journal of its clips: it is in the place of one that was lost. An Error only then.
Result<std::string> archive_id(const archive::Archive& archive, journal::Journal& journal);

// Whether the folder is the archive that the journal knows; any is where it knows none yet.
Result<void> check_is_archive(const archive::Archive& archive, journal::Journal& journal);

// Makes the folder the journal's archive.
Result<std::string> adopt_as_archive(const archive::Archive& archive, journal::Journal& journal);

}  // namespace responder::app
