#include <algorithm>
#include <csignal>
#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

extern "C" {
#include <libavformat/version.h>
}

#include "responder_process.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;

namespace {

// One line on stderr that names what is wrong, and the exit status of a usage error.
void check_complaint(const CommandResult& result, const std::string& text) {
  CAPTURE(result.err);
  CHECK(result.status == 2);
  const auto said = complaints(result.err);
  REQUIRE(said.size() == 1);
  CHECK(said.front().find(text) != std::string::npos);
}

std::string write(const TempFolder& folder, const std::string& content) {
  const auto path = folder / "config.toml";
  std::ofstream(path) << content;
  return path.string();
}

}  // namespace

TEST_CASE("help and version") {
  CHECK(run_responder({"--help"}).out.find("serve") != std::string::npos);
  CHECK(run_responder({"--version"}).out.starts_with("rhombus-responder "));
  CHECK(run_responder({"serve", "--help"}).status == 0);
}

TEST_CASE("mistakes are one line with status 2") {
  const TempFolder folder;
  check_complaint(run_responder({}), "A subcommand is required");
  check_complaint(run_responder({"sreve"}), "did you mean serve?");
  check_complaint(run_responder({"--log-level", "info", "event"}), "unknown command 'event'; did you mean events?");
  check_complaint(run_responder({"webhook"}), "webhook what? Give one of: register, unregister, show");
  check_complaint(run_responder({"export", "A"}), "rhombus-responder export --help");
  check_complaint(run_responder({"reconcile"}), "--after is required");
  for (const auto* limit : {"-1", "-5", "99999999999999999999", "9223372036854775808", "many"})
    check_complaint(run_responder({"events", "--limit", limit}), "--limit: give a whole number, 0 or more");
  check_complaint(run_responder({"--config", "/does/not/exist.toml", "serve"}), "/does/not/exist.toml");
  check_complaint(run_responder({"--config", write(folder, "[webhook]\nsecret = 1\n"), "serve"}),
                  "did you mean webhook.secrets?");
  check_complaint(run_responder({"--config", write(folder, ""), "serve"}), "no API key");
  check_complaint(run_responder({"--config", write(folder, "[rhombus]\napi_key_file = \"/none\"\n"), "serve"}),
                  "api_key_file");
  check_complaint(
      run_responder({"--config",
                     write(folder, "[journal]\npath = \"/none/j.db\"\n[archive]\ndirectory = \"/none\"\n"),
                     "events"}),
      "/none/j.db");
  const auto journal =
      "[rhombus]\napi_key = \"k\"\n[webhook]\nsecrets = [\"s\"]\n[archive]\ndirectory = "
      "\"/proc/clips\"\n[journal]\npath = \"" +
      (folder / "j.db").string() + "\"\n";
  check_complaint(run_responder({"--config", write(folder, journal), "serve"}), "archive.directory");
}

TEST_CASE("check --config-only tells all that is wrong with the configuration, offline") {
  const TempFolder folder;
  const auto wrong =
      run_responder({"--config", write(folder, "[capture]\nworkers = 0\n[webhook]\nlisten = \"here\"\n"), "check",
                     "--config-only"});
  CAPTURE(wrong.out, wrong.err);
  CHECK(wrong.status == 2);
  CHECK(wrong.out.find("WRONG  config    ") != std::string::npos);
  CHECK(wrong.out.find("capture.workers is 0") != std::string::npos);
  CHECK(wrong.out.find("webhook.listen: ") != std::string::npos);
  const auto incomplete = run_responder({"--config", write(folder, ""), "check", "--config-only"});
  CHECK(incomplete.status == 2);
  CHECK(incomplete.out.find("no API key") != std::string::npos);
  const auto config = write(folder,
                            "[rhombus]\napi_url = \"https://127.0.0.1:1\"\napi_key = \"k\"\n[webhook]\n"
                            "secrets = [\"s\"]\n[journal]\npath = \"" +
                                (folder / "j.db").string() + "\"\n");
  const auto sound = run_responder({"--config", config, "check", "--config-only"});
  CHECK(sound.status == 0);
  CHECK(sound.out == "ok     config    " + config + "\n");
  CHECK_FALSE(std::filesystem::exists(folder / "j.db"));

  const auto shown = run_responder({"--config", config, "check", "--show-config"});
  CHECK(shown.status == 0);
  CHECK(shown.out.find("https://127.0.0.1:1") != std::string::npos);
  CHECK(shown.out.find(config + ":2") != std::string::npos);
}

TEST_CASE("events and status of a journal") {
  FakeRhombus rhombus;
  const auto camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  const auto config = responder.config().string();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 2));
  CHECK(run_responder({"--config", config, "status"}).out.find("serve      runs") != std::string::npos);
  CHECK(run_responder({"--config", config, "status", "--json"}).out.find("\"done\":1") != std::string::npos);
  CHECK(run_responder({"--config", config, "events", "--state", "done"}).out.find("Cam") != std::string::npos);
  CHECK(run_responder({"--config", config, "events", "--state", "failed"}).out.empty());
  CHECK(run_responder({"--config", config, "events", "--after", "-1h", "--json"}).out.find("\"via\":\"webhook\"") !=
        std::string::npos);
  check_complaint(run_responder({"--config", config, "events", "--state", "lost"}), "--state");
  check_complaint(run_responder({"--config", config, "events", "--after", "soon"}), "--after");
  check_complaint(run_responder({"--config", config, "events", "--camera", "Camm"}),
                  "--camera: the journal knows no camera 'Camm'; did you mean 'Cam'?");
  check_complaint(run_responder({"--config", config, "events", "--activity", "MOTION_HUMN"}),
                  "--activity: Rhombus has no activity 'MOTION_HUMN'; did you mean MOTION_HUMAN?");
  CHECK(run_responder({"--config", config, "events", "--camera", "cam", "--activity", "FACE"}).status == 0);

  // A second serve on the same journal, and one on the same port.
  check_complaint(run_responder({"--config", config, "serve"}), "another serve");
  const TempFolder folder;
  const auto port = responder.url().substr(18, responder.url().find("/webhook") - 18);
  const auto second =
      "[rhombus]\napi_url = \"" + rhombus.api_url() + "\"\napi_key = \"k\"\n[webhook]\nlisten = \"127.0.0.1:" + port +
      "\"\nsecrets = [\"s\"]\n[archive]\ndirectory = \"" + (folder / "clips").string() + "\"\n[journal]\npath = \"" +
      (folder / "j.db").string() + "\"\n[admin]\nlisten = \"\"\n[log]\nlevel = \"error\"\n";
  check_complaint(run_responder({"--config", write(folder, second), "serve"}), "another program has it");
  responder.stop(SIGTERM);
  CHECK(run_responder({"--config", config, "status"}).out.find("does not run") != std::string::npos);
}

TEST_CASE("FFmpeg's libraries are loaded by who works on footage alone, and their absence is said") {
  const TempFolder folder;
  std::ofstream(folder / fmt::format("libavformat.so.{}", LIBAVFORMAT_VERSION_MAJOR)) << "not a library";
  std::filesystem::create_directory(folder / "clips");
  const auto config = write(
      folder, fmt::format("[rhombus]\napi_key = \"k\"\napi_url = \"https://127.0.0.1:1\"\n[webhook]\nlisten = \"\"\n"
                          "[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n",
                          (folder / "clips").string(), (folder / "state/journal.db").string()));
  const std::map<std::string, std::string> environment{{"LD_LIBRARY_PATH", folder.path().string()}};
  const auto says_so = [](const std::string& text) {
    CAPTURE(text);
    CHECK(text.find("cannot load FFmpeg's libavformat.so.") != std::string::npos);
    CHECK(text.find("install FFmpeg's libraries") != std::string::npos);
  };
  const auto checked = run_responder({"--config", config, "check"}, environment);
  says_so(checked.out);
  CHECK(checked.out.find("WRONG  FFmpeg") != std::string::npos);
  const auto served = run_responder({"--config", config, "serve"}, environment);
  CHECK(served.status != 0);
  says_so(served.err);
  CHECK(run_responder({"--config", config, "status"}, environment).status == 0);
}
