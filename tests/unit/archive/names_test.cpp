#include "responder/archive/names.hpp"

#include <catch2/catch.hpp>

#include "responder/base/text.hpp"

using namespace responder;
using namespace responder::archive;

namespace {
ClipIdentity identity() {
  return {"Front Door #1",
          DeviceId("CAMERAUUID"),
          AlertId("ALERT-ID_1"),
          {"MOTION_HUMAN"},
          std::chrono::sys_seconds(std::chrono::seconds(1'704'897'022)),
          false};
}
std::string flat(const ClipIdentity& clip) { return clip_stem(clip, Layout::flat, NameZone::utc).string(); }
}  // namespace

TEST_CASE("names are the predecessor's") {
  auto clip = identity();
  CHECK(flat(clip) == "FrontDoor1_CAMERAUUID_20240110_143022_alert_MOTIONHUMAN_ALERTID1_video");
  clip.has_audio = true;
  clip.activities = {"MOTION_HUMAN", "FACE"};
  CHECK(flat(clip) == "FrontDoor1_CAMERAUUID_20240110_143022_alert_MOTIONHUMAN-FACE_ALERTID1_combined");
  CHECK(clip_stem(clip, Layout::by_date, NameZone::utc).parent_path() == "2024/01/10");
  CHECK(clip_stem(clip, Layout::by_camera, NameZone::utc).parent_path() == "FrontDoor1_CAMERAUUID");
}

TEST_CASE("any camera name makes a file name") {
  CHECK(letters_and_digits("入口 2号", "x") == "入口2号");
  CHECK(letters_and_digits("Вход/двор", "x") == "Входдвор");
  CHECK(letters_and_digits("Müller", "x") == "Müller");
  CHECK(letters_and_digits("", "x") == "x");
  CHECK(letters_and_digits("../..\0☃️!!", "x") == "x");
  CHECK(letters_and_digits("a\xff\xfe"
                           "b",
                           "x") == "ab");
}

TEST_CASE("a name never exceeds its bytes and stays UTF-8") {
  auto clip = identity();
  clip.camera_name.clear();
  for (int i = 0; i < 200; ++i) clip.camera_name += "入";
  clip.camera = DeviceId(std::string(64, 'c'));
  clip.alert = AlertId(std::string(64, 'a'));
  clip.activities.assign(40, "MOTION_HUMAN");
  clip.has_audio = true;
  const auto stem = flat(clip);
  CHECK(stem.size() + 5 <= max_name_bytes);
  CHECK(is_valid_utf8(stem));
  CHECK(stem.ends_with("_" + std::string(64, 'a') + "_combined"));
}

TEST_CASE("a name with a number stays within its bytes, too") {
  auto clip = identity();
  clip.camera_name = std::string(300, 'C');
  for (const bool is_range : {false, true}) {
    clip.is_range = is_range;
    for (const std::size_t most : {max_name_bytes, std::size_t{136}}) {
      for (const int number : {1, 2, 100}) {
        const auto stem = clip_stem(clip, Layout::by_camera, NameZone::utc, most, number);
        CAPTURE(stem);
        CHECK(stem.filename().string().size() + 5 == most);
        CHECK(stem.parent_path().string().size() <= most);
        CHECK(stem.string().ends_with(number == 1 ? "_video" : "_video-" + std::to_string(number)));
      }
    }
  }
}

TEST_CASE("a name that is too long for a remote is cut where it says nothing of whose it is") {
  const std::string name = "FrontDoor_CAM_20240110_143022_alert_MOTIONHUMAN-FACE_ALERT_video-2.json";
  CHECK(shorter_name(name, 200) == name);
  CHECK(shorter_name(name, name.size() - 3) ==
        "FrontD_CAM_20240110_143022_alert_MOTIONHUMAN-FACE_ALERT_video-2.json");
  CHECK(shorter_name(name, name.size() - 12) == "F_CAM_20240110_143022_alert_MOTIONHUMAN-_ALERT_video-2.json");
  CHECK(shorter_name(name, 10) == "F_CAM_20240110_143022_alert_M_ALERT_video-2.json");
  CHECK(shorter_name("T\u00fcr_CAM_1672531200_video.mp4", 27) == "T_CAM_1672531200_video.mp4");
  CHECK(shorter_name("notes.txt", 3) == "notes.txt");
}
