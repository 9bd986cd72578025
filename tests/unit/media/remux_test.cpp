#include "responder/media/remux.hpp"

#include <cmath>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "clip_reader.hpp"
#include "media_loop.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::media;
using test::read_clip;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t start = 1'700'000'000;

std::string content_of(const std::filesystem::path& file) {
  std::ostringstream content;
  content << std::ifstream(file, std::ios::binary).rdbuf();
  return content.str();
}

struct Fixture {
  test::TempFolder folder;

  TakenTrack take(const fake_rhombus::TrackLoop& loop, TrackKind kind, std::int64_t seconds, std::int64_t base,
                  const std::vector<int>& missing = {}) {
    TakenTrack track;
    track.kind = kind;
    const auto prefix = std::string(to_string(kind)) + std::to_string(base);
    TakenPart part;
    part.init_file = folder / (prefix + "-init");
    std::ofstream(part.init_file, std::ios::binary) << loop.init_segment();
    part.init = *check_init(part.init_file, kind);
    part.origin = std::chrono::seconds(start - base);
    track.parts.push_back(part);
    for (int i = 0; i < seconds / 2; ++i) {
      if (std::find(missing.begin(), missing.end(), i) != missing.end()) continue;
      const auto file = folder / (prefix + "-" + std::to_string(i));
      std::ofstream(file, std::ios::binary) << loop.segment(start + 2 * i, 2, base);
      const auto checked = check_segment(file, part.init);
      REQUIRE(checked);
      track.samples += checked->samples;
      track.parts[0].segments.push_back(file);
    }
    return track;
  }

  ClipSummary mux(const std::vector<TakenTrack>& tracks) {
    const auto clip =
        remux(tracks, folder / "clip.mp4", {"a title", std::chrono::sys_seconds(std::chrono::seconds(start))}, {});
    REQUIRE(clip);
    return *clip;
  }

  // Every packet of the truth, in order, at its time; `audio_delay`: what the codec's own delay shifts.
  void check_packets(const std::vector<test::ClipPacket>& found, const std::vector<fake_rhombus::Sample>& truth,
                     std::int64_t timescale, double offset) {
    REQUIRE(found.size() == truth.size());
    for (std::size_t i = 0; i < truth.size(); ++i) {
      REQUIRE(found[i].data == truth[i].data);
      const double wanted =
          static_cast<double>(truth[i].presentation_time - start * timescale) / static_cast<double>(timescale) +
          offset;
      REQUIRE(std::abs(found[i].presentation - wanted) < 0.002);
    }
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "every packet passes through untouched, in order, at its time") {
  const int b_frames = GENERATE(0, 2);
  const bool hevc = GENERATE(false, true);
  const std::int64_t base = GENERATE(std::int64_t{0}, start, start - 20);  // epoch, session, arbitrary
  const auto video = fake_rhombus::make_video(
      {.width = 64, .height = 64, .frames_per_second = 5, .b_frames = b_frames, .hevc = hevc});
  const auto summary = mux({take(*video, TrackKind::video, 12, base)});
  CHECK(summary.streams.at(0).packets == 60);
  CHECK(std::chrono::abs(summary.duration - Micros(12s)) < 1ms);
  const auto clip = read_clip(folder / "clip.mp4");
  const auto truth = video->samples(start, 12);
  CHECK(std::abs(clip.start_time) < 0.001);
  const double first_shown = static_cast<double>(truth[0].presentation_time - start * 90000) / 90000;
  check_packets(clip.streams.at(0), truth, 90000, -first_shown);
  const auto starts_at = summary.starts_at - WallTime(std::chrono::seconds(start));
  CHECK(std::abs(static_cast<double>(starts_at.count()) / 1000 - first_shown) < 0.002);
  CHECK(clip.tags.at("title") == "a title");
  CHECK(clip.tags.at("creation_time").starts_with("2023-11-14T22:13:20"));
  CHECK(clip.index_first);
}

TEST_CASE_METHOD(Fixture, "parameter sets that stand in front of the pictures come into the index") {
  const bool hevc = GENERATE(false, true);
  const auto video =
      fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5, .hevc = hevc, .in_band = true});
  const auto track = take(*video, TrackKind::video, 4, start);
  CHECK(track.parts[0].init.codec == (hevc ? "hev1" : "avc3"));
  CHECK(track.parts[0].init.parameter_sets.empty());
  mux({track});
  check_packets(read_clip(folder / "clip.mp4").streams.at(0), video->samples(start, 4), 90000, 0);
  const auto init = check_init(folder / "clip.mp4", TrackKind::video);
  REQUIRE(init);
  CHECK(init->codec == (hevc ? "hvc1" : "avc1"));
  CHECK(init->parameter_sets.size() == (hevc ? 0 : 1));

  // As in the initialization of one that has them there.
  const auto described = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5, .hevc = hevc});
  const auto configuration = [&](const std::string& content) {
    const auto at = content.find(hevc ? "hvcC" : "avcC");
    REQUIRE(at != std::string::npos);
    return content.substr(at, hevc ? 17 : 40);
  };
  CHECK(configuration(content_of(folder / "clip.mp4")) == configuration(described->init_segment()));
}

TEST_CASE_METHOD(Fixture, "what a camera says of its rotation is in the clip") {
  const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});
  const auto track = take(*video, TrackKind::video, 4, start);
  // A quarter turn: a, b, u and c, d, v of the track header's matrix.
  const std::string turned("\0\0\0\0\0\1\0\0\0\0\0\0\xFF\xFF\0\0\0\0\0\0\0\0\0\0", 24);
  constexpr std::size_t matrix = 4 + 40;
  auto init = video->init_segment();
  init.replace(init.find("tkhd") + matrix, turned.size(), turned);
  std::ofstream(track.parts[0].init_file, std::ios::binary) << init;
  mux({track});
  const auto clip = content_of(folder / "clip.mp4");
  CHECK(clip.substr(clip.find("tkhd") + matrix, turned.size()) == turned);
}

TEST_CASE_METHOD(Fixture, "picture and sound of different devices and timelines stay together") {
  const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});
  const auto audio = GENERATE(fake_rhombus::make_opus_webm(), fake_rhombus::make_aac());
  const std::int64_t audio_base = GENERATE(std::int64_t{0}, start);
  mux({take(*video, TrackKind::video, 600, 0), take(*audio, TrackKind::audio, 600, audio_base)});
  const auto clip = read_clip(folder / "clip.mp4");
  REQUIRE(clip.streams.size() == 2);
  const auto sound = audio->samples(start, 600);
  REQUIRE(clip.streams[1].size() == sound.size());
  // Ten minutes in, the distance of picture and sound is what it was when they were recorded.
  for (std::size_t i = 0; i < sound.size(); i += 500) {
    REQUIRE(clip.streams[1][i].data == sound[i].data);
    const double recorded = static_cast<double>(sound[i].presentation_time - start * 48000) / 48000;
    const double shown = clip.streams[1][i].presentation - clip.streams[0][0].presentation;
    REQUIRE(std::abs(shown - recorded) < 0.010);
  }
}

TEST_CASE_METHOD(Fixture, "a hole keeps its time") {
  const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});
  mux({take(*video, TrackKind::video, 12, start, {2, 3})});
  const auto clip = read_clip(folder / "clip.mp4");
  REQUIRE(clip.streams[0].size() == 40);
  CHECK(std::abs(clip.streams[0][20].presentation - 8.0) < 0.002);
}

TEST_CASE_METHOD(Fixture, "parts with timelines of their own become one") {
  const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});
  auto track = take(*video, TrackKind::video, 6, start);
  TakenPart second = track.parts[0];
  second.segments.clear();
  second.origin = Micros(-6s);  // six seconds into the session its clock begins at 0
  for (int i = 3; i < 6; ++i) {
    second.segments.push_back(folder / ("second-" + std::to_string(i)));
    std::ofstream(second.segments.back(), std::ios::binary) << video->segment(start + 2 * i, 2, start + 6);
  }
  track.parts.push_back(second);
  track.samples *= 2;
  mux({track});
  check_packets(read_clip(folder / "clip.mp4").streams.at(0), video->samples(start, 12), 90000, 0);
}

TEST_CASE_METHOD(Fixture, "what reaches beyond the window is cut at its key frame and its last frame") {
  const int b_frames = GENERATE(0, 2);
  const auto video = fake_rhombus::make_video(
      {.width = 64, .height = 64, .frames_per_second = 5, .b_frames = b_frames, .gop_seconds = 1});
  const auto sound = fake_rhombus::make_aac();
  // Taken from `start` on for somebody else's window; ours is three to nine seconds later.
  auto pictures = take(*video, TrackKind::video, 12, start);
  auto noise = take(*sound, TrackKind::audio, 12, start);
  for (auto* track : {&pictures, &noise}) {
    track->parts[0].origin = 3s;
    track->parts[0].from = Micros(0);
    track->parts[0].to = 6s;
  }
  REQUIRE(remux(std::vector{pictures, noise}, folder / "clip.mp4",
                {"cut", std::chrono::sys_seconds(std::chrono::seconds(start + 3))}, {}));
  const auto clip = read_clip(folder / "clip.mp4");
  const auto truth = video->samples(start + 3, 6);
  REQUIRE(clip.streams.at(0).size() == truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) REQUIRE(clip.streams[0][i].data == truth[i].data);
  const auto heard = sound->samples(start + 3, 6);
  REQUIRE(clip.streams.at(1).size() == heard.size());
  for (std::size_t i = 0; i < heard.size(); ++i) REQUIRE(clip.streams[1][i].data == heard[i].data);
}

TEST_CASE_METHOD(Fixture, "where two sessions overlap, nothing comes twice") {
  const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5, .gop_seconds = 1});
  auto track = take(*video, TrackKind::video, 6, start);
  TakenPart second = track.parts[0];
  second.segments.clear();
  for (int i = 0; i < 3; ++i) {
    second.segments.push_back(folder / ("later-" + std::to_string(i)));
    std::ofstream(second.segments.back(), std::ios::binary) << video->segment(start + 5 + 2 * i, 2, start);
  }
  track.parts.push_back(second);
  track.samples *= 2;
  mux({track});
  check_packets(read_clip(folder / "clip.mp4").streams.at(0), video->samples(start, 11), 90000, 0);
}

TEST_CASE_METHOD(Fixture, "what cannot be written is an error, and so is nothing") {
  const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});
  const std::vector<TakenTrack> tracks{take(*video, TrackKind::video, 4, start)};
  CHECK_FALSE(remux(tracks, folder / "no such folder/clip.mp4", {}, {}));
  CHECK_FALSE(remux(tracks, "/dev/full", {}, {}));
  CHECK_FALSE(remux({}, folder / "clip.mp4", {}, {}));
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = remux(tracks, folder / "clip.mp4", {}, stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::cancelled);
}
