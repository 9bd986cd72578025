#include "clip_checks.hpp"

#include <cmath>
#include <map>

#include <catch2/catch.hpp>

namespace responder::test {

// The clip of an event, held against what the device served for its window: every packet, in order, at its time.
std::int64_t some_time_ago(std::int64_t seconds) { return now_ms() / 2000 * 2000 - seconds * 1000; }

void check_clip(const Responder& responder, const fake_rhombus::FakeRhombus& rhombus, const Event& event,
                const std::string& sound_device) {
  const auto clip = read_clip(responder.clips() / event.clip);
  REQUIRE(clip.readable);
  CHECK(clip.index_first);
  CHECK(std::abs(clip.start_time) < 0.001);
  CHECK(clip.tags.count("title") == 1);
  CHECK(clip.tags.count("creation_time") == 1);
  REQUIRE(clip.streams.size() == (sound_device.empty() ? 1 : 2));
  const auto duration = event.window_end - event.window_start;

  const auto video = rhombus.truth(event.camera, false, event.window_start, duration);
  REQUIRE(clip.streams[0].size() == video.size());
  for (std::size_t i = 0; i < video.size(); ++i) {
    REQUIRE(clip.streams[0][i].data == video[i].data);
    const double recorded = static_cast<double>(video[i].presentation_time - video[0].presentation_time) / 90000;
    REQUIRE(std::abs(clip.streams[0][i].presentation - clip.streams[0][0].presentation - recorded) < 0.002);
  }
  if (sound_device.empty()) return;
  const auto sound = rhombus.truth(sound_device, true, event.window_start, duration);
  REQUIRE(clip.streams[1].size() == sound.size());
  for (std::size_t i = 0; i < sound.size(); ++i) {
    REQUIRE(clip.streams[1][i].data == sound[i].data);
    const double recorded = static_cast<double>(sound[i].presentation_time) / 48000 -
                            static_cast<double>(video[0].presentation_time) / 90000;
    const double shown = clip.streams[1][i].presentation - clip.streams[0][0].presentation;
    REQUIRE(std::abs(shown - recorded) < 0.040);
  }
}

void check_packets_are_true(const Responder& responder, const fake_rhombus::FakeRhombus& rhombus,
                            const Event& event) {
  const auto clip = read_clip(responder.clips() / event.clip);
  REQUIRE(clip.readable);
  std::map<std::string, double> truth;
  const auto first = static_cast<double>(event.window_start);
  for (const auto& sample :
       rhombus.truth(event.camera, false, event.window_start, event.window_end - event.window_start))
    truth[sample.data] = static_cast<double>(sample.presentation_time) / 90000 - first;
  REQUIRE_FALSE(clip.streams.at(0).empty());
  const auto& pictures = clip.streams[0];
  REQUIRE(truth.count(pictures[0].data) == 1);
  const double offset = truth[pictures[0].data] - pictures[0].presentation;
  for (const auto& picture : pictures) {
    REQUIRE(truth.count(picture.data) == 1);
    REQUIRE(std::abs(picture.presentation + offset - truth[picture.data]) < 0.002);
  }
}

}  // namespace responder::test
