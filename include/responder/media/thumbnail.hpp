// A still picture of a clip.
#pragma once

#include <filesystem>

#include "responder/base/error.hpp"
#include "responder/media/taken.hpp"

namespace responder::media {

inline constexpr int thumbnail_width = 480;

// Decodes the first key frame of `clip` (an MP4) at or after `at`, else the last one before, and writes it as a JPEG
// of thumbnail_width pixels to `output`. Thread-safe.
Result<void> write_thumbnail(const std::filesystem::path& clip, Micros at, const std::filesystem::path& output);

}  // namespace responder::media
