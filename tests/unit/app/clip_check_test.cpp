#include "clip_check.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "progress_line.hpp"

using namespace responder;
using namespace responder::app;
using namespace std::chrono_literals;
using archive::FileDigest;
using journal::Damage;
using journal::State;

namespace {

const journal::Published recorded{"a/b.mp4", "lan", 5, "aa", {}, {}};

journal::Capture capture(State state) {
  journal::Capture row;
  row.alert = AlertId("A1");
  row.camera = DeviceId("CAM");
  row.state = state;
  row.published = recorded;
  return row;
}

std::string sidecar(const std::string& alert, int bytes, const std::string& sha256) {
  return fmt::format(
      R"({{"alert":"{}","camera":"CAM","camera_name":"Cam","location":"L","activities":[],"via":"webhook",)"
      R"("alert_at":1.0,"alert_duration":1,"received_at":1.0,"window_start":1,"window_end":9,"state":"done",)"
      R"("final":true,"reason":"","source":"lan","gaps":[],"clip":"a/b.mp4","bytes":{},"sha256":"{}"}})",
      alert, bytes, sha256);
}

}  // namespace

TEST_CASE("a clip is held against what is recorded of it") {
  struct Case {
    Result<FileDigest> read;
    std::optional<Damage> damage;
    std::string text;
  };
  const std::vector<Case> cases{
      {FileDigest{5, "aa"}, {}, ""},
      {FileDigest{4, "aa"}, Damage::damaged, "it has 4 bytes, not 5"},
      {FileDigest{5, "ab"}, Damage::damaged, "SHA-256"},
      {Error{ErrorKind::not_found, "x"}, Damage::missing, "not in the archive"},
      {Error{ErrorKind::no_space, "input/output error"}, Damage::damaged, "input/output error"},
      {Error{ErrorKind::permanent, "permission denied"}, Damage::none, "permission denied"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    const auto finding = judge_clip(recorded, one.read);
    REQUIRE(finding.has_value() == one.damage.has_value());
    if (!finding) continue;
    CHECK(finding->damage == *one.damage);
    CHECK(finding->text.find(one.text) != std::string::npos);
  }
}

TEST_CASE("a clip that has just come, and that the journal does not know yet, is no finding") {
  const FileDigest read{7, "bb"};
  CHECK(is_just_published(capture(State::capturing), read, sidecar("A1", 7, "bb")));
  CHECK(is_just_published(capture(State::waiting), read, sidecar("A1", 7, "bb")));
  // Nobody is at work on it: clip and sidecar were exchanged by somebody else.
  CHECK_FALSE(is_just_published(capture(State::done), read, sidecar("A1", 7, "bb")));
  CHECK_FALSE(is_just_published(capture(State::partial), read, sidecar("A1", 7, "bb")));
  CHECK_FALSE(is_just_published(capture(State::capturing), read, sidecar("A1", 7, "bc")));
  CHECK_FALSE(is_just_published(capture(State::capturing), read, sidecar("A2", 7, "bb")));
  CHECK_FALSE(is_just_published(capture(State::capturing), read, std::string("{")));
  CHECK_FALSE(is_just_published(capture(State::capturing), read, Error{ErrorKind::not_found, "x"}));
}

TEST_CASE("whether it is the same clip") {
  auto other = capture(State::done);
  CHECK(is_same_clip(capture(State::done), other));
  other.published->sha256 = "cc";
  CHECK_FALSE(is_same_clip(capture(State::done), other));
  other.published.reset();
  CHECK_FALSE(is_same_clip(capture(State::done), other));
}

TEST_CASE("progress has rate and time left") {
  CHECK(progress_text("1 of 2 clips", 1U << 30U, 3ULL << 30U, 2s) ==
        "1 of 2 clips, 1.0 GiB of 3.0 GiB, 512.0 MiB/s, about 5 s left");
  CHECK(progress_text("0 clips", 0, 10, 1s) == "0 clips, 0 B of 10 B");
  CHECK(progress_text("2 clips", 2048, 1024, 1s) == "2 clips, 2.0 KiB of 2.0 KiB, 2.0 KiB/s");
  CHECK(format_duration(59s) == "59 s");
  CHECK(format_duration(200s) == "3 min 20 s");
  CHECK(format_duration(7500s) == "2 h 5 min");
}
