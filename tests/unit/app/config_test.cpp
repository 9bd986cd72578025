#include "config.hpp"

#include <algorithm>
#include <fstream>
#include <map>

#include <catch2/catch.hpp>

#include "rules.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::app;

namespace {

struct Fixture {
  test::TempFolder folder;
  std::map<std::string, std::string> environment{{"HOME", "/home/nobody"}};

  Result<Config> load(const std::string& toml, const SystemPlaces& places = {}) {
    const auto file = folder / "config.toml";
    std::ofstream(file) << toml;
    const auto look_up = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    return load_config(file, look_up, Secrets::read, places);
  }
  std::string error(const std::string& toml) {
    const auto config = load(toml);
    REQUIRE_FALSE(config);
    CHECK(config.error().message.find('\n') == std::string::npos);
    return config.error().message;
  }
  std::string file(const std::string& name, const std::string& content) {
    std::ofstream(folder / name) << content;
    return (folder / name).string();
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "defaults, file and environment, in this order") {
  auto config = load("");
  REQUIRE(config);
  CHECK(config->rhombus.api_url == "https://api2.rhombussystems.com");
  CHECK(config->capture.buffer_seconds == 30);
  CHECK(config->webhook.listen == "127.0.0.1:8443");

  environment["RHOMBUS_RESPONDER_CAPTURE_BUFFER_SECONDS"] = "45";
  environment["RHOMBUS_RESPONDER_WEBHOOK_SECRETS"] = "one,two";
  environment["RHOMBUS_API_KEY"] = "from-environment";
  config = load(
      "[capture]\nbuffer_seconds = 60\nworkers = 2\nconnection = \"wan\"\n[rhombus]\nrequests_per_second = 2.5\n");
  REQUIRE(config);
  CHECK(config->capture.buffer_seconds == 45);
  CHECK(config->capture.workers == 2);
  CHECK(config->capture.connection == capture::ConnectionMode::wan);
  CHECK(config->rhombus.requests_per_second == 2.5);
  CHECK(config->webhook.secrets.size() == 2);
  CHECK(config->rhombus.api_key.reveal() == "from-environment");
}

TEST_CASE_METHOD(Fixture, "mistakes are named with the mend") {
  CHECK(error("[webhook]\nsecret = [\"x\"]\n").find("did you mean webhook.secrets?") != std::string::npos);
  CHECK(error("[capture]\nworkers = \"many\"\n").find("capture.workers is not a whole number") != std::string::npos);
  CHECK(error("[capture]\nworkers = 0\n").find("from 1 to 64") != std::string::npos);
  CHECK(error("[capture]\nconnection = \"lte\"\n").find("auto, lan, wan") != std::string::npos);
  CHECK(error("[capture\n").find("config.toml:1") != std::string::npos);
  CHECK(error("x = 1\n").find("unknown key x") != std::string::npos);
  CHECK(error("[webhook]\nsecrets = [1]\n").find("webhook.secrets") != std::string::npos);
  CHECK(error("[webhook]\nsecrets = [\"a\", \"\"]\n").find("empty secret") != std::string::npos);
  CHECK(error("[webhook]\nlisten = \"0.0.0.0:80\"\n").find("plain HTTP") != std::string::npos);
  CHECK(error("[webhook]\nlisten = \"here\"\n").find("HOST:PORT") != std::string::npos);
  CHECK(error("[webhook]\ntls_cert = \"/x\"\n").find("go together") != std::string::npos);
  CHECK(error("[webhook]\ntrusted_proxies = [\"x\"]\n").find("trusted_proxies") != std::string::npos);
  CHECK(error("[rhombus]\napi_url = \"http://h\"\n").find("https") != std::string::npos);
  CHECK(error("[rhombus]\nca_file = \"/does/not/exist\"\n").find("/does/not/exist") != std::string::npos);
  CHECK(error("[rhombus]\nca_file = \"" + file("junk.pem", "junk") + "\"\n").find("no CA certificate") !=
        std::string::npos);
  CHECK(error("[rhombus]\napi_key_file = \"/does/not/exist\"\n").find("api_key_file") != std::string::npos);
  CHECK(error("[admin]\nlisten = \"0.0.0.0:9464\"\n").find("admin.listen") != std::string::npos);
  CHECK_FALSE(load_config("/does/not/exist.toml", [](const std::string&) { return std::nullopt; }));
}

TEST_CASE_METHOD(Fixture, "a key in the wrong place is named with its line and the right place") {
  CHECK(error("[log]\nlevel = \"info\"\nrhombus.api_key_file = \"/k\"\n")
            .find("config.toml:3: rhombus.api_key_file stands below [log], so it is read as a key of [log]: put the "
                  "line above the first [table], or write it as api_key_file below [rhombus]") != std::string::npos);
  CHECK(error("[[hook]]\nname = \"a\"\ncommand = [\"x\"]\nlog.level = \"info\"\n")
            .find("log.level stands below [[hook]]") != std::string::npos);
  CHECK(error("api_key_file = \"/k\"\n")
            .find("config.toml:1: unknown key api_key_file; write it as rhombus.api_key_file, or below [rhombus]") !=
        std::string::npos);
  CHECK(error("[rhombus]\n[log]\n[rhombus]\n").find("write all keys of a table below one [table] line") !=
        std::string::npos);
  CHECK(error("[webhok]\nlisten = \"x\"\n").find("did you mean webhook.listen?") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "without the system's folder the user's own is taken, and it is said") {
  environment["XDG_STATE_HOME"] = "/home/nobody/state";
  SystemPlaces places{folder / "no-such-state", folder / "no-such-config"};
  const auto config = load("", places);
  REQUIRE(config);
  CHECK(config->journal.path == "/home/nobody/state/rhombus-responder/journal.db");
  CHECK(config->archive.directory == (std::filesystem::current_path() / "clips").string());
  REQUIRE(config->remarks.size() == 2);
  CHECK(config->remarks[0] ==
        (folder / "no-such-state").string() + " is not there: the journal is " + config->journal.path);
  CHECK(config->remarks[1].find("/clips") != std::string::npos);

  // One that is there and is somebody else's is no reason to look elsewhere.
  places.state = "/proc";
  const auto with_folder = load("", places);
  REQUIRE(with_folder);
  CHECK(with_folder->journal.path == "/var/lib/rhombus-responder/journal.db");
  CHECK(with_folder->remarks.empty());
}

TEST_CASE_METHOD(Fixture, "errors about what is not configured name the file that was read") {
  const auto config = load("");
  REQUIRE(config);
  CHECK(check_for_asking(*config).error().message.find("configuration " + (folder / "config.toml").string()) !=
        std::string::npos);
  CHECK(config_source(Config{}).find("no configuration file") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "no webhooks may be taken at all") {
  const auto config = load("[webhook]\nlisten = \"\"\n[rhombus]\napi_key = \"k\"\n");
  REQUIRE(config);
  CHECK(check_for_serving(*config));
}

TEST_CASE_METHOD(Fixture, "the keys that differ between two configurations are named, secrets of webhooks are not") {
  const std::string common = "[webhook]\nsecrets = [\"one\"]\n[[hook]]\nname = \"a\"\ncommand = [\"x\"]\n";
  const auto running =
      load("[filter]\ncameras = [\"C1\"]\n[rhombus]\napi_key_file = \"" + file("key", "k1") + "\"\n" + common);
  REQUIRE(running);
  CHECK(changed_keys(*running, *running).empty());
  const auto fresh =
      load("[filter]\ncameras = [\"C1\", \"C2\"]\n[capture]\nworkers = 2\n[rhombus]\napi_key_file = \"" +
           file("key", "k2") + "\"\n[webhook]\nsecrets = [\"two\"]\n[[hook]]\nname = \"a\"\ncommand = [\"y\"]\n");
  REQUIRE(fresh);
  CHECK(changed_keys(*running, *fresh) ==
        std::vector<std::string>{"capture.workers", "filter.cameras", "hook", "rhombus.api_key"});
}

TEST_CASE_METHOD(Fixture, "all that is wrong with a configuration is told, each with its line") {
  std::ofstream(folder / "config.toml") << "[capture]\nworkers = 0\nbufer_seconds = 1\n[webhook]\npath = \"x\"\n"
                                           "listen = \"here\"\n[[rule]]\n[[rule]]\nlayout = \"round\"\n";
  const auto file = (folder / "config.toml").string();
  const auto loaded = load_whole_config(file, [](const std::string&) { return std::nullopt; }, Secrets::read, {},
                                        {"RHOMBUS_RESPONDER_WEBHOK_LISTEN"});
  std::vector<std::string> said;
  for (const auto& problem : loaded.problems) said.push_back(problem.message);
  CAPTURE(said);
  const auto has = [&](const std::string& text) {
    return std::any_of(said.begin(), said.end(),
                       [&](const auto& one) { return one.find(text) != std::string::npos; });
  };
  CHECK(has(file + ":2: capture.workers is 0"));
  CHECK(has(file + ":3: unknown key capture.bufer_seconds; did you mean capture.buffer_seconds?"));
  CHECK(has("webhook.path does not start with '/'"));
  CHECK(has("webhook.listen: "));
  CHECK(has("layout is 'round'"));
  CHECK(has("$RHOMBUS_RESPONDER_WEBHOK_LISTEN: unknown variable; did you mean $RHOMBUS_RESPONDER_WEBHOOK_LISTEN?"));
  CHECK(loaded.config.file == file);
}

TEST_CASE_METHOD(Fixture, "a line that is no TOML is named by its key, with a hint, and never with its value") {
  const auto complains = [&](const std::string& toml, const std::string& of) {
    const auto message = error(toml);
    INFO(message);
    CHECK(message.find(of) != std::string::npos);
    CHECK(message.find("s3cr3t") == std::string::npos);
  };
  complains("[rhombus]\napi_key = \"s3cr3t\n", "config.toml:2: the value of api_key cannot be read: is a quotation");
  complains("[webhook]\n\nlisten = 127.0.0.1:18443\n",
            "config.toml:3: the value of listen cannot be read: a text stands in quotation marks");
  complains("[rhombus]\napi_key = s3cr3t\n", "the value of api_key cannot be read: a text stands in quotation marks");
  // What stands before "=" may be a secret, too.
  complains("[webhook]\nsecrets = [\n  \"s3cr3t==,\n]\n", "config.toml:3: this line cannot be read");
  complains("[rhombus]\napi_key \"s3cr3t==\"\n", "config.toml:2: this line cannot be read");
  complains("[webhook\nlisten = \"x\"\n", "config.toml:1: ");
}

TEST_CASE_METHOD(Fixture, "variables of ours that set nothing are mistakes, others are nobody's business") {
  const Environ none = [](const std::string&) { return std::nullopt; };
  std::ofstream(folder / "config.toml") << "";
  const auto file = (folder / "config.toml").string();
  CHECK(load_config(file, none, Secrets::read, {},
                    {"PATH", "RHOMBUS_API_KEY", "RHOMBUS_RESPONDER_CONFIG", "RHOMBUS_RESPONDER_LOG_LEVEL"}));
  CHECK_FALSE(load_config(file, none, Secrets::read, {}, {"RHOMBUS_RESPONDER_LOGLEVEL"}));
}

TEST_CASE_METHOD(Fixture, "each value in force is shown with its source, and no secret is") {
  environment["RHOMBUS_RESPONDER_CAPTURE_WORKERS"] = "7";
  environment["RHOMBUS_RESPONDER_ADMIN_TOKEN"] = "s3cr3t";
  const auto config = load(
      "[rhombus]\napi_key = \"s3cr3t\"\n[webhook]\nsecrets = [\"s3cr3t\", \"s3cr3t2\"]\n"
      "[capture]\nconnection = \"wan\"\n[filter]\ncameras = [\"C1\", \"C2\"]\n");
  REQUIRE(config);
  std::map<std::string, std::pair<std::string, std::string>> shown;
  for (const auto& value : values_in_force(*config)) {
    shown[value.key] = {value.value, value.source};
    CHECK(value.value.find("s3cr3t") == std::string::npos);
  }
  const auto file = (folder / "config.toml").string();
  CHECK(shown["capture.workers"] == std::pair<std::string, std::string>("7", "$RHOMBUS_RESPONDER_CAPTURE_WORKERS"));
  CHECK(shown["capture.connection"] == std::pair<std::string, std::string>("\"wan\"", file + ":6"));
  CHECK(shown["filter.cameras"].first == "[\"C1\", \"C2\"]");
  CHECK(shown["rhombus.api_key"] == std::pair<std::string, std::string>("(set)", file + ":2"));
  CHECK(shown["admin.token"].first == "(set)");
  CHECK(shown["webhook.secrets"] == std::pair<std::string, std::string>("(2 set)", file + ":4"));
  CHECK(shown["capture.buffer_seconds"] == std::pair<std::string, std::string>("30", "default"));
}

TEST_CASE_METHOD(Fixture, "rules and associations that do nothing, and ids that are none, are named by number") {
  const std::vector<std::pair<std::string, std::string>> mistakes{
      {"[[rule]]\nbuffer_seconds = 1\n[[rule]]\ncameras = [\"C1\"]\n", "[[rule]] number 2: it sets nothing"},
      {"[[rule]]\n", "it sets nothing"},
      {"[[rule]]\nlayout = \"flat\"\ncameras = [\"Front door\"]\n",
       "[[rule]] number 1: cameras has 'Front door', which is no UUID"},
      {"[[rule]]\nextra_cameras = [\"\"]\n", "extra_cameras has ''"},
      {"[[rule]]\nlayout = \"flat\"\nlocations = [\"a/b\"]\n", "locations has 'a/b'"},
      {"[[rule]]\nlayout = \"flat\"\nactivities = [\"two words\"]\n", "no name of an activity"},
      {"[[rule]]\nconnection = \"lte\"\n", "auto, lan, wan"},
      {"[[associate]]\ndevices = [\"D1\"]\n", "[[associate]] number 1: it has no cameras"},
      {"[[associate]]\ncameras = [\"C1\"]\n", "neither devices nor locations"},
      {"[[associate]]\ncameras = [\"C 1\"]\ndevices = [\"D1\"]\n", "cameras has 'C 1'"},
      {"[[associate]]\ncameras = [\"C1\"]\ndevices = [\"D\\n1\"]\n", "devices has"},
      {"[[associate]]\ncameras = [\"C1\"]\nlocations = [\"L,1\"]\n", "locations has 'L,1'"}};
  for (const auto& [toml, expected] : mistakes) {
    const auto said = error(toml);
    CAPTURE(toml, said);
    CHECK(said.find(expected) != std::string::npos);
  }
  CHECK(
      load("[[rule]]\nretention_days = 0\n[[rule]]\nmax_bytes = 1\n[[associate]]\nlocations = [\"L1\"]\n"
           "cameras = [\"C1\"]\n"));
}

TEST_CASE_METHOD(Fixture, "of the rules that match a capture, the first that gives a setting decides it") {
  const auto config = load(
      "[capture]\nbuffer_seconds = 7\n"
      "[[rule]]\nactivities = [\"DURESS\", \"FIRE\"]\nbuffer_seconds = 300\nextra_cameras = [\"C8\", \"C9\"]\n"
      "[[rule]]\ncameras = [\"C1\"]\nlocations = [\"L1\"]\nbuffer_seconds = 10\nlayout = \"by-date\"\n"
      "[[rule]]\nlocations = [\"L1\"]\nbuffer_seconds = 20\nconnection = \"lan\"\nextra_cameras = [\"C7\"]\n");
  REQUIRE(config);
  struct Row {
    std::string camera, location;
    std::vector<std::string> activities;
    std::int64_t buffer;
    archive::Layout layout;
    capture::ConnectionMode connection;
    std::vector<std::string> extra;
  };
  using archive::Layout;
  using capture::ConnectionMode;
  const std::vector<Row> rows{{"C1", "L1", {"FACE", "FIRE"}, 300, Layout::by_date, ConnectionMode::lan, {"C8", "C9"}},
                              {"C1", "L1", {"FACE"}, 10, Layout::by_date, ConnectionMode::lan, {"C7"}},
                              {"C1", "L1", {}, 10, Layout::by_date, ConnectionMode::lan, {"C7"}},  // a range
                              {"C2", "L1", {"FACE"}, 20, Layout::flat, ConnectionMode::lan, {"C7"}},
                              {"C1", "L2", {"FACE"}, 7, Layout::flat, ConnectionMode::automatic, {}},
                              {"C1", "", {"DURESS"}, 300, Layout::flat, ConnectionMode::automatic, {"C8", "C9"}}};
  for (const auto& row : rows) {
    const DeviceId camera(row.camera);
    const LocationId location(row.location);
    const RuleSubject subject{camera, location, row.activities};
    CAPTURE(row.camera, row.location, row.activities);
    CHECK(rule_setting(*config, subject, &Config::Rule::buffer_seconds, config->capture.buffer_seconds) ==
          row.buffer);
    CHECK(rule_setting(*config, subject, &Config::Rule::layout, config->archive.layout) == row.layout);
    CHECK(rule_setting(*config, subject, &Config::Rule::connection, config->capture.connection) == row.connection);
    CHECK(extra_cameras(*config, subject) == row.extra);
  }
}

TEST_CASE_METHOD(Fixture, "what is named as a camera and is none is told, and what is one and named as a door") {
  const auto config = load(
      "[filter]\ncameras = [\"C1\", \"X1\"]\n"
      "[[rule]]\ncameras = [\"C2\"]\nextra_cameras = [\"X2\", \"C1\"]\n"
      "[[associate]]\ndevices = [\"D1\", \"C2\"]\ncameras = [\"X3\"]\n");
  REQUIRE(config);
  std::vector<rhombus::Camera> cameras(2);
  cameras[0].id = DeviceId("C1");
  cameras[1].id = DeviceId("C2");
  const auto lines = misnamed_cameras(*config, cameras);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].starts_with("filter.cameras names X1, which is no camera"));
  CHECK(lines[1].starts_with("[[rule]] number 1: extra_cameras names X2,"));
  CHECK(lines[2].starts_with("[[associate]] number 1: cameras names X3,"));
  CHECK(lines[3].starts_with("[[associate]] number 1: devices names C2, a camera"));
}

TEST_CASE_METHOD(Fixture, "devices of associations that are not listed are told, and whether they are a slip") {
  const auto config = load(
      "[[associate]]\ndevices = [\"FrontDoorAAAAAAAAAAAAA\", \"FrontDoorAAAAAAAAAAAAB\"]\ncameras = [\"C1\"]\n"
      "[[associate]]\ndevices = [\"Gate\", \"XkbUttonQ7pZr2W9vLs3Tz\", \"C1\"]\ncameras = [\"C1\"]\n");
  REQUIRE(config);
  const auto unlisted = unlisted_devices(
      *config, {{"FrontDoorAAAAAAAAAAAAA", "Front"}, {"GateDoorBBBBBBBBBBBBBB", "Gate"}, {"C1", ""}});
  REQUIRE(unlisted.size() == 3);
  CHECK(
      unlisted[0].line ==
      "[[associate]] number 1: devices names FrontDoorAAAAAAAAAAAAB, which is no door, door sensor or audio gateway "
      "of the organization; did you mean 'FrontDoorAAAAAAAAAAAAA'?");
  CHECK(unlisted[0].is_slip);
  CHECK(unlisted[1].line.ends_with(": give the UUID of Gate (GateDoorBBBBBBBBBBBBBB)"));
  CHECK(unlisted[1].is_slip);
  CHECK(unlisted[2].line.starts_with("[[associate]] number 2: devices names XkbUttonQ7pZr2W9vLs3Tz, which is no "));
  CHECK(unlisted[2].line.ends_with(": mend it, unless it is a sensor of another kind, which check cannot look up"));
  CHECK_FALSE(unlisted[2].is_slip);
}

TEST_CASE_METHOD(Fixture, "a byte order mark is no part of a secret") {
  const std::string mark = "\xEF\xBB\xBF";
  const auto journal = "[journal]\npath = \"" + (folder / "j.db").string() + "\"\n";
  file("webhook-secrets", mark + "stored\n");
  const auto config = load(journal + "[rhombus]\napi_key_file = \"" + file("key", mark + "the-key\r\n") +
                           "\"\n[admin]\ntoken_file = \"" + file("token", mark + "the-token") +
                           "\"\n[webhook]\nsecrets_file = \"" + file("secrets", mark + "s1\r\ns2\r\n") + "\"\n");
  REQUIRE(config);
  CHECK(config->rhombus.api_key.reveal() == "the-key");
  CHECK(config->admin.token.reveal() == "the-token");
  REQUIRE(config->webhook.secrets.size() == 3);
  CHECK(config->webhook.secrets[0].reveal() == "s1");
  CHECK(config->webhook.secrets[1].reveal() == "s2");
  CHECK(config->webhook.secrets[2].reveal() == "stored");
  const auto utf_16 = file("secrets", std::string("\xFF\xFEs\0001\0\n\0", 8));
  CHECK(error("[webhook]\nsecrets_file = \"" + utf_16 + "\"\n").find("save it as UTF-8") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "who needs no secret reads none") {
  std::ofstream(folder / "config.toml")
      << "[rhombus]\napi_key_file = \"/none\"\n[webhook]\nsecrets_file = \"/none\"\nurl = 1\n";
  const auto with = [&](Secrets secrets) {
    return load_config(
        folder / "config.toml", [](const std::string&) { return std::nullopt; }, secrets);
  };
  CHECK_FALSE(with(Secrets::leave));  // an unknown key is one whoever asks
  std::ofstream(folder / "config.toml")
      << "[rhombus]\napi_key_file = \"/none\"\n[webhook]\nsecrets_file = \"/none\"\n";
  CHECK_FALSE(with(Secrets::read));
  const auto config = with(Secrets::leave);
  REQUIRE(config);
  CHECK(config->rhombus.api_key.empty());
  CHECK_FALSE(check_for_asking(*config));
  std::ofstream(folder / "config.toml") << "[admin]\nlisten = \"nowhere\"\n";
  CHECK_FALSE(with(Secrets::leave));
}

TEST_CASE_METHOD(Fixture, "what a person meant by a name that is none is said") {
  const auto config = load(
      "[filter]\ncameras = [\"Lobby\", \"LobbyCameraAAAAAAAAAAB\", \"LobbyCameraAAAAAAAAAAA.v1\"]\nlocations = "
      "[\"nowhere\", \"L1\"]\nactivities = [\"MOTION_HUMN\", \"FACE\", \"face\"]\n[[rule]]\nlayout = "
      "\"flat\"\nlocations = "
      "[\"HQ\"]\nactivities = [\"LOITERING_NEW_2031\"]\n[[associate]]\nlocations = [\"L2\"]\ncameras = [\"C1\"]\n");
  REQUIRE(config);
  std::vector<rhombus::Camera> cameras(2);
  cameras[0].id = DeviceId("LobbyCameraAAAAAAAAAAA");
  cameras[0].name = "Lobby";
  cameras[1].id = DeviceId("C1");
  CHECK(misnamed_cameras(*config, cameras) ==
        std::vector<std::string>{
            "filter.cameras names Lobby, which is no camera of the organization: give the UUID of Lobby "
            "(LobbyCameraAAAAAAAAAAA)",
            "filter.cameras names LobbyCameraAAAAAAAAAAB, which is no camera of the organization; did you mean "
            "'LobbyCameraAAAAAAAAAAA'?"});
  const auto locations = misnamed_locations(*config, {{"L1", "HQ"}});
  REQUIRE(locations.size() == 3);
  CHECK(locations[0] ==
        "filter.locations names nowhere, which is no location of the organization: mend it, or take "
        "it out");
  CHECK(locations[1] ==
        "[[rule]] number 1: locations names HQ, which is no location of the organization: give the UUID of HQ (L1)");
  CHECK(locations[2].starts_with("[[associate]] number 1: locations names L2"));
  CHECK(
      unknown_activities(*config) ==
      std::vector<std::string>{
          "filter.activities: 'MOTION_HUMN' is no activity of Rhombus that is known here; did you mean MOTION_HUMAN?",
          "filter.activities: 'face' is no activity of Rhombus that is known here; did you mean FACE?",
          "[[rule]] number 1: activities: 'LOITERING_NEW_2031' is no activity of Rhombus that is known here"});
}

TEST_CASE_METHOD(Fixture, "a filter that lets none of the recent alerts through is told") {
  const auto config = load("[filter]\nactivities = [\"MOTION\", \"FACE\"]\n");
  REQUIRE(config);
  CHECK(idle_filter(*config, {"MOTION_HUMAN", "MOTION_CAR"}) ==
        "filter.activities: no alert of the last days had MOTION or FACE; there were MOTION_CAR, MOTION_HUMAN");
  CHECK(idle_filter(*config, {"MOTION_HUMAN", "FACE"}).empty());
  CHECK(idle_filter(*config, {}).empty());
  CHECK(idle_filter(*load(""), {"FACE"}).empty());
}

TEST_CASE_METHOD(Fixture, "secrets come from files and from systemd's credentials, and never into an error") {
  auto config = load("[rhombus]\napi_key_file = \"" + file("key", "the-key\n") + "\"\n[webhook]\nsecrets_file = \"" +
                     file("secrets", "s1\ns2\n") + "\"\n");
  REQUIRE(config);
  CHECK(config->rhombus.api_key.reveal() == "the-key");
  CHECK(config->webhook.secrets.size() == 2);
  CHECK(check_for_serving(*config));

  file("api_key", "credential-key");
  file("webhook_secrets", "s3\n");
  environment["CREDENTIALS_DIRECTORY"] = folder.path().string();
  config = load("");
  CHECK(config->rhombus.api_key.reveal() == "credential-key");
  CHECK(config->webhook.secrets.size() == 1);

  CHECK(error("[rhombus]\napi_key = \"se cret\"\n").find("se cret") == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "serving needs a key and a secret") {
  CHECK(check_for_serving(*load("")).error().message.find("no API key") != std::string::npos);
  CHECK(check_for_serving(*load("[rhombus]\napi_key = \"k\"\n")).error().message.find("no webhook secret") !=
        std::string::npos);
  CHECK(check_for_serving(*load("[rhombus]\napi_key = \"k\"\n[webhook]\nallow_unsigned = true\n")));
}

TEST_CASE_METHOD(Fixture, "a hook has a name of its own, and a program or a URL with a secret") {
  const std::string runs = "[[hook]]\nname = \"a\"\ncommand = [\"/bin/true\"]\n";
  const std::string posts = "[[hook]]\nname = \"b\"\nurl = \"https://h/x\"\n";
  auto config =
      load(runs + posts + "secret_file = \"" + file("hook-secret", "whsec_a2V5\n") + "\"\non = [\"failed\"]\n");
  REQUIRE(config);
  REQUIRE(config->hooks.size() == 2);
  CHECK(config->hooks[0].on.size() == 3);
  CHECK(config->hooks[1].secret.reveal() == "whsec_a2V5");
  CHECK(load("[[hook]]\nname = \"a\"\nurl = \"http://127.0.0.1:8000/x\"\nsecret = \"s\"\n"));
  CHECK(load("[[hook]]\nname = \"a\"\nurl = \"http://[::1]:8000/x\"\nsecret = \"s\"\n"));

  const auto complains = [&](const std::string& toml, const std::string& of) {
    const auto message = error(toml);
    INFO(message);
    CHECK(message.find(of) != std::string::npos);
    CHECK(message.find("!!!!") == std::string::npos);
  };
  complains("[[hook]]\ncommand = [\"/bin/true\"]\n", "number 1: name is missing");
  complains("[[hook]]\nname = \"two words\"\ncommand = [\"/bin/true\"]\n", "A-Za-z0-9._-");
  complains(runs + runs, "number 2: name a is taken by another");
  complains("[[hook]]\nname = \"offsite\"\ncommand = [\"/bin/true\"]\n", "taken by [offsite]");
  complains("[[hook]]\nname = \"a\"\n", "[[hook]] a: give command or url");
  complains(runs + "url = \"https://h/\"\n", "give command or url");
  complains(runs + "on = [\"waiting\"]\n", "on has 'waiting'");
  complains(runs + "on = []\n", "on is empty");
  complains(runs + "secret = \"s\"\n", "not for a command");
  complains(posts, "secret or secret_file is missing");
  complains(posts + "secret = \"whsec_!!!!\"\n", "[[hook]] b: secret begins with");
  complains(posts + "secret_file = \"/does/not/exist\"\n", "[[hook]] b: secret_file: ");
  complains(posts + "secret = \"s\"\nca_file = \"/does/not/exist\"\n", "ca_file: /does/not/exist");
  complains("[[hook]]\nname = \"a\"\nurl = \"http://h/x\"\nsecret = \"s\"\n", "not https");
  complains("[[hook]]\nname = \"a\"\nurl = \"http://127.evil.example/x\"\nsecret = \"s\"\n", "not https");
  std::string many;
  for (int i = 0; i < 17; ++i) many += "[[hook]]\nname = \"h" + std::to_string(i) + "\"\ncommand = [\"/bin/true\"]\n";
  complains(many, "17 [[hook]] tables");
}

TEST_CASE_METHOD(Fixture, "the offsite remote is one of rclone's configuration") {
  CHECK(load("[offsite]\nremote = \"box:clips/site one\"\n"));
  CHECK(load("[offsite]\nremote = \"box:\"\n"));
  CHECK(load("[offsite]\nremote = \"/mnt/other disk/clips\"\n"));
  CHECK(load("[archive]\ndirectory = \"/srv/clips\"\n[offsite]\nremote = \"/srv/clips-too\"\n"));
  for (const auto* remote : {"/srv/clips", "/srv/clips/", "/srv/clips/below", "/srv", "/srv/../srv/clips"}) {
    INFO(remote);
    CHECK(error("[archive]\ndirectory = \"/srv/clips\"\n[offsite]\nremote = \"" + std::string(remote) + "\"\n")
              .find("lie in one another") != std::string::npos);
  }
  for (const auto* remote : {":sftp,pass=x:clips", "--config=x:y", "box,pass=x:y", "box"}) {
    INFO(remote);
    CHECK(
        error("[offsite]\nremote = \"" + std::string(remote) + "\"\n").find("offsite.remote is neither NAME:PATH") !=
        std::string::npos);
  }
  CHECK(error("[offsite]\nrclone_config = \"/does/not/exist\"\n").find("offsite.rclone_config") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a folder has one form, however it is written") {
  const auto here = std::filesystem::current_path().string();
  auto config = load(
      "[archive]\ndirectory = \"clips/\"\n[journal]\npath = \"./state//journal.db\"\n[capture]\nspool_directory = "
      "\"/var//spool/./x/\"\n[offsite]\nremote = \"/mnt/other//disk/\"\n");
  REQUIRE(config);
  CHECK(config->archive.directory == here + "/clips");
  CHECK(config->journal.path == here + "/state/journal.db");
  CHECK(config->capture.spool_directory == "/var/spool/x");
  CHECK(config->offsite.remote == "/mnt/other/disk");
  // A remote of rclone's is no folder, and behind a link ".." is another one.
  environment["RHOMBUS_RESPONDER_ARCHIVE_DIRECTORY"] = "/srv/link/../clips/";
  config = load("[offsite]\nremote = \"box:clips//x/\"\n");
  REQUIRE(config);
  CHECK(config->offsite.remote == "box:clips//x/");
  CHECK(config->archive.directory == "/srv/link/../clips");
  CHECK(config->spool_directory() == std::filesystem::path(config->journal.path).parent_path() / "spool");
}
