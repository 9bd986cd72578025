#include "alert_words.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::app;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

const WallTime t0(1'700'000'000s);

struct Fixture {
  Journal journal = *Journal::in_memory();

  CaptureId take(const std::string& alert, const std::string& camera = "cam") {
    NewCapture made;
    made.alert = AlertId(alert);
    made.camera = DeviceId(camera);
    made.received_at = t0;
    made.alert_at = t0;
    made.duration = 10s;
    made.window_start = std::chrono::floor<std::chrono::seconds>(t0);
    made.window_end = made.window_start + 10s;
    return journal.accept(made)->id;
  }
  void publish(const std::string& alert, const std::string& clip, const std::string& camera = "cam") {
    const auto id = take(alert, camera);
    REQUIRE(*journal.claim(id, "me", t0 + 1h, t0 + 2h));
    REQUIRE(journal.finish(id, "me",
                           {.state = State::done,
                            .reason = "",
                            .camera_name = "Cam",
                            .published = Published{clip, "lan", 100, "ab", {}, {}},
                            .next_attempt_at = {},
                            .window_end = std::chrono::floor<std::chrono::seconds>(t0) + 10s},
                           t0 + 1h));
  }
  std::string found(const std::string& word) {
    const auto alert = find_alert(journal, word);
    return alert ? alert->str() : alert.error().message;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "an alert is its id, its id as a name has it, or one of its files") {
  publish("yUL8Ge-mUB3UNtY3_z28HQ", "Cam_CAMERA_20240101_143022_alert_MOTIONHUMAN_yUL8GemUB3UNtY3z28HQ_combined.mp4");
  publish("range-1672531200-3600", "2024/01/01/Cam_CAMERA_1672531200_video.mp4");
  take("-8TQgOZ__12gAAAAAAAAAA");
  const std::string name = "Cam_CAMERA_20240101_143022_alert_MOTIONHUMAN_yUL8GemUB3UNtY3z28HQ_combined";
  for (const auto& word :
       {std::string("yUL8Ge-mUB3UNtY3_z28HQ"), std::string("yUL8GemUB3UNtY3z28HQ"), name + ".mp4", name + ".json",
        name + ".jpg", name, "./clips/" + name + ".mp4", "/srv/" + name + ".mp4",
        // One of before, when there was no sound yet.
        std::string("Cam_CAMERA_20240101_143022_alert_MOTIONHUMAN_yUL8GemUB3UNtY3z28HQ_video.mp4")})
    CHECK(found(word) == "yUL8Ge-mUB3UNtY3_z28HQ");
  CHECK(found("8TQgOZ12gAAAAAAAAAA") == "-8TQgOZ__12gAAAAAAAAAA");
  CHECK(found("Cam_CAMERA_1672531200_video.mp4") == "range-1672531200-3600");
}

TEST_CASE_METHOD(Fixture, "what is unknown or fits several alerts is said, with the candidates") {
  take("AB-C");
  take("A-BC");
  CHECK(found("ABC") == "'ABC' fits 2 alerts, give the id of one: A-BC, AB-C");
  CHECK(found("A-BC") == "A-BC");
  publish("one", "2024/01/01/same.mp4");
  publish("two", "2024/01/02/same.mp4");
  CHECK(found("same.mp4").starts_with("'same.mp4' fits 2 alerts"));
  take("yUL8GemUB3UNtY3rz28HQQ");
  CHECK(found("yUL8GemUB3UNtY3rz28HQX") ==
        "alert yUL8GemUB3UNtY3rz28HQX is not in the journal; did you mean yUL8GemUB3UNtY3rz28HQQ?");
  CHECK(found("nothing.mp4").starts_with("alert nothing.mp4 is not in the journal"));
  CHECK(found("").starts_with("alert "));
  CHECK(found("%").starts_with("alert "));
  CHECK_FALSE(find_alerts(journal, {"A-BC", "unknown"}));
  CHECK(*find_alerts(journal, {"A-BC", "AB-C", "A-BC"}) == std::vector<AlertId>{AlertId("A-BC"), AlertId("AB-C")});
}
