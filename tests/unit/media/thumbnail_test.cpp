#include "responder/media/thumbnail.hpp"

#include <catch2/catch.hpp>

extern "C" {
#include <libavutil/log.h>
}

#include "temp_folder.hpp"

using namespace responder;

// Each test case is a process of its own under ctest, so that no clip was put together before.
TEST_CASE("libav keeps its remarks to itself when a picture is the first that is made") {
  const test::TempFolder folder;
  CHECK_FALSE(media::write_thumbnail(folder / "no-clip.mp4", media::Micros(0), folder / "picture.jpg"));
  CHECK(av_log_get_level() == AV_LOG_FATAL);
}
