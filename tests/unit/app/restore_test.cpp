#include "restore.hpp"

#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::app;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempFolder folder;
  const fs::path clips = folder / "clips";
  const archive::Archive archive{clips, archive::Layout::flat, NameZone::utc, 0};
  journal::Journal journal = std::move(*journal::Journal::in_memory());

  Fixture() { fs::create_directory(clips); }

  void put_clip(const fs::path& stem, const std::string& alert, const std::string& state = "done") const {
    fs::create_directories((clips / stem).parent_path());
    std::ofstream((clips / stem).concat(".mp4")) << "abc";
    std::ofstream((clips / stem).concat(".json")) << fmt::format(
        R"({{"alert":"{}","camera":"cam","kind":"alert","camera_name":"Cam","location":"here","activities":[],)"
        R"("via":"webhook","alert_at":1700000000,"alert_duration":10,"received_at":1700000001,)"
        R"("window_start":1699999970,"window_end":1700000040,"state":"{}","final":true,"reason":"","source":"lan",)"
        R"("gaps":[],"clip":"x.mp4","bytes":3,"sha256":"00"}})",
        alert, state);
  }
  std::string clip_of(const std::string& alert) {
    const auto row = journal.find(AlertId(alert), DeviceId("cam"));
    return row && *row && (*row)->published ? (*row)->published->clip : "";
  }
};

// Whoever runs the tests, somebody who may not read everything.
class AsNobody {
 public:
  explicit AsNobody(const fs::path& owned) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() != 0) return;
    for (const auto& entry : fs::recursive_directory_iterator(owned))
      REQUIRE(::chown(entry.path().c_str(), nobody, 0) == 0);
    REQUIRE(::chown(owned.c_str(), nobody, 0) == 0);
    REQUIRE(::seteuid(nobody) == 0);
  }
  ~AsNobody() {
    if (::getuid() == 0 && ::seteuid(0) != 0) std::abort();
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "folders of the disk and of the NAS are no folders of clips") {
  put_clip("2024/01/10/one", "a1");
  put_clip("Lobby_cam/two", "a2");
  for (const auto* name : {"lost+found", "#recycle", "#snapshot", ".snapshot", "@eaDir", "@Recycle", "$RECYCLE.BIN",
                           "System Volume Information", ".Trash-1000", ".zfs"})
    put_clip(fs::path(name) / "clips/old", fmt::format("old{}", std::string(name).size()));
  const auto restored = restore_from_archive(archive, journal);
  REQUIRE(restored);
  CHECK(restored->written == 2);
  CHECK(restored->left_out.empty());
  CHECK(restored->passed_over.size() == 10);
  CHECK(clip_of("a1") == "2024/01/10/one.mp4");
  CHECK(clip_of("a2") == "Lobby_cam/two.mp4");
}

TEST_CASE_METHOD(Fixture, "a folder that may not be read is left out, and said") {
  put_clip("one", "a1");
  put_clip("closed/two", "a2");
  put_clip("Zoo_cam/three", "a3", "partial");
  const AsNobody nobody(folder.path());
  fs::permissions(clips / "closed", fs::perms::none);
  const auto restored = restore_from_archive(archive, journal);
  fs::permissions(clips / "closed", fs::perms::owner_all);
  REQUIRE(restored);
  CHECK(restored->written == 2);
  REQUIRE(restored->left_out.size() == 1);
  CHECK(restored->left_out[0].find((clips / "closed").string()) != std::string::npos);
  CHECK(clip_of("a3") == "Zoo_cam/three.mp4");
}

TEST_CASE_METHOD(Fixture,
                 "an archive that may not be read is an error, and of two clips of a capture the whole one counts") {
  put_clip("one", "a1", "partial");
  put_clip("two", "a1");
  {
    const AsNobody nobody(folder.path());
    fs::permissions(clips, fs::perms::none);
    const auto restored = restore_from_archive(archive, journal);
    fs::permissions(clips, fs::perms::owner_all);
    REQUIRE_FALSE(restored);
    CHECK(restored.error().message.find(clips.string()) != std::string::npos);
  }
  CHECK(restore_from_archive(archive, journal)->known == 1);
  CHECK(clip_of("a1") == "two.mp4");
}
