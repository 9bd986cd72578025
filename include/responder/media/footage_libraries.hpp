// FFmpeg's libraries, which put clips together and draw their pictures.
#pragma once

#include "responder/base/error.hpp"

namespace responder::media {

// Loads them, which takes some 50 ms of processor time the first time. remux() and write_thumbnail() do so
// themselves: who works on captures calls this at the start, so that the first alert does not wait for it, and to say
// at once what is missing. An Error names the file and what to install. Any thread may call it, as often as it likes.
Result<void> load_footage_libraries();

}  // namespace responder::media
