#include "responder/archive/archive.hpp"

#include <fstream>

#include <catch2/catch.hpp>

#include "responder/base/file.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::archive;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempFolder folder;
  Archive archive{folder / "clips", Layout::flat, NameZone::utc, 0};

  Fixture() { fs::create_directory(folder / "clips"); }

  fs::path finished(const std::string& content) {
    const auto path = folder / "spool.mp4";
    fs::remove(path);  // never written to again: it may be the published clip by another name
    std::ofstream(path) << content;
    return path;
  }
  static ClipIdentity identity(const std::string& alert) {
    return {"Door",
            DeviceId("CAM"),
            AlertId(alert),
            {"FACE"},
            std::chrono::sys_seconds(std::chrono::seconds(1'704'897'022)),
            false};
  }
  Result<ArchivedClip> publish(const std::string& alert, const std::string& content, bool whole = true,
                               const std::string& own = {}) {
    const auto id = identity(alert);
    return archive.publish(finished(content), id, {.whole = whole, .own = own}, [&](const ArchivedClip& clip) {
      return sidecar_identity(id) + ",\"sha256\":\"" + clip.sha256 + "\"}";
    });
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder / "clips"), {}));
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a published clip has its name, its hash and its sidecar, and leaves nothing else") {
  const auto clip = publish("A1", "abc");
  REQUIRE(clip);
  CHECK(clip->path == "Door_CAM_20240110_143022_alert_FACE_A1_video.mp4");
  CHECK(clip->bytes == 3);
  CHECK(clip->sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(*read_file(folder / "clips" / clip->path) == "abc");
  CHECK(files() == 2);
}

TEST_CASE_METHOD(Fixture, "a clip may have another layout than the archive") {
  const auto id = identity("A1");
  const auto sidecar = [&](const ArchivedClip&) { return sidecar_identity(id) + "}"; };
  REQUIRE(publish("A1", "abc"));
  const auto moved = archive.publish(finished("abcdef"), id, {.layout = Layout::by_date}, sidecar);
  REQUIRE(moved);
  CHECK(moved->path == "2024/01/10/Door_CAM_20240110_143022_alert_FACE_A1_video.mp4");
  CHECK(*read_file(folder / "clips" / moved->path) == "abcdef");
  CHECK(*read_file(folder / "clips/Door_CAM_20240110_143022_alert_FACE_A1_video.mp4") == "abc");
}

TEST_CASE_METHOD(Fixture, "the finished clip stays in the spool, and may be published again") {
  const auto file = finished("abc");
  const auto id = identity("A1");
  for (int i = 0; i < 2; ++i) {
    REQUIRE(archive.publish(file, id, {}, [&](const ArchivedClip&) { return sidecar_identity(id) + "}"; }));
    CHECK(*read_file(file) == "abc");
    CHECK(files() == 2);
  }
}

TEST_CASE_METHOD(Fixture, "the same capture replaces its clip, another alert of the same name does not") {
  REQUIRE(publish("A1", "abc"));
  const auto better = publish("A1", "abcdef");
  CHECK(better->path == "Door_CAM_20240110_143022_alert_FACE_A1_video.mp4");
  CHECK(files() == 2);
  // Without its '-' this alert's id is A1 as well.
  const auto other = publish("A-1", "other");
  CHECK(other->path == "Door_CAM_20240110_143022_alert_FACE_A1_video-2.mp4");
  CHECK(*read_file(folder / "clips" / better->path) == "abcdef");
}

TEST_CASE_METHOD(Fixture, "a clip with a damaged sidecar gives way to a whole one alone, of its own") {
  const auto first = publish("A1", "abc");
  const auto sidecar = fs::path(folder / "clips" / first->path).replace_extension(".json");
  std::ofstream(sidecar) << "{ damaged";
  CHECK(publish("A1", "ab", false)->path.ends_with("_video-2.mp4"));
  CHECK(*read_file(folder / "clips" / first->path) == "abc");
  CHECK(publish("A1", "abcd", true, "its own is elsewhere")->path.ends_with("_video-2.mp4"));
  CHECK(*read_file(folder / "clips" / first->path) == "abc");
  CHECK(publish("A1", "abcd", true, first->path)->path == first->path);
  CHECK(*read_file(folder / "clips" / first->path) == "abcd");
}

TEST_CASE_METHOD(Fixture, "a name that is another clip's is not free, were its file gone") {
  const auto id = identity("A1");
  const auto sidecar = [&](const ArchivedClip&) { return sidecar_identity(id) + "}"; };
  const Naming naming{.is_of_another = [](const std::string& clip) { return clip.ends_with("_video.mp4"); }};
  CHECK(archive.publish(finished("abc"), id, naming, sidecar)->path.ends_with("_video-2.mp4"));
  const Naming unknown{.is_of_another = [](const std::string&) { return Error{ErrorKind::transient, "no"}; }};
  CHECK_FALSE(archive.publish(finished("abc"), id, unknown, sidecar));
}

TEST_CASE_METHOD(Fixture, "a file without a sidecar is somebody's, unless it is this very clip") {
  const auto first = publish("A1", "abc");
  const auto sidecar = fs::path(folder / "clips" / first->path).replace_extension(".json");
  fs::remove(sidecar);
  CHECK(publish("A1", "xyz", true)->path.ends_with("_video-2.mp4"));
  CHECK(*read_file(folder / "clips" / first->path) == "abc");
  CHECK(publish("A1", "abc", true)->path == first->path);
  CHECK(fs::exists(sidecar));
  std::ofstream(sidecar) << "notes of a person";
  CHECK(publish("A1", "new", true)->path.ends_with("_video-2.mp4"));
  CHECK(*read_file(sidecar) == "notes of a person");
}

TEST_CASE_METHOD(Fixture, "a clip whose sidecar cannot be had stays under no final name") {
  fs::create_directories(folder / "clips" / ".Door_CAM_20240110_143022_alert_FACE_A1_video.json.part" / "in the way");
  CHECK_FALSE(publish("A1", "abc"));
  CHECK_FALSE(fs::exists(folder / "clips/Door_CAM_20240110_143022_alert_FACE_A1_video.mp4"));
}

TEST_CASE_METHOD(Fixture, "no picture is written where the archive, and so its clip, is not") {
  const auto clip = publish("A1", "abc");
  REQUIRE(clip);
  const auto picture = folder / "picture.jpg";
  std::ofstream(picture) << "jpeg";
  fs::rename(folder / "clips", folder / "away");
  fs::create_directory(folder / "clips");  // the empty mount point
  CHECK_FALSE(archive.publish_thumbnail(picture, clip->path));
  CHECK(files() == 0);
  fs::remove(folder / "clips");
  fs::rename(folder / "away", folder / "clips");
  CHECK(archive.publish_thumbnail(picture, clip->path));
  CHECK(files() == 3);
}

TEST_CASE_METHOD(Fixture, "too little space is an error of its kind, and says what to do") {
  REQUIRE(archive.check_writable());
  CHECK(archive.check_space(0));
  const auto full = archive.check_space(std::uint64_t{1} << 60U);
  REQUIRE_FALSE(full);
  CHECK(full.error().kind == ErrorKind::no_space);
  CHECK(full.error().message.find("min_free_bytes") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "with the last clip of a day its folders go, and nothing else") {
  const Archive by_date{folder / "clips", Layout::by_date, NameZone::utc, 0};
  const auto published = [&](const std::string& alert) {
    return by_date
        .publish(finished("abc"), identity(alert), {},
                 [&](const ArchivedClip&) { return sidecar_identity(identity(alert)) + "}"; })
        ->path;
  };
  const auto first = published("A1");
  const auto second = published("A2");
  const auto day = (folder / "clips" / first).parent_path();
  REQUIRE(by_date.write_marker("the archive"));
  CHECK(by_date.remove(first));
  CHECK(fs::exists(folder / "clips" / second));
  CHECK(std::distance(fs::directory_iterator(day), {}) == 2);
  const auto stray = day.parent_path() / "notes.txt";
  std::ofstream(stray) << "mine";
  CHECK(by_date.remove(second));
  CHECK_FALSE(fs::exists(day));
  CHECK(fs::exists(stray));
  CHECK(by_date.remove(second));  // again, after a crash
  fs::remove(stray);
  CHECK(by_date.remove(published("A3")));
  CHECK(files() == 1);  // the marker
}

TEST_CASE_METHOD(Fixture, "what an archive's disk lacks") {
  CHECK(*archive.lacking(0) == 0);
  CHECK(*archive.lacking(std::uint64_t{1} << 60U) > std::uint64_t{1} << 59U);
  fs::remove(folder / "clips");
  CHECK_FALSE(archive.lacking(0));
}
