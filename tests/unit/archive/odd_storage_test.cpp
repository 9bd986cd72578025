// An archive is whatever people mount.
#include "odd_storage.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <vector>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "responder/archive/archive.hpp"
#include "responder/archive/hand_over.hpp"
#include "responder/archive/spool.hpp"
#include "responder/base/file.hpp"

#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::archive;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  const SystemClock clock;
  test::TempFolder folder;
  const fs::path clips = folder / "clips";
  test::OddStorage storage{clips};
  Archive archive{clips, Layout::flat, NameZone::utc, 0};

  Fixture() { fs::create_directory(clips); }

  fs::path finished(const std::string& content) {
    const auto path = folder / "spool.mp4";
    fs::remove(path);
    std::ofstream(path) << content;
    return path;
  }
  static ClipIdentity identity(const std::string& alert, const std::string& camera = "Door") {
    return {camera,
            DeviceId("CAM"),
            AlertId(alert),
            {"FACE"},
            std::chrono::sys_seconds(std::chrono::seconds(1'704'897'022)),
            false};
  }
  Result<ArchivedClip> publish(const ClipIdentity& id, const std::string& content, const Naming& naming = {}) {
    return archive.publish(finished(content), id, naming, [&](const ArchivedClip& clip) {
      return sidecar_identity(id) + ",\"clip\":\"" + clip.path + "\"}";
    });
  }
  // What stands in the archive, hidden files and all, without their folders.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(clips)) {
      if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

const std::string stem = "Door_CAM_20240110_143022_alert_FACE_A1_video";

}  // namespace

TEST_CASE_METHOD(Fixture, "a folder that cannot be synced keeps no clip from its place, one that fails does") {
  for (const int error : {EINVAL, EBADF, ENOTSUP, ENOSYS}) {
    CAPTURE(error);
    storage.folder_sync_error = error;
    CHECK(archive.check_writable());
    CHECK(archive.write_marker("the archive"));
    REQUIRE(publish(identity("A1"), "abc"));
    CHECK(archive.remove(stem + ".mp4"));
    const auto abilities = archive.try_out();
    REQUIRE(abilities);
    CHECK_FALSE(abilities->syncs_folders);
    REQUIRE(describe(*abilities).size() == 1);
    CHECK(describe(*abilities)[0].find("folders cannot be synced") != std::string::npos);
    auto handed = HandOver::open(clips / "to");
    REQUIRE(handed);
    CHECK(handed->keep(*handed->write("evidence", "clip.json"), [](std::size_t) { return true; }));
    fs::remove_all(clips / "to");
    CHECK(Spool(clips / "spool", {}, clock).create());
    CHECK(Spool(clips / "spool", {}, clock).belong_to(std::to_string(error), "now"));
    fs::remove_all(clips / "spool");
  }
  storage.folder_sync_error = EIO;
  CHECK_FALSE(archive.check_writable());
  CHECK_FALSE(archive.try_out());
  const auto failed = publish(identity("A1"), "abc");
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::no_space);  // the clip can wait
  storage.folder_sync_error = 0;
  CHECK(archive.try_out()->syncs_folders);
  CHECK(describe(*archive.try_out()).empty());
}

TEST_CASE_METHOD(Fixture, "a figure that is none is no reason to wait, or to remove anything") {
  const Archive wants_room{clips, Layout::flat, NameZone::utc, std::uint64_t{1} << 62U};
  CHECK_FALSE(wants_room.check_space(0));
  CHECK(*wants_room.lacking(0) > 0);
  const auto check_no_figure = [&] {
    const auto free = free_bytes(clips);
    REQUIRE(free);
    CHECK_FALSE(free->has_value());
    CHECK(wants_room.check_space(1));
    CHECK(*wants_room.lacking(1) == 0);
    CHECK_FALSE(wants_room.try_out()->tells_free_space);
    CHECK(Spool(clips, {1 << 20, std::uint64_t{1} << 62U}, clock).check_room());
  };
  for (const int error : {EIO, ENOSYS, EOVERFLOW}) {
    CAPTURE(error);
    storage.figures_error = error;
    check_no_figure();
  }
  storage.figures_error = 0;
  storage.no_blocks = true;
  check_no_figure();
  storage.no_blocks = false;
  storage.too_many_free = true;
  check_no_figure();
  // A folder that is not there has no figure either, and is no archive.
  storage.figures_error = ENOENT;
  CHECK_FALSE(wants_room.lacking(1));
  CHECK_FALSE(wants_room.check_space(1));
}

TEST_CASE_METHOD(Fixture, "where no file can have a second name, clips are copied") {
  for (const int error : {EPERM, EOPNOTSUPP, ENOSYS, EMLINK, EXDEV, EINVAL, EACCES}) {
    CAPTURE(error);
    storage.link_error = error;
    const auto content = "abc" + std::to_string(error);
    REQUIRE(publish(identity("A1"), content));
    CHECK(*read_file(clips / (stem + ".mp4")) == content);
    CHECK(files() == std::vector<std::string>{stem + ".json", stem + ".mp4"});
  }
}

TEST_CASE_METHOD(Fixture,
                 "where no file can be put in the place of another, a better clip takes its place all the same") {
  for (const int error : {EEXIST, EPERM}) {
    CAPTURE(error);
    storage.replace_error = 0;
    REQUIRE(publish(identity("A1"), "abc"));
    storage.replace_error = error;
    CHECK(archive.check_writable());
    REQUIRE(publish(identity("A1"), "abcdef"));
    CHECK(*read_file(clips / (stem + ".mp4")) == "abcdef");
    CHECK(files() == std::vector<std::string>{stem + ".json", stem + ".mp4"});
  }
  // One that somebody has open on a share stays, and the better one waits.
  storage.replace_error = EBUSY;
  const auto busy = publish(identity("A1"), "better");
  REQUIRE_FALSE(busy);
  CHECK(busy.error().kind == ErrorKind::no_space);
  CHECK(*read_file(clips / (stem + ".mp4")) == "abcdef");
  CHECK(files() == std::vector<std::string>{stem + ".json", stem + ".mp4"});
}

TEST_CASE_METHOD(Fixture, "names fit the folder: the camera's and the triggers' are cut, never the ids") {
  auto id = identity(std::string(22, 'a'), std::string(90, 'C'));
  id.camera = DeviceId(std::string(22, 'u'));
  id.activities = {"MOTION_HUMAN", "MOTION_CAR", "FACE", "LICENSE_PLATE"};
  const auto layout = GENERATE(Layout::flat, Layout::by_date, Layout::by_camera);
  const bool told = GENERATE(true, false);
  storage.longest_name = 143;
  storage.tells_longest_name = told;
  const auto first = publish(id, "abc", {.layout = layout});
  REQUIRE(first);
  CHECK(first->path.find(std::string(22, 'u')) != std::string::npos);
  CHECK(first->path.find("_" + std::string(22, 'a') + "_video.mp4") != std::string::npos);
  CHECK(publish(id, "abcdef", {.layout = layout})->path == first->path);
  // Another clip of the same name has its number, and a damaged one its ending.
  const Naming taken{.layout = layout, .is_of_another = [&](const std::string& name) { return name == first->path; }};
  CHECK(publish(id, "ghi", taken)->path.ends_with("_video-2.mp4"));
  CHECK(publish(id, "jkl", {.whole = false, .layout = layout, .own = first->path, .keep_own = true}));
  for (const auto& entry : fs::recursive_directory_iterator(clips)) {
    const auto name = entry.path().filename().string();
    CAPTURE(name);
    CHECK(name.size() <= 143);
    CHECK_FALSE(name.starts_with('.'));
  }
  const auto abilities = archive.try_out();
  REQUIRE(abilities);
  CHECK(abilities->longest_name == 136);
  CHECK(describe(*abilities).size() == 1);
}

TEST_CASE_METHOD(Fixture, "a name may be given out again only where nobody else can have it") {
  REQUIRE(publish(identity("A1"), "abc"));
  for (const int error : {EIO, ESTALE, ENOTCONN, ETIMEDOUT}) {
    CAPTURE(error);
    storage.sidecar_error = error;
    const auto waits = publish(identity("A1"), "abcdef");
    REQUIRE_FALSE(waits);
    CHECK(waits.error().kind == ErrorKind::no_space);
  }
  // What may not be read is another's.
  storage.sidecar_error = EACCES;
  CHECK_FALSE(publish(identity("A1"), "abcdef"));  // all the numbered ones as well
  storage.sidecar_error = 0;
  CHECK(*read_file(clips / (stem + ".mp4")) == "abc");
  CHECK(publish(identity("A1"), "abcdef")->path == stem + ".mp4");
}

TEST_CASE_METHOD(Fixture, "two names of one file are known to be one") {
  storage.folds_case = true;
  const auto old_name = publish(identity("A1", "Lobby"), "abc")->path;
  const auto new_name = publish(identity("A1", "lobby"), "abcdef")->path;
  REQUIRE(old_name != new_name);
  REQUIRE(files().size() == 2);
  CHECK(*archive.is_same_file(old_name, new_name));
  CHECK_FALSE(archive.try_out()->minds_case);
  CHECK_FALSE(*archive.is_same_file(old_name, stem + ".mp4"));
  storage.folds_case = false;
  CHECK(archive.try_out()->minds_case);
  CHECK_FALSE(*archive.is_same_file(old_name, new_name));
  REQUIRE(publish(identity("A1", "Lobby"), "abc"));
  CHECK_FALSE(*archive.is_same_file(old_name, new_name));
}

TEST_CASE_METHOD(Fixture, "an archive is one folder, however it is written, and none above it is touched") {
  const auto before = fs::current_path();
  fs::current_path(folder.path());
  fs::create_directory_symlink(clips, folder / "link");
  for (const std::string& text :
       std::vector<std::string>{"clips/", "./clips", "clips//", folder.path().string() + "//clips/./",
                                clips.string() + "/", folder.path().string() + "/clips/../clips", "link/"}) {
    CAPTURE(text);
    const Archive written{text, Layout::by_date, NameZone::utc, 0};
    const auto id = identity("A1");
    storage.synced_folders();
    const auto clip =
        written.publish(finished(text), id, {}, [&](const ArchivedClip&) { return sidecar_identity(id) + "}"; });
    REQUIRE(clip);
    CHECK(clip->path == "2024/01/10/" + stem + ".mp4");
    CHECK(*read_file(clips / clip->path) == text);
    CHECK(storage.synced_folders() == std::set<std::string>{clips.string(), (clips / "2024").string(),
                                                            (clips / "2024/01").string(),
                                                            (clips / "2024/01/10").string()});
    CHECK(written.remove(clip->path));
    CHECK(files().empty());
  }
  fs::current_path(before);
}

TEST_CASE_METHOD(Fixture, "a damaged clip stays beside what takes its place, and goes with it") {
  const auto silent = publish(identity("A1"), "damaged")->path;
  auto loud = identity("A1");
  loud.has_audio = true;
  const auto first = publish(loud, "partial", {.whole = false, .own = silent, .keep_own = true});
  REQUIRE(first);
  CHECK(first->damaged_bytes == std::string("damaged").size());
  const auto partial = first->path;
  const auto damaged = [](const std::string& clip) { return fs::path(clip).replace_extension(".damaged.mp4"); };
  CHECK(*read_file(clips / damaged(partial)) == "damaged");
  CHECK(archive.remove(silent));  // what the better one has left
  CHECK(*read_file(clips / damaged(partial)) == "damaged");
  const auto moved = publish(loud, "less partial", {.whole = false, .layout = Layout::by_date, .own = partial})->path;
  CHECK(archive.remove(partial));
  CHECK(*read_file(clips / damaged(moved)) == "damaged");
  const auto again = publish(loud, "less", {.whole = false, .layout = Layout::by_date, .own = moved});
  CHECK(again->damaged_bytes == std::string("damaged").size());
  CHECK(archive.remove(moved));
  CHECK(files().empty());
}

TEST_CASE_METHOD(Fixture, "a long copy can be ended between its pieces, and leaves nothing") {
  storage.link_error = EXDEV;
  const auto id = identity("A1");
  const std::string content(3 << 20, 'x');
  std::size_t copied = 0;
  const auto publish_with = [&](const Archive::Step& step) {
    return archive.publish(
        finished(content), id, {}, [&](const ArchivedClip&) { return sidecar_identity(id) + "}"; }, step);
  };
  const auto ended = publish_with([&](std::size_t bytes) -> Result<void> {
    copied += bytes;
    return copied > content.size() / 2 ? Result<void>(Error{ErrorKind::cancelled, "enough"}) : Result<void>{};
  });
  REQUIRE_FALSE(ended);
  CHECK(ended.error().kind == ErrorKind::cancelled);
  CHECK(copied < content.size());
  CHECK(files().empty());
  CHECK(publish_with({})->bytes == content.size());
}

TEST_CASE_METHOD(Fixture, "what is handed over may have any name that the folder takes") {
  storage.longest_name = 143;
  auto handed = HandOver::open(clips / "to");
  REQUIRE(handed);
  const auto longest = std::string(138, 'n') + ".json";
  auto written = handed->write("evidence", longest);
  REQUIRE(written);
  CHECK(handed->keep(std::move(*written), [](std::size_t) { return true; }));
  CHECK(*read_file(clips / "to" / longest) == "evidence");
}

TEST_CASE_METHOD(Fixture, "clips of a journal that is lost keep the spool from nobody") {
  test::ManualClock turned;
  Spool spool(folder / "spool", {1 << 20, 0}, turned);
  REQUIRE(spool.create());
  REQUIRE(spool.belong_to("one", "a"));
  std::ofstream(spool.ready_clip(1)) << std::string(2 << 20, 'x');
  spool.measure();
  const SpoolNeed need{1 << 20, 0, 1 << 20};
  CHECK(std::holds_alternative<Spool::Refused>(spool.claim(1, need)));
  turned.advance(std::chrono::minutes(1));
  CHECK_FALSE(spool.check_room());
  const auto aside = spool.belong_to("another", "12:00");
  REQUIRE(aside);
  CHECK(fs::file_size(*aside / "1.mp4") == 2 << 20);
  spool.measure();
  CHECK(spool.used() == 0);
  CHECK(spool.check_room());
  CHECK(std::holds_alternative<Spool::Claim>(spool.claim(1, need)));
}
