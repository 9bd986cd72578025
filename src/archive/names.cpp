#include "responder/archive/names.hpp"

#include <algorithm>
#include <clocale>
#include <cwchar>
#include <cwctype>

#include <fmt/format.h>
#include <locale.h>

#include "responder/base/text.hpp"

namespace responder::archive {
namespace {

constexpr std::size_t ending_size = 5;  // ".json"
constexpr std::string_view alert_video = "video", alert_with_audio = "combined";
constexpr std::string_view range_video = "video", range_with_audio = "videoWithAudio";

// The C library's own Unicode tables, whatever locale the process runs in.
locale_t unicode() {
  static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

// Cuts at most to `limit` bytes, never inside a character.
std::string shortened(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0U) == 0x80U) --limit;
  text.resize(limit);
  return text;
}

std::uint32_t decode(std::string_view sequence) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(sequence[i]));
  };
  switch (sequence.size()) {
    case 1: return byte(0);
    case 2: return (byte(0) & 0x1FU) << 6U | (byte(1) & 0x3FU);
    case 3: return (byte(0) & 0x0FU) << 12U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU);
    default: return (byte(0) & 0x07U) << 18U | (byte(1) & 0x3FU) << 12U | (byte(2) & 0x3FU) << 6U | (byte(3) & 0x3FU);
  }
}

}  // namespace

std::string letters_and_digits(std::string_view text, std::string_view otherwise) {
  std::string kept;
  while (!text.empty()) {
    std::size_t length = 1;
    while (length < text.size() && length < 4 && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U)
      ++length;
    const auto sequence = text.substr(0, length);
    text.remove_prefix(length);
    if (!is_valid_utf8(sequence)) continue;
    if (::iswalnum_l(static_cast<std::wint_t>(decode(sequence)), unicode())) kept += sequence;
  }
  return kept.empty() ? std::string(otherwise) : kept;
}

namespace {

// The last part of a range's name: CameraName_CAMERAUUID_1672531200_video.
std::string range_stem(const ClipIdentity& clip, const std::string& camera_name, std::size_t max_bytes) {
  const auto fixed = fmt::format("_{}_{}_{}", clip.camera.str(), clip.window_start.time_since_epoch().count(),
                                 clip.has_audio ? range_with_audio : range_video);
  return shortened(camera_name, max_bytes - std::min(max_bytes, fixed.size())) + fixed;
}

// CameraName_CAMERAUUID_20240101_143022_alert_MOTIONHUMAN_ALERTID_video.
std::string alert_stem(const ClipIdentity& clip, std::string camera_name, const std::string& when,
                       std::size_t max_bytes) {
  std::vector<std::string> types;
  for (const auto& activity : clip.activities) types.push_back(letters_and_digits(activity, "UNKNOWN"));
  std::string type = types.empty() ? "UNKNOWN" : join(types, "-");
  const std::string alert = letters_and_digits(clip.alert.str(), "alert");
  const std::string_view content = clip.has_audio ? alert_with_audio : alert_video;
  const std::size_t fixed = fmt::format("_{}_{}_alert__{}_{}", clip.camera.str(), when, alert, content).size();
  const std::size_t room = max_bytes - std::min(max_bytes, fixed);
  camera_name = shortened(std::move(camera_name), std::max(room - std::min(room, type.size()), room / 2));
  type = shortened(std::move(type), room - camera_name.size());
  return fmt::format("{}_{}_{}_alert_{}_{}_{}", camera_name, clip.camera.str(), when, type, alert, content);
}

}  // namespace

bool name_says_audio(std::string_view clip) {
  clip = clip.substr(0, clip.rfind('.'));
  // One of several of the same name has a number.
  const auto number = clip.find_last_not_of("0123456789");
  if (number != std::string_view::npos && clip[number] == '-') clip = clip.substr(0, number);
  return clip.ends_with(fmt::format("_{}", alert_with_audio)) || clip.ends_with(fmt::format("_{}", range_with_audio));
}

std::filesystem::path clip_stem(const ClipIdentity& clip, Layout layout, NameZone zone, std::size_t max_bytes,
                                int number) {
  const std::string name = letters_and_digits(clip.camera_name, "Camera");
  const std::string when = format_for_name(clip.window_start, zone);
  const std::string end = number == 1 ? "" : fmt::format("-{}", number);
  max_bytes = std::min(max_bytes, max_name_bytes);
  const std::size_t room = max_bytes - std::min(max_bytes, end.size() + ending_size);
  const std::string stem = (clip.is_range ? range_stem(clip, name, room) : alert_stem(clip, name, when, room)) + end;
  switch (layout) {
    case Layout::flat: return stem;
    case Layout::by_date:
      return std::filesystem::path(when.substr(0, 4)) / when.substr(4, 2) / when.substr(6, 2) / stem;
    case Layout::by_camera: {
      constexpr std::size_t for_name = 120;
      const std::size_t left = max_bytes - std::min(max_bytes, clip.camera.str().size() + 1);
      return std::filesystem::path(
                 fmt::format("{}_{}", shortened(name, std::min(for_name, left)), clip.camera.str())) /
             stem;
    }
  }
  return stem;
}

std::string shorter_name(const std::string& file_name, std::size_t max_bytes) {
  std::string name = file_name;
  // The camera's name has letters and digits only, so it ends at the first '_'; what follows "_alert_" are triggers.
  const auto cut = [&](std::size_t from, std::size_t to) {
    if (name.size() <= max_bytes || from == std::string::npos || to == std::string::npos || to <= from + 1) return;
    const auto excess = name.size() - max_bytes;
    const auto kept = shortened(name.substr(from, to - from), to - from - std::min(to - from - 1, excess));
    name.replace(from, to - from, kept);
  };
  cut(0, name.find('_'));
  constexpr std::string_view before_triggers = "_alert_";
  if (const auto at = name.find(before_triggers); at != std::string::npos)
    cut(at + before_triggers.size(), name.find('_', at + before_triggers.size()));
  return name;
}

}  // namespace responder::archive
