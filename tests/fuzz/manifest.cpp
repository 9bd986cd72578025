// A manifest into the segments that a session asks for, for a short window and for the longest.
#include "responder/media/manifest.hpp"

#include "fuzz.hpp"

using namespace responder;
using namespace responder::media;
using fuzz::require;

namespace {

constexpr std::size_t max_url_bytes = 32 * 1024;

void walk(const Track& track) {
  require(track.size() <= max_segments, "the number of segments is bounded");
  // As Session does: all the times, the URLs of those that are fetched.
  for (std::size_t i = 0; i < track.size(); ++i) {
    require(track.time_of(i).duration >= Micros(0), "a segment does not end before it begins");
    require(track.part_of(i) < track.parts(), "a segment is of a part");
    if (i > 32 && i + 1 < track.size()) continue;
    const auto segment = track.at(i);
    if (!segment) {
      fuzz::require_one_line(segment.error().message);
      continue;
    }
    require(segment->url.target().size() <= max_url_bytes, "a URL has a bounded length");
    require(segment->url.scheme == "https" || segment->url.scheme == "http", "a URL is one");
  }
  for (std::size_t part = 0; part < track.parts(); ++part) static_cast<void>(track.presentation_offset(part));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto url = *net::Url::parse("https://10.0.0.5:8443/cam/store/1700000000_60/clip.mpd?session=1");
  static const std::chrono::sys_seconds start{std::chrono::seconds(1'700'000'000)};
  for (const auto duration : {std::chrono::seconds(60), std::chrono::seconds(25 * 3600)}) {
    const auto manifest = parse_manifest(fuzz::as_text(data, size), url, start, duration);
    if (!manifest) {
      fuzz::require_one_line(manifest.error().message);
      continue;
    }
    require(manifest->video || manifest->audio, "a manifest names something");
    if (manifest->video) walk(*manifest->video);
    if (manifest->audio) walk(*manifest->audio);
  }
  return 0;
}
