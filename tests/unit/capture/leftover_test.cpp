#include "responder/capture/leftover.hpp"

#include <cerrno>
#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "odd_storage.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::capture;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempFolder folder;
  const fs::path clips = folder / "clips";
  test::OddStorage storage{clips};
  const archive::Archive archive{clips, archive::Layout::flat, NameZone::utc, 0};
  std::optional<journal::Capture> row;

  Fixture() { fs::create_directory(clips); }

  void put_clip(const std::string& stem) const {
    std::ofstream(storage.as_stored((clips / stem).string() + ".mp4")) << "abc";
    std::ofstream(storage.as_stored((clips / stem).string() + ".json")) << fmt::format(
        R"({{"alert":"a1","camera":"cam","kind":"alert","camera_name":"Cam","location":"here","activities":[],)"
        R"("via":"webhook","alert_at":1700000000,"alert_duration":10,"received_at":1700000001,)"
        R"("window_start":1699999970,"window_end":1700000040,"state":"done","final":true,"reason":"","source":"lan",)"
        R"("gaps":[],"clip":"{}.mp4","bytes":3,"sha256":"00"}})",
        stem);
  }
  void row_has(const std::string& clip) {
    row.emplace();
    row->alert = AlertId("a1");
    row->camera = DeviceId("cam");
    row->published.emplace();
    row->published->clip = clip;
  }
  Result<void> remove(const std::string& clip) const {
    return remove_leftover(archive, clip, [this](const AlertId& alert, const DeviceId& camera) {
      CHECK(alert == AlertId("a1"));
      CHECK(camera == DeviceId("cam"));
      return Result<std::optional<journal::Capture>>(row);
    });
  }
  bool is_there(const std::string& clip) const { return fs::exists(clips / clip); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "where case is folded, a better clip is not removed under its old name") {
  storage.folds_case = true;
  put_clip("lobby");  // in the place of "Lobby"
  row_has("lobby.mp4");
  REQUIRE(remove("Lobby.mp4"));
  CHECK(is_there("lobby.mp4"));
  CHECK(is_there("lobby.json"));
  // Retention has removed it since: then it goes, by whatever name.
  row->removed_at = WallTime(std::chrono::seconds(1));
  REQUIRE(remove("Lobby.mp4"));
  CHECK_FALSE(is_there("lobby.mp4"));
  CHECK_FALSE(is_there("lobby.json"));
}

TEST_CASE_METHOD(Fixture, "where case is minded, the clip of the old name goes") {
  put_clip("Lobby");
  put_clip("lobby");
  row_has("lobby.mp4");
  REQUIRE(remove("Lobby.mp4"));
  CHECK_FALSE(is_there("Lobby.mp4"));
  CHECK(is_there("lobby.mp4"));
  CHECK(is_there("lobby.json"));
}

TEST_CASE_METHOD(Fixture, "a leftover that cannot be looked at stays for now, and one of nobody goes") {
  put_clip("one");
  row_has("two.mp4");
  storage.sidecar_error = EIO;
  CHECK_FALSE(remove("one.mp4"));
  storage.sidecar_error = 0;
  CHECK(is_there("one.mp4"));
  row.reset();
  CHECK(remove("one.mp4"));
  CHECK_FALSE(is_there("one.mp4"));
  CHECK(remove("one.mp4"));  // again, after a crash
}
