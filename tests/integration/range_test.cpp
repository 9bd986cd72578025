// Time ranges: backup, and copy-footage as its predecessor's documentation shows it.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "clip_checks.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using fake_rhombus::Reply;
using fake_rhombus::Request;

namespace {

constexpr std::int64_t hour = 1672531200;  // 2023-01-01T00:00:00Z

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::set<std::string> files_of(const std::filesystem::path& folder, const std::string& ending) {
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ending) names.insert(file.path().filename().string());
  }
  return names;
}

// How often each segment was asked for.
std::map<std::string, int> segments_asked(const FakeRhombus& rhombus) {
  std::map<std::string, int> asked;
  for (const auto& request : rhombus.requests()) {
    if (request.path.ends_with(".m4v") && has(request.path, "seg_")) ++asked[request.path];
  }
  return asked;
}

struct Fixture {
  FakeRhombus rhombus;
  std::string front = rhombus.add_camera({.name = "Front Door", .video = small});
  std::string back = rhombus.add_camera({.name = "Back Gate", .location = "ElsewhereAAAAAAAAAAAAA", .video = small});
  std::string ears = rhombus.add_gateway({.name = "Ears", .cameras = {back}});
};

}  // namespace

TEST_CASE_METHOD(Fixture, "backup takes a range of every camera, cut on the hour") {
  rhombus.start();
  const Responder responder(rhombus);
  const auto done =
      responder.command({"backup", "--start", std::to_string(hour - 6), "--duration", "10", "--log-level", "info"});
  CAPTURE(done.out, done.err);
  REQUIRE(done.status == 0);
  const auto name = [](const std::string& camera, const std::string& uuid, std::int64_t start, const char* content) {
    return fmt::format("{}_{}_{}_{}.mp4", camera, uuid, start, content);
  };
  CHECK(files_of(responder.clips(), ".mp4") ==
        std::set<std::string>{name("FrontDoor", front, hour - 6, "video"), name("FrontDoor", front, hour, "video"),
                              name("BackGate", back, hour - 6, "videoWithAudio"),
                              name("BackGate", back, hour, "videoWithAudio")});
  CHECK(files_of(responder.clips(), ".json").size() == 4);
  for (const auto& event : responder.events()) {
    CHECK(event.via == "manual");
    if (event.camera == front) check_clip(responder, rhombus, event);
    if (event.camera == back) check_packets_are_true(responder, rhombus, event);
  }
  // The same again: all there, nothing is asked for.
  rhombus.forget_requests();
  const auto again = responder.command({"backup", "--start", std::to_string(hour - 6), "--duration", "10"});
  CHECK(again.status == 0);
  CHECK(has(again.out, "4 files: 0 done, 0 not, 4 there already"));
  CHECK(segments_asked(rhombus).empty());
  // Of one camera by a part of its name; a file that is gone is taken again.
  std::filesystem::remove(responder.clips() / name("FrontDoor", front, hour, "video"));
  const auto one =
      responder.command({"backup", "--start", std::to_string(hour - 6), "--duration", "10", "--camera", "front"});
  CHECK(one.status == 0);
  CHECK(has(one.out, "2 files: 1 done, 0 not, 1 there already"));
}

TEST_CASE("a range that is killed again and again fetches no segment twice but those in flight") {
  // 600 segments, four at once, take longer than all the runs that are killed.
  FakeRhombus rhombus({.latency = 50ms});
  const auto front = rhombus.add_camera({.name = "Front Door", .video = small});
  rhombus.start();
  const Responder responder(rhombus);
  const auto arguments =
      responder.with_config({"backup", "--start", std::to_string(hour), "--duration", "20m", "--camera", front});
  std::minstd_rand random{7};
  constexpr int kills = 20;
  constexpr int connections = 4;
  for (int i = 0; i < kills; ++i) {
    RunningCommand run(arguments);
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(100, 350)(random)));
    run.send(i % 2 == 0 ? SIGKILL : SIGINT);
    const auto ended = run.wait();
    CHECK(ended.status != 0);
    const bool had_begun = ended.status == 1 && !has(ended.err, "interrupted while asking Rhombus");
    if (had_begun) CHECK(has(ended.err, "to resume it: rhombus-responder backup --start 1672531200"));
  }
  const auto done = RunningCommand(arguments).wait();
  CAPTURE(done.out, done.err);
  REQUIRE(done.status == 0);
  const auto events = responder.events();
  REQUIRE(events.size() == 1);
  check_clip(responder, rhombus, events[0]);
  int twice = 0;
  for (const auto& [path, times] : segments_asked(rhombus)) twice += times - 1;
  CHECK(twice <= kills * connections);
}

TEST_CASE_METHOD(Fixture, "backup asks cameras that are offline just now like any other") {
  const auto porch = rhombus.add_camera({.name = "Porch", .video = small, .lan = false});
  rhombus.start();
  std::atomic<int> refused{0};
  rhombus.mangle([&](const Request& request, Reply& reply) {
    // To Rhombus it is offline, and back a moment later.
    const auto listed = request.server == "api" ? reply.body.find(porch) : std::string::npos;
    const auto status = listed == std::string::npos ? listed : reply.body.find("GREEN", listed);
    if (status != std::string::npos) reply.body.replace(status, 5, "RED");
    const bool is_of_porch = request.server == "wan" && has(request.path, porch);
    if (is_of_porch && ++refused <= 2) reply = {503, "rebooting", "text/plain"};
  });
  const Responder responder(rhombus);
  const auto done = responder.command({"backup", "--start", std::to_string(hour), "--duration", "4"});
  CAPTURE(done.out, done.err);
  CHECK(done.status == 0);
  CHECK(has(done.err, "1 camera is offline just now (Porch): what it does not give is tried again"));
  CHECK(has(done.out, "3 files: 3 done, 0 not"));
  CHECK(refused > 2);
  CHECK(files_of(responder.clips(), ".mp4").contains(fmt::format("Porch_{}_{}_video.mp4", porch, hour)));
}

TEST_CASE_METHOD(Fixture, "backup ends with 1 while a camera that is offline has not given its files") {
  const auto porch = rhombus.add_camera({.name = "Porch", .video = small, .lan = false, .status = "RED"});
  rhombus.start();
  rhombus.mangle([&](const Request& request, Reply& reply) {
    // As long as a device may ask for: the rest is for later runs.
    if (request.server != "wan" || !has(request.path, porch)) return;
    reply = {503, "rebooting", "text/plain"};
    reply.headers["Retry-After"] = "600";
  });
  const Responder responder(rhombus);
  const auto done = responder.command({"backup", "--start", std::to_string(hour), "--duration", "4"});
  CAPTURE(done.out, done.err);
  CHECK(done.status == 1);
  CHECK(has(done.out, "3 files: 2 done, 1 not"));
  const auto events = responder.events();
  const auto row = std::find_if(events.begin(), events.end(), [&](const Event& e) { return e.camera == porch; });
  REQUIRE(row != events.end());
  CHECK(row->state == "waiting");
}

TEST_CASE_METHOD(Fixture, "a running serve takes the range") {
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  const auto done = responder.command({"backup", "--start", std::to_string(hour), "--duration", "4"});
  CAPTURE(done.out, done.err);
  CHECK(done.status == 0);
  CHECK(has(responder.log(), "range 2023-01-01T00:00:00Z + 4 s: done"));
}

TEST_CASE_METHOD(Fixture, "what cannot be backed up is said in one line") {
  rhombus.add_camera({.name = "Front Yard", .video = small});
  rhombus.start();
  const Responder responder(rhombus);
  const auto complains = [&](std::vector<std::string> options, const std::string& about) {
    options.insert(options.begin(), "backup");
    const auto result = responder.command(options);
    CAPTURE(result.err);
    CHECK(result.status == 2);
    CHECK(complaints(result.err).size() == 1);
    CHECK(has(result.err, about));
  };
  complains({"--start", "4102444800"}, "in the future");
  complains({"--duration", "-5"}, "--duration: '-5' is no duration");
  complains({"--duration", "0"}, "--duration");
  complains({"--split", "x"}, "--split");
  complains({"--start", "1", "--duration", "3600d", "--split", "1s"}, "that is 311040000 files, more than 100000");
  complains({"--camera", "nowhere"}, "Rhombus lists no camera 'nowhere'; there are: ");
  complains({"--camera", "front"}, fmt::format("Front Door ({})", front));
  complains({"--location", "NowhereAAAAAAAAAAAAAAA"}, "--location");
  // Longer ago than the camera remembers.
  rhombus.mangle([](const Request& request, Reply& reply) {
    if (request.path.ends_with(".m4v")) reply = {404, "Not Found", "text/plain"};
  });
  const auto gone =
      responder.command({"backup", "--start", std::to_string(hour), "--duration", "4", "--camera", front});
  CAPTURE(gone.out, gone.err);
  CHECK(gone.status == 1);
  CHECK(has(gone.err, "HTTP 404"));
}

// The lines of the predecessor's documentation, after its program's name.
struct CopyFixture : Fixture {
  TempFolder folder;
  std::filesystem::path directory = folder / "here";
  std::int64_t alert_at = some_time_ago(300);
  const fake_rhombus::Identity client = fake_rhombus::make_server("client", {"127.0.0.1"}, nullptr);

  CopyFixture() {
    rhombus.start();
    std::filesystem::create_directory(directory);
    rhombus.add_alert({.uuid = "AlertOnFront",
                       .device = front,
                       .timestamp_ms = alert_at,
                       .duration_s = 2,
                       .triggers = {"MOTION_HUMAN"}});
    rhombus.add_alert({.uuid = "AlertOnBack",
                       .device = back,
                       .timestamp_ms = alert_at,
                       .duration_s = 2,
                       .triggers = {"MOTION_HUMAN"}});
    std::ofstream(folder / "CERT.pem") << client.certificate_pem();
    std::ofstream(folder / "KEY.pem") << client.key_pem();
  }

  CommandResult copy(std::vector<std::string> options) {
    options.insert(options.begin(), "copy-footage");
    return run_responder(options,
                         {{"RHOMBUS_RESPONDER_RHOMBUS_API_URL", rhombus.api_url()},
                          {"RHOMBUS_RESPONDER_RHOMBUS_MEDIA_URL", rhombus.media_url()},
                          {"RHOMBUS_RESPONDER_RHOMBUS_CA_FILE", rhombus.ca_file()},
                          {"RHOMBUS_RESPONDER_JOURNAL_PATH", folder / "state/journal.db"},
                          {"RHOMBUS_RESPONDER_ARCHIVE_MIN_FREE_BYTES", "0"}},
                         directory);
  }
  // What the line leaves in a new directory.
  std::set<std::string> clips_of(std::vector<std::string> options) {
    directory = folder / fmt::format("here-{}", ++runs);
    std::filesystem::create_directory(directory);
    const auto done = copy(std::move(options));
    CAPTURE(done.out, done.err);
    CHECK(done.status == 0);
    CHECK(has(done.err, "visible to other users"));
    CHECK_FALSE(has(done.out + done.err, rhombus.api_key()));
    return files_of(directory, ".mp4");
  }
  std::string clip_of_alert(const std::string& camera, const std::string& uuid, const std::string& alert, int buffer,
                            const char* content) const {
    const std::time_t start = alert_at / 1000 - buffer;
    std::tm parts{};
    localtime_r(&start, &parts);
    std::array<char, 32> when{};
    std::strftime(when.data(), when.size(), "%Y%m%d_%H%M%S", &parts);
    return fmt::format("{}_{}_{}_alert_{}_{}_{}.mp4", camera, uuid, when.data(), "MOTIONHUMAN", alert, content);
  }
  std::set<std::string> both(int buffer) const {
    return {clip_of_alert("FrontDoor", front, "AlertOnFront", buffer, "video"),
            clip_of_alert("BackGate", back, "AlertOnBack", buffer, "combined")};
  }
  std::string range(const std::string& camera, const std::string& uuid, std::int64_t start,
                    const char* content) const {
    return fmt::format("{}_{}_{}_{}.mp4", camera, uuid, start, content);
  }
  int runs = 0;
};

TEST_CASE_METHOD(CopyFixture, "the predecessor's lines about alerts work") {
  const auto key = rhombus.api_key();
  const auto now = std::to_string(now_ms() / 1000);
  const auto a_day_ago = std::to_string(now_ms() / 1000 - 86400);
  CHECK(clips_of({"-a", key, "--alerts"}) == both(30));
  CHECK(clips_of({"-a", key, "--alerts", "--after_time", a_day_ago, "--alert_buffer", "60"}) == both(60));
  const std::set<std::string> front_alone{clip_of_alert("FrontDoor", front, "AlertOnFront", 30, "video")};
  CHECK(clips_of({"-a", key, "--alerts", "--camera_uuid", front, "--debug"}) == front_alone);
  CHECK(clips_of({"-a", key, "--alerts", "--location_uuid", "ElsewhereAAAAAAAAAAAAA", "--max_alerts", "50"}) ==
        std::set<std::string>{clip_of_alert("BackGate", back, "AlertOnBack", 30, "combined")});
  CHECK(clips_of({"-a", key, "-al", "-ma", "1000", "-at", a_day_ago, "-bt", now, "-ab", "120", "-g"}) == both(120));
  // The same line once more leaves everything as it is.
  rhombus.forget_requests();
  CHECK(copy({"-a", key, "-al", "-ma", "1000", "-at", a_day_ago, "-bt", now, "-ab", "120", "-g"}).status == 0);
  CHECK(segments_asked(rhombus).empty());
  CHECK(files_of(directory, ".mp4") == both(120));
}

TEST_CASE_METHOD(CopyFixture, "the predecessor's lines about ranges work") {
  const auto key = rhombus.api_key();
  const auto before = now_ms() / 1000;
  const auto last_hour = clips_of({"-a", key});
  REQUIRE(last_hour.size() == 2);
  CHECK(last_hour.rbegin()->starts_with("FrontDoor_" + front + "_"));
  const auto start = std::stoll(last_hour.rbegin()->substr(("FrontDoor_" + front + "_").size()));
  CHECK(start >= before - 3600);
  CHECK(clips_of({"-a", key, "-s", "1672531200", "-u", "7200", "-cam", front}) ==
        std::set<std::string>{range("FrontDoor", front, 1672531200, "video")});
  rhombus.forget_requests();
  CHECK(clips_of({"-a", key, "-loc", "ElsewhereAAAAAAAAAAAAA", "-w", "-s", "1672531200", "-u", "4"}) ==
        std::set<std::string>{range("BackGate", back, 1672531200, "videoWithAudio")});
  for (const auto& request : rhombus.requests()) CHECK((request.server == "api" || request.server == "wan"));
  rhombus.forget_requests();
  CHECK(clips_of({"-a", key, "-c", folder / "CERT.pem", "-p", folder / "KEY.pem", "-s", "1672531200", "-u", "3600"})
            .size() == 2);
  for (const auto& request : rhombus.requests()) {
    if (request.server == "api") CHECK(request.headers.at("x-auth-scheme") == "api");
    if (request.server != "api" && request.server != "wan") CHECK_FALSE(request.headers.contains("x-auth-apikey"));
  }
}

TEST_CASE_METHOD(CopyFixture, "copy-footage leaves files of others alone, and takes what is gone again") {
  const auto name = range("FrontDoor", front, 1672531200, "video");
  std::ofstream(directory / name) << "the predecessor's";
  const std::vector<std::string> line{"-s", "1672531200", "-u", "4", "-cam", front, "-a", rhombus.api_key()};
  CHECK(copy(line).status == 0);
  CHECK(std::filesystem::file_size(directory / name) == 17);
  CHECK(files_of(directory, ".mp4").size() == 2);
  // The directory made anew.
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  CHECK(copy(line).status == 0);
  CHECK(files_of(directory, ".mp4") == std::set<std::string>{name});
}

TEST_CASE_METHOD(CopyFixture, "copy-footage leaves the archive of serve alone") {
  const Responder responder(rhombus);
  REQUIRE(responder.command({"backup", "--start", "1672531200", "--duration", "4"}).status == 0);
  std::filesystem::create_directory(responder.clips() / "2023");
  for (const auto& here : {responder.clips(), responder.clips() / "2023"}) {
    const auto refused = run_responder(
        responder.with_config({"copy-footage", "-s", "1672531200", "-u", "4", "-a", rhombus.api_key()}), {}, here);
    CAPTURE(refused.err);
    CHECK(refused.status == 2);
    CHECK(has(refused.err, "the archive of serve (archive.directory): change to another directory"));
  }
  CHECK(responder.command({"verify"}).status == 0);
  CHECK(std::filesystem::is_empty(responder.clips() / "2023"));
}

TEST_CASE_METHOD(Fixture, "ranges of one start have names of their own, whatever becomes of files and sidecars") {
  rhombus.start();
  const Responder responder(rhombus);
  const auto take = [&](const std::string& duration) {
    const auto done =
        responder.command({"backup", "--start", std::to_string(hour), "--duration", duration, "--camera", front});
    CAPTURE(done.err);
    CHECK(done.status == 0);
  };
  const auto name = [&](const std::string& end) { return fmt::format("FrontDoor_{}_{}_video{}", front, hour, end); };
  const auto remove = [&](const std::string& stem) {
    for (const auto* ending : {".mp4", ".json"}) std::filesystem::remove(responder.clips() / (stem + ending));
  };
  SECTION("one is gone and is to be made again") {
    take("8");
    remove(name(""));
    CHECK(responder.command({"verify", "--repair"}).status == 1);
    take("4");
    CHECK(responder.command({"catch-up"}).status == 0);
    CHECK(files_of(responder.clips(), ".mp4") == std::set<std::string>{name(".mp4"), name("-2.mp4")});
  }
  SECTION("one has another's sidecar") {
    take("8");
    const auto size = std::filesystem::file_size(responder.clips() / name(".mp4"));
    std::ofstream(responder.clips() / name(".json")) << "{\n  \"alert\": \"reformatted\"\n}";
    take("4");
    CHECK(std::filesystem::file_size(responder.clips() / name(".mp4")) == size);
    CHECK(files_of(responder.clips(), ".mp4").size() == 2);
  }
  const auto events = responder.events();
  REQUIRE(events.size() == 2);
  CHECK(events[0].clip != events[1].clip);
  for (const auto& event : events) {
    CHECK(event.state == "done");
    CHECK(std::filesystem::exists(responder.clips() / event.clip));
  }
}

TEST_CASE_METHOD(CopyFixture, "what copy-footage cannot do is said in one line") {
  const auto complains = [&](std::vector<std::string> options, const std::string& about, int status = 2) {
    const auto result = copy(std::move(options));
    CAPTURE(result.err);
    CHECK(result.status == status);
    CHECK(complaints(result.err).size() == 1);
    CHECK(has(result.err, about));
  };
  complains({"-s", "1672531200"}, "no API key");
  complains({"-a", "two words"}, "--api_key: it has a character that no key has");
  ::setenv("RHOMBUS_API_KEY", rhombus.api_key().c_str(), 1);
  complains({"-c", folder / "CERT.pem"}, "--private_key");
  complains({"-s", "4102444800"}, "in the future");
  complains({"-s", "1672531200", "-u", "0"}, "--duration");
  complains({"-cam", "nowhere"}, "--camera_uuid: Rhombus lists no camera 'nowhere'");
  complains({"--alerts", "-loc", "nowhere"}, "--location_uuid: Rhombus lists no location 'nowhere'");
  complains({"--alerts", "-at", "4102444800"}, "--after_time is in the future");
  complains({"--alerts", "-at", "1672531200", "-bt", "1672531100"}, "--before_time is not later");
  complains({"--alerts", "-ma", "0"}, "--max_alerts");
  complains({"--alerts", "-ab", "-1"}, "--alert_buffer");
  ::unsetenv("RHOMBUS_API_KEY");
}
