// Looking at the journal: beside whoever holds it, by people who may read less than the service, and leaving nothing
// behind.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <set>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sqlite3.h>

#include "responder_process.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;

namespace {

struct Fixture {
  FakeRhombus rhombus;
  std::string camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  std::string alert = fake_rhombus::random_uuid();
  std::unique_ptr<Responder> responder;
  std::filesystem::path journal;

  // A journal that knows one clip, and that nobody has open.
  Fixture() {
    rhombus.set_alert({.uuid = alert,
                       .device = camera,
                       .timestamp_ms = now_ms() - 600'000,
                       .duration_s = 2,
                       .triggers = {"MOTION_HUMAN"}});
    rhombus.start();
    responder = std::make_unique<Responder>(rhombus);
    REQUIRE(responder->command({"catch-up"}).status == 0);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(responder->folder()))
      if (entry.path().filename() == "journal.db") journal = entry.path();
    REQUIRE_FALSE(journal.empty());
  }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(journal.parent_path()))
      names.insert(entry.path().filename());
    return names;
  }
  void execute(sqlite3* database, const std::string& sql) const {
    REQUIRE(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  }
};

struct Closing {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
std::unique_ptr<sqlite3, Closing> open(const std::filesystem::path& path) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  return std::unique_ptr<sqlite3, Closing>(database);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE_METHOD(Fixture, "a lens of a camera that the journal knows without one has no rows, and is no error") {
  const auto of_lens = responder->command({"events", "--camera", camera + ".v0", "--json"});
  CAPTURE(of_lens.out, of_lens.err);
  CHECK(of_lens.status == 0);
  CHECK(of_lens.out.empty());
  CHECK(of_lens.err.find("unexpected") == std::string::npos);
  const auto unknown = responder->command({"events", "--camera", "nobody.v0"});
  CHECK(unknown.status == 2);
  CHECK(unknown.err.find("--camera: the journal knows no camera 'nobody.v0'") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "who looks at the journal does not wait for who holds it") {
  const auto holder = open(journal);
  execute(holder.get(), "BEGIN IMMEDIATE");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"status"},
        {"status", "--json"},
        {"events"},
        {"events", "--json"},
        {"pins"},
        {"prune", "--dry-run"},
        {"reconcile", "--after", "-1h"},
        {"catch-up", "--dry-run"},
        {"export", alert, "--to", (responder->folder() / "evidence").string()},
        {"verify"}}) {
    CAPTURE(command);
    const auto began = std::chrono::steady_clock::now();
    const auto looked = responder->command(command);
    CAPTURE(looked.out, looked.err);
    CHECK(looked.status == 0);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(8));  // waiting would take ten
  }
  execute(holder.get(), "COMMIT");
}

TEST_CASE_METHOD(Fixture, "a journal that nobody has open any more is one file with all that is known") {
  const auto is_alone = [&] { return !files().contains("journal.db-wal") && !files().contains("journal.db-shm"); };
  CHECK(is_alone());
  responder->start();
  CHECK_FALSE(is_alone());
  CHECK(responder->stop(SIGTERM) == 0);
  CHECK(is_alone());
}

TEST_CASE_METHOD(Fixture, "who looks at the journal leaves no file behind") {
  const auto before = files();
  CHECK(responder->command({"status"}).status == 0);
  CHECK(has(responder->command({"events"}).out, alert));
  CHECK(responder->command({"prune", "--dry-run"}).status == 0);
  CHECK(responder->command({"reconcile", "--after", "-1h"}).status == 0);
  CHECK(files() == before);
}

TEST_CASE_METHOD(Fixture, "a journal of another version is left as it is, and the reason is one line") {
  { execute(open(journal).get(), "PRAGMA user_version = 77"); }
  for (const std::string command : {"status", "events", "verify", "check"}) {
    CAPTURE(command);
    const auto looked = responder->command({command});
    const auto said = command == "check" ? looked.out : looked.err;
    CAPTURE(said);
    CHECK(looked.status == (command == "check" ? 1 : 2));
    CHECK(has(said, "the journal has version 77, this program knows "));
    CHECK(has(said, "use the program that serve runs"));
    if (command != "check") CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  }
  { execute(open(journal).get(), "PRAGMA user_version = 3"); }
  CHECK(has(responder->command({"status"}).err, "the journal has version 3"));
  sqlite3_stmt* query = nullptr;
  const auto database = open(journal);
  REQUIRE(sqlite3_prepare_v2(database.get(), "PRAGMA user_version", -1, &query, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(query) == SQLITE_ROW);
  CHECK(sqlite3_column_int(query, 0) == 3);
  sqlite3_finalize(query);
}

TEST_CASE_METHOD(Fixture, "commands that need no secret read none") {
  const auto config = responder->folder() / "unreadable.toml";
  std::ofstream(config) << fmt::format(
      "[rhombus]\napi_key_file = \"/none/api_key\"\nclient_cert = \"/none/cert\"\nclient_key = \"/none/key\"\n"
      "[webhook]\nsecrets_file = \"/none/secrets\"\ntls_cert = \"/none/cert\"\ntls_key = \"/none/key\"\n"
      "[admin]\ntoken_file = \"/none/token\"\n[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n"
      "[[hook]]\nname = \"h\"\non = [\"done\"]\nurl = \"https://h.example/x\"\nsecret_file = \"/none/hook\"\n",
      responder->clips().string(), journal.string());
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--config", config.string()});
    return run_responder(words);
  };
  for (const std::vector<std::string>& command : {std::vector<std::string>{"status"},
                                                  {"events"},
                                                  {"hold", alert},
                                                  {"release", alert},
                                                  {"retry", "--failed"},
                                                  {"pins"},
                                                  {"prune", "--dry-run"},
                                                  {"verify"}}) {
    CAPTURE(command);
    const auto done = run(command);
    CAPTURE(done.err);
    CHECK(done.status == 0);
  }
  CHECK(has(run({"catch-up", "--dry-run"}).err, "rhombus.api_key_file"));
  CHECK(has(run({"serve"}).err, "rhombus.api_key_file"));
}
