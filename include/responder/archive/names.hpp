// File names of clips: the predecessor's, so that what people wrote around them keeps working.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/ids.hpp"
#include "responder/base/time_text.hpp"

namespace responder::archive {

enum class Layout { flat, by_date, by_camera };

struct ClipIdentity {
  std::string camera_name;  // as people wrote it, any script
  DeviceId camera;
  AlertId alert;
  std::vector<std::string> activities;
  std::chrono::sys_seconds window_start;
  bool has_audio = false;
  bool is_range = false;  // of a time range that a person asked for, without an alert
};

// Whether the clip of this name has sound.
bool name_says_audio(std::string_view clip);

inline constexpr std::size_t max_name_bytes = 200;

// Letters and digits of any script; everything else is dropped. Never empty: `otherwise` then.
std::string letters_and_digits(std::string_view text, std::string_view otherwise);

// The clip's path under the archive, without its ending: `.mp4` and `.json` are to follow. Each part has at most
// `max_bytes` with either, which is never more than max_name_bytes: the camera's name is cut, then the triggers. Ids
// are never cut, so that names with long ids may need more than a small `max_bytes`. `number`: 2 and more for the
// second and later clips of one name.
std::filesystem::path clip_stem(const ClipIdentity& clip, Layout layout, NameZone zone,
                                std::size_t max_bytes = max_name_bytes, int number = 1);

// The same name cut to `max_bytes`, with its ending: the camera's name first, then the triggers. One of ours, else it
// comes back as it is.
std::string shorter_name(const std::string& file_name, std::size_t max_bytes);

}  // namespace responder::archive
