#include "config.hpp"

#include <fstream>
#include <map>

#include <catch2/catch.hpp>

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::app;

namespace {

struct Fixture {
  test::TempFolder folder;
  std::map<std::string, std::string> environment{{"HOME", "/home/nobody"}};

  Result<Config> load(const std::string& toml) {
    const auto file = folder / "config.toml";
    std::ofstream(file) << toml;
    return load_config(file, [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    });
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
  for (const auto* remote : {"/srv/clips", ":sftp,pass=x:clips", "--config=x:y", "box,pass=x:y", "box"}) {
    INFO(remote);
    CHECK(error("[offsite]\nremote = \"" + std::string(remote) + "\"\n").find("offsite.remote is not NAME:PATH") !=
          std::string::npos);
  }
  CHECK(error("[offsite]\nrclone_config = \"/does/not/exist\"\n").find("offsite.rclone_config") != std::string::npos);
}
