// The parameter sets of H.264 and H.265, which a decoder needs before the first picture. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace responder::media {

enum class VideoCodec { h264, h265 };

// Whether the content of an avcC or hvcC box (ISO/IEC 14496-15) names a sequence parameter set.
bool has_parameter_sets(VideoCodec codec, std::string_view configuration);

// A configuration that names none, with those that stand in front of a key frame's picture; nullopt where none do.
std::optional<std::string> with_parameter_sets(VideoCodec codec, std::string_view configuration,
                                               std::string_view key_frame);

}  // namespace responder::media
