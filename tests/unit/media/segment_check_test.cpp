#include "responder/media/segment_check.hpp"

#include <fstream>

#include <catch2/catch.hpp>

#include "media_loop.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::media;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  test::TempFolder folder;

  std::filesystem::path file(const std::string& content) {
    const auto path = folder / "segment";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
};

const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});
const auto opus = fake_rhombus::make_opus_webm();
const auto aac = fake_rhombus::make_aac();

}  // namespace

TEST_CASE_METHOD(Fixture, "real segments are understood") {
  const auto video_init = check_init(file(video->init_segment()), TrackKind::video);
  REQUIRE(video_init);
  CHECK(video_init->codec == "avc1");
  CHECK(video_init->timescale == 90000);
  CHECK(video_init->encoding.size() == 64);
  auto segment = check_segment(file(video->segment(1'700'000'004, 2, 1'700'000'000)), *video_init);
  REQUIRE(segment);
  CHECK(segment->decode_time == 4s);
  CHECK(segment->samples == 10);
  segment = check_segment(file(video->segment(1'700'000'004, 2, 0)), *video_init);
  CHECK(segment->decode_time == 1'700'000'004s);

  const auto aac_init = check_init(file(aac->init_segment()), TrackKind::audio);
  REQUIRE(aac_init);
  CHECK(aac_init->codec == "mp4a");
  CHECK(check_segment(file(aac->segment(1'700'000'000, 2, 1'700'000'000)), *aac_init)->samples == 94);

  const auto opus_init = check_init(file(opus->init_segment()), TrackKind::audio);
  REQUIRE(opus_init);
  CHECK(opus_init->container == Container::webm);
  CHECK(opus_init->codec == "A_OPUS");
  segment = check_segment(file(opus->segment(1'700'000'004, 2, 1'700'000'000)), *opus_init);
  REQUIRE(segment);
  CHECK(segment->samples == 100);
  CHECK(std::chrono::abs(segment->decode_time - Micros(4s)) < 10ms);
}

TEST_CASE_METHOD(Fixture, "a segment cut off at any byte is refused") {
  for (const auto& [loop, kind] : {std::pair{video, TrackKind::video}, {opus, TrackKind::audio}}) {
    const auto init = *check_init(file(loop->init_segment()), kind);
    const auto whole = loop->segment(1'700'000'000, 2, 1'700'000'000);
    for (std::size_t cut = 0; cut < whole.size(); cut += cut < 1000 ? 1 : 97) {
      CAPTURE(cut, whole.size());
      REQUIRE_FALSE(check_segment(file(whole.substr(0, cut)), init));
    }
  }
}

TEST_CASE_METHOD(Fixture, "what is no segment is refused in words") {
  const auto init = *check_init(file(video->init_segment()), TrackKind::video);
  const auto reason = [&](const std::string& content) {
    const auto checked = check_segment(file(content), init);
    REQUIRE_FALSE(checked);
    return checked.error().message;
  };
  CHECK(reason("") == "it is empty");
  CHECK(reason("<html>404</html>").find("page of text") != std::string::npos);
  CHECK(reason("{\"error\":true}").find("page of text") != std::string::npos);
  CHECK(reason(video->init_segment()).find("initialization") != std::string::npos);
  CHECK(reason(opus->segment(1'700'000'000, 2, 1'700'000'000)).size() > 0);
  CHECK(reason(std::string(5000, '\0')).size() > 0);
  const auto hevc = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5, .hevc = true});
  CHECK(reason(hevc->segment(1'700'000'000, 2, 1'700'000'000)).find("not the 'avc1'") != std::string::npos);
  const auto hevc_init = *check_init(file(hevc->init_segment()), TrackKind::video);
  CHECK(check_segment(file(hevc->segment(1'700'000'000, 2, 1'700'000'000)), hevc_init));
  CHECK_FALSE(check_segment(file(video->segment(1'700'000'000, 2, 1'700'000'000)), hevc_init));
  CHECK(reason(std::string(5000, '\xff')).size() > 0);

  CHECK_FALSE(check_init(file(""), TrackKind::video));
  CHECK_FALSE(check_init(file("<html/>"), TrackKind::video));
  CHECK_FALSE(check_init(file(aac->init_segment()), TrackKind::video));
  CHECK_FALSE(check_init(file(video->init_segment()), TrackKind::audio));
  CHECK_FALSE(check_init(file(opus->init_segment()), TrackKind::video));
  CHECK_FALSE(check_init(file(video->init_segment().substr(0, 300)), TrackKind::video));
  CHECK_FALSE(check_init(folder / "none", TrackKind::video));
}

TEST_CASE_METHOD(Fixture,
                 "an initialization is the same when all that differs is when it was written, and bit rates") {
  const auto init_of = [&](const fake_rhombus::TrackLoop& loop, TrackKind kind, const char* box, std::size_t at) {
    auto content = loop.init_segment();
    const auto found = content.find(box);
    REQUIRE(found != std::string::npos);
    content.replace(found + at, 4, "\x11\x22\x33\x44");
    const auto init = check_init(file(content), kind);
    REQUIRE(init);
    return *init;
  };
  const auto video_init = *check_init(file(video->init_segment()), TrackKind::video);
  constexpr std::size_t creation_time = 8;
  CHECK(read_samples_alike(video_init, init_of(*video, TrackKind::video, "mvhd", creation_time)));
  constexpr std::size_t sequence_parameter_set = 4 + 9;
  CHECK_FALSE(read_samples_alike(video_init, init_of(*video, TrackKind::video, "avcC", sequence_parameter_set)));

  const auto aac_init = *check_init(file(aac->init_segment()), TrackKind::audio);
  const auto sound = aac->init_segment();
  const auto decoder = sound.find("\x04\x80\x80\x80", sound.find("esds"));
  REQUIRE(decoder != std::string::npos);
  const std::size_t content = decoder + 5 - sound.find("esds");
  const auto average_bit_rate = content + 9, specific_config = content + 13 + 5;
  CHECK(read_samples_alike(aac_init, init_of(*aac, TrackKind::audio, "esds", average_bit_rate)));
  CHECK_FALSE(read_samples_alike(aac_init, init_of(*aac, TrackKind::audio, "esds", specific_config)));
}

TEST_CASE_METHOD(Fixture, "units that decoders ignore are no reason to refuse a segment") {
  const auto init = *check_init(file(video->init_segment()), TrackKind::video);
  const auto whole = video->segment(1'700'000'000, 2, 1'700'000'000);
  // The stand-in's SEI in front of each picture: the header, the payload's type and size, then its text.
  const std::string sei = "\x06\x05";
  const auto with_header = [&](char header) {
    auto content = whole;
    for (auto at = content.find("rhombus-stand-in"); at != std::string::npos;
         at = content.find("rhombus-stand-in", at + 1)) {
      REQUIRE(content.substr(at - 3, 2) == sei);
      content[at - 3] = header;
    }
    return content;
  };
  for (const char header : {'\x66', '\x18', '\x1F', '\x7E'}) CHECK(check_segment(file(with_header(header)), init));

  // An end of the sequence, one byte long, as the last thing in the file.
  auto ended = whole;
  std::size_t at = ended.rfind("rhombus-stand-in") - 7;
  std::size_t last = at;
  const auto size_at = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(ended[i + 2])) << 8U |
           static_cast<unsigned char>(ended[i + 3]);
  };
  while (at < ended.size()) {
    last = at;
    at += 4 + size_at(at);
  }
  REQUIRE(at == ended.size());
  const auto shorter = size_at(last) - 5;
  ended[last + 2] = static_cast<char>(shorter >> 8U);
  ended[last + 3] = static_cast<char>(shorter & 0xFFU);
  ended.replace(ended.size() - 5, 5, std::string("\0\0\0\x01\x0A", 5));
  CHECK(check_segment(file(ended), init));
}
