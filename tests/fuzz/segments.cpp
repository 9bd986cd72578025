// What a device serves, from its bytes to a clip. The first byte says which way: each segment checked and remuxed by
// itself, or by a session that follows a manifest, with all its retries; the second how parts are cut.
// Then blocks: a kind (init or segment, picture or sound), two bytes of length, the bytes.
#include <fstream>
#include <vector>

#include <fmt/format.h>

#include "responder/media/assemble.hpp"
#include "responder/media/remux.hpp"
#include "responder/media/session.hpp"

#include "fuzz.hpp"
#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::media;
using fuzz::require;

namespace {

constexpr std::int64_t start = 1'700'000'000;
constexpr std::size_t max_blocks = 12;

struct Served {
  std::string_view init;
  std::vector<std::string_view> segments;
};

struct Device {
  Served video;
  Served audio;

  explicit Device(fuzz::Input& input) {
    for (std::size_t i = 0; i < max_blocks && !input.empty(); ++i) {
      const auto kind = input.byte();
      Served& served = (kind & 2U) != 0 ? audio : video;
      const auto content = input.block();
      if ((kind & 1U) == 0) {
        served.init = content;
      } else {
        served.segments.push_back(content);
      }
    }
  }
};

void write(const std::filesystem::path& file, std::string_view content) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
}

void make_clip(const std::vector<TakenTrack>& tracks, const std::filesystem::path& folder, std::size_t most_bytes) {
  const auto clip =
      remux(tracks, folder / "clip.mp4", {"a title", std::chrono::sys_seconds(std::chrono::seconds(start))}, {});
  if (!clip) return fuzz::require_one_line(clip.error().message);
  std::size_t samples = 0;
  for (const auto& track : tracks) samples += track.samples;
  require(clip->streams.size() == tracks.size(), "a clip has the tracks that were taken");
  require(clip->bytes <= most_bytes + 64 * samples + 128 * 1024, "a clip is about as large as what was taken");
}

// Checked, then put together as they are.
std::optional<TakenTrack> take(const Served& served, TrackKind kind, unsigned cut,
                               const std::filesystem::path& folder) {
  const auto name = std::string(to_string(kind));
  TakenPart part;
  part.init_file = folder / (name + "-init");
  write(part.init_file, served.init);
  const auto init = check_init(part.init_file, kind);
  if (!init) {
    fuzz::require_one_line(init.error().message);
    return std::nullopt;
  }
  require(init->timescale > 0, "a timescale can be divided by");
  part.init = *init;
  TakenTrack track;
  track.kind = kind;
  for (const auto& content : served.segments) {
    const auto file = folder / (name + std::to_string(part.segments.size()));
    write(file, content);
    const auto info = check_segment(file, *init);
    if (!info) {
      fuzz::require_one_line(info.error().message);
      continue;
    }
    require(info->samples > 0 && info->duration >= Micros(0), "a segment has something in it");
    if (part.segments.empty() && (cut & 1U) != 0) part.origin = info->decode_time;
    track.samples += info->samples;
    part.segments.push_back(file.string());
  }
  if (part.segments.empty()) return std::nullopt;
  if ((cut & 2U) != 0) part.from = Micros(300'000);
  if ((cut & 4U) != 0) part.to = Micros(3'000'000);
  track.parts.push_back(part);
  // The same once more: a part that follows another.
  if ((cut & 8U) != 0) {
    part.origin -= Micros(1'000'000);
    track.parts.push_back(part);
    track.samples *= 2;
  }
  return track;
}

// Serves a manifest that names what there is, two seconds each.
class MemorySource final : public Source {
 public:
  explicit MemorySource(const Device& device) : device_(device) {}

  Result<Document> text(const net::Url& url, std::size_t, std::stop_token) override {
    std::string sets;
    for (const auto* name : {"video", "audio"}) {
      const auto& served = of(name);
      if (served.segments.empty() && name != std::string_view("video")) continue;
      sets += fmt::format(
          R"(<AdaptationSet mimeType="{0}/mp4"><SegmentTemplate media="{0}-$Number$" initialization="{0}-init" )"
          R"(startNumber="0" duration="2"/><Representation id="r" bandwidth="1"/></AdaptationSet>)",
          name);
    }
    return Document{
        url, fmt::format(R"(<MPD mediaPresentationDuration="PT{}S"><Period>{}</Period></MPD>)", seconds(), sets)};
  }
  Result<void> file(const net::Url& url, const std::filesystem::path& file, std::size_t, std::stop_token) override {
    const auto dash = url.path.find('-');
    const auto name = url.path.substr(1, dash - 1);
    const auto number = url.path.substr(dash + 1);
    if (number == "init") {
      write(file, of(name).init);
      return {};
    }
    const auto index = static_cast<std::size_t>(std::atoi(number.c_str()));
    if (index >= of(name).segments.size()) return Error{ErrorKind::not_found, "404"};
    write(file, of(name).segments[index]);
    return {};
  }
  std::size_t parallel() const override { return 1; }

  std::int64_t seconds() const {
    return 2 * static_cast<std::int64_t>(std::max<std::size_t>(1, device_.video.segments.size()));
  }

 private:
  const Served& of(std::string_view name) const { return name == "video" ? device_.video : device_.audio; }
  const Device& device_;
};

std::vector<TakenTrack> take_by_session(const Device& device, const std::filesystem::path& folder) {
  test::ManualClock clock{WallTime(std::chrono::seconds(start + 100))};
  MemorySource source(device);
  SessionOptions options;
  options.mpd = *net::Url::parse("https://h/clip.mpd");
  options.start = std::chrono::sys_seconds(std::chrono::seconds(start));
  options.duration = std::chrono::seconds(source.seconds());
  options.directory = folder;
  const auto window = Micros(options.duration);
  Session session(std::move(options), source, clock);
  for (int steps = 0;; ++steps) {
    require(steps < 1000, "a session ends");
    const auto progress = session.advance({});
    if (!progress) fuzz::require_one_line(progress.error().message);
    if (!progress || progress->finished) break;
    require(progress->next_at > clock.wall_now(), "a session waits for something");
    clock.advance(progress->next_at - clock.wall_now());
  }
  const auto taken = session.taken();
  const Contribution alone{&taken, Micros(0), window};
  auto tracks = assemble(std::span(&alone, 1), window);
  for (const auto& track : tracks) {
    for (const auto& gap : track.gaps)
      require(gap.start >= Micros(0) && gap.start < gap.end && gap.end <= window, "a gap is in the window");
  }
  std::erase_if(tracks, [](const TakenTrack& track) { return track.parts.empty(); });
  return tracks;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempFolder parent;
  fuzz::Input input(data, size);
  const bool by_session = (input.byte() & 1U) != 0;
  const unsigned cut = input.byte();
  const Device device(input);

  const auto folder = parent / "run";
  std::filesystem::create_directory(folder);
  std::vector<TakenTrack> tracks;
  if (by_session) {
    tracks = take_by_session(device, folder);
  } else {
    auto video = take(device.video, TrackKind::video, cut, folder);
    auto audio = take(device.audio, TrackKind::audio, cut >> 4U, folder);
    if (video) tracks.push_back(std::move(*video));
    if (audio) tracks.push_back(std::move(*audio));
  }
  if (!tracks.empty()) make_clip(tracks, folder, 2 * size);
  std::filesystem::remove_all(folder);
  return 0;
}
