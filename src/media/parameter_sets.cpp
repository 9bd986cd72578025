#include "parameter_sets.hpp"

#include <algorithm>
#include <vector>

namespace responder::media {
namespace {

constexpr std::size_t avc_header = 5;          // before the number of sequence parameter sets
constexpr std::size_t hevc_header = 22;        // before the number of arrays
constexpr std::size_t profile_and_level = 12;  // general_profile_space to general_level_idc
constexpr int hevc_vps = 32, hevc_sps = 33, hevc_pps = 34, avc_sps = 7, avc_pps = 8;

unsigned byte_at(std::string_view bytes, std::size_t at) {
  return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0;
}

std::size_t nal_length_bytes(VideoCodec codec, std::string_view configuration) {
  return (byte_at(configuration, codec == VideoCodec::h264 ? 4 : 21) & 3U) + 1;
}

// The NAL units of one type.
std::vector<std::string_view> units_of(VideoCodec codec, int type, std::size_t length_bytes,
                                       std::string_view sample) {
  // A camera has one of each, of some dozens of bytes.
  constexpr std::size_t most = 4, longest = 4096;
  std::vector<std::string_view> units;
  while (sample.size() > length_bytes && units.size() < most) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) size = size << 8U | byte_at(sample, i);
    sample.remove_prefix(length_bytes);
    const auto unit = sample.substr(0, size);
    const auto first = byte_at(unit, 0);
    const auto of_type = static_cast<int>(codec == VideoCodec::h264 ? first & 0x1FU : first >> 1U & 0x3FU);
    if (of_type == type && unit.size() > 3 && unit.size() <= longest &&
        std::find(units.begin(), units.end(), unit) == units.end())
      units.push_back(unit);
    sample.remove_prefix(unit.size());
  }
  return units;
}

void append_with_length(std::string& to, std::string_view unit) {
  to += static_cast<char>(unit.size() >> 8U);
  to += static_cast<char>(unit.size() & 0xFFU);
  to += unit;
}

std::string avc_configuration(std::string_view configuration, const std::vector<std::string_view>& sequence,
                              const std::vector<std::string_view>& picture) {
  std::string result(1, '\1');
  result += sequence.front().substr(1, 3);  // profile, constraints, level
  result += static_cast<char>(byte_at(configuration, 4) | 0xFCU);
  result += static_cast<char>(0xE0U | sequence.size());
  for (const auto unit : sequence) append_with_length(result, unit);
  result += static_cast<char>(picture.size());
  for (const auto unit : picture) append_with_length(result, unit);
  return result;
}

// What stands in a NAL unit before start codes in it were prevented.
std::string without_emulation_prevention(std::string_view unit) {
  std::string result;
  for (std::size_t i = 0; i < unit.size(); ++i) {
    if (i >= 2 && unit[i] == '\3' && unit[i - 1] == '\0' && unit[i - 2] == '\0') continue;
    result += unit[i];
  }
  return result;
}

std::string hevc_configuration(std::string_view configuration,
                               const std::vector<std::vector<std::string_view>>& sets) {
  std::string result(configuration.substr(0, hevc_header));
  result.resize(hevc_header, '\0');
  const auto told = std::string_view(result).substr(1, profile_and_level);
  const bool is_told = std::any_of(told.begin(), told.end(), [](char c) { return c != '\0'; });
  constexpr std::size_t before_profile = 3;  // the unit's header, then ids and layers
  const auto sequence = without_emulation_prevention(sets[1].front().substr(0, 2 * profile_and_level));
  if (!is_told && sequence.size() >= before_profile + profile_and_level)
    result.replace(1, profile_and_level, sequence, before_profile, profile_and_level);
  result += static_cast<char>(sets.size());
  int type = hevc_vps;
  for (const auto& units : sets) {
    constexpr unsigned all_are_here = 0x80;  // what "hvc1" promises
    result += static_cast<char>(all_are_here | static_cast<unsigned>(type++));
    result += '\0';
    result += static_cast<char>(units.size());
    for (const auto unit : units) append_with_length(result, unit);
  }
  return result;
}

}  // namespace

bool has_parameter_sets(VideoCodec codec, std::string_view configuration) {
  if (codec == VideoCodec::h264) return (byte_at(configuration, avc_header) & 0x1FU) > 0;
  std::size_t at = hevc_header + 1;
  for (unsigned left = byte_at(configuration, hevc_header); left > 0 && at < configuration.size(); --left) {
    const auto type = static_cast<int>(byte_at(configuration, at) & 0x3FU);
    const unsigned units = byte_at(configuration, at + 1) << 8U | byte_at(configuration, at + 2);
    if (type == hevc_sps && units > 0) return true;
    at += 3;
    for (unsigned i = 0; i < units && at < configuration.size(); ++i)
      at += 2 + (static_cast<std::size_t>(byte_at(configuration, at)) << 8U | byte_at(configuration, at + 1));
  }
  return false;
}

std::optional<std::string> with_parameter_sets(VideoCodec codec, std::string_view configuration,
                                               std::string_view key_frame) {
  const auto length_bytes = nal_length_bytes(codec, configuration);
  const auto units = [&](int type) { return units_of(codec, type, length_bytes, key_frame); };
  if (codec == VideoCodec::h264) {
    const auto sequence = units(avc_sps);
    const auto picture = units(avc_pps);
    if (sequence.empty() || picture.empty()) return std::nullopt;
    return avc_configuration(configuration, sequence, picture);
  }
  const std::vector<std::vector<std::string_view>> sets{units(hevc_vps), units(hevc_sps), units(hevc_pps)};
  if (std::any_of(sets.begin(), sets.end(), [](const auto& one) { return one.empty(); })) return std::nullopt;
  return hevc_configuration(configuration, sets);
}

}  // namespace responder::media
