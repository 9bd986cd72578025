// The offsite copy by the rclone of the system, to its back end for local folders.
#include <csignal>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "responder/deliver/target.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::deliver;
namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Fixture {
  test::TempFolder folder;
  SystemClock clock;
  const fs::path clips = folder / "clips";
  const fs::path remote = folder / "remote";
  const archive::Archive archive{clips, archive::Layout::flat, NameZone::utc, 0};
  journal::Delivery delivery;

  Fixture() {
    std::signal(SIGPIPE, SIG_IGN);
    fs::create_directories(clips / "2024");
    fs::create_directories(remote / "2024");
    std::ofstream(clips / "2024/clip.mp4") << "the new clip";
    std::ofstream(clips / "2024/clip.json") << "{\"new\":1}";
    std::ofstream(clips / "2024/another.mp4") << "of another delivery";
    std::ofstream(folder / "rclone.conf") << "[disk]\ntype = local\n";
    REQUIRE(archive.write_marker("the-archive"));
    journal::Published published;
    published.clip = "2024/clip.mp4";
    delivery.capture.published = published;
  }
  Offsite options(const std::string& to) const {
    return {.remote = to, .rclone_config = (folder / "rclone.conf").string(), .marker = "the-archive"};
  }
  Result<void> deliver(const Offsite& offsite) {
    return make_target(offsite, archive, clock)->deliver({delivery, "msg_x_1"}, {});
  }
  Result<void> deliver() { return deliver(options("disk:" + remote.string())); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a clip and what stands beside it are copied, and nothing else, and nothing is removed") {
  std::ofstream(remote / "2024/theirs") << "theirs";
  REQUIRE(deliver());
  CHECK(slurp(remote / "2024/clip.mp4") == "the new clip");
  CHECK(slurp(remote / "2024/clip.json") == "{\"new\":1}");
  CHECK(slurp(remote / "2024/theirs") == "theirs");
  CHECK_FALSE(fs::exists(remote / "2024/another.mp4"));
  CHECK_FALSE(fs::exists(remote / "2024/clip.jpg"));
}

TEST_CASE_METHOD(Fixture, "a new version takes the place of one that has its size and its time") {
  std::ofstream(remote / "2024/clip.mp4") << "the old clip";
  fs::last_write_time(remote / "2024/clip.mp4", fs::last_write_time(clips / "2024/clip.mp4"));
  REQUIRE(deliver());
  CHECK(slurp(remote / "2024/clip.mp4") == "the new clip");
}

TEST_CASE_METHOD(Fixture, "a name that is too long for the remote is cut there") {
  // It encrypts names, which takes some of their bytes.
  std::ofstream(folder / "rclone.conf", std::ios::app)
      << "[crypt]\ntype = crypt\nremote = " << remote.string()
      << "\npassword = ppqz0pszyJbfYW7Z4f2Sm3eLNexg1HybnsVT9O50Hlz2NQ\n";
  const std::string rest = "_CAM_20240110_143022_alert_FACE_ALERT_video";
  const auto name = std::string(110, 'C') + rest;
  std::ofstream(clips / "2024" / (name + ".mp4")) << "the long clip";
  std::ofstream(clips / "2024" / (name + ".json")) << "{}";
  delivery.capture.published->clip = "2024/" + name + ".mp4";
  const auto delivered = deliver(options("crypt:"));
  REQUIRE((delivered ? "" : delivered.error().message) == std::string());
  const auto back = folder / "back";
  REQUIRE(std::system(
              ("rclone --config " + (folder / "rclone.conf").string() + " copy crypt: " + back.string()).c_str()) ==
          0);
  CHECK(slurp(back / "2024" / (std::string(143 - 5 - rest.size(), 'C') + rest + ".mp4")) == "the long clip");
  CHECK(slurp(back / "2024" / (std::string(143 - 5 - rest.size(), 'C') + rest + ".json")) == "{}");
}

TEST_CASE_METHOD(Fixture, "a picture that is drawn while its clip is copied is copied as well") {
  auto offsite = options("disk:" + remote.string());
  offsite.rclone = (folder / "rclone").string();
  std::ofstream(offsite.rclone) << "#!/bin/sh\ncat >> " << (folder / "asked").string() << "\necho x > "
                                << (clips / "2024/clip.jpg").string() << "\n";
  fs::permissions(offsite.rclone, fs::perms::owner_all);
  REQUIRE(deliver(offsite));
  CHECK(slurp(folder / "asked") == "2024/clip.mp4\n2024/clip.json\n2024/clip.jpg\n");
}

TEST_CASE_METHOD(Fixture, "an archive that is away is waited for, and a clip that is gone is not") {
  fs::rename(clips / "2024/clip.mp4", folder / "kept.mp4");
  const auto gone = deliver();
  REQUIRE_FALSE(gone);
  CHECK(gone.error().kind == ErrorKind::permanent);
  CHECK(gone.error().message == "2024/clip.mp4 is not in the archive any more");
  fs::rename(clips, folder / "unmounted");
  const auto away = deliver();
  REQUIRE_FALSE(away);
  CHECK(away.error().kind == ErrorKind::no_space);
  delivery.capture.published.reset();
  CHECK(deliver().error().kind == ErrorKind::permanent);
}

TEST_CASE_METHOD(Fixture, "a folder that is not there is waited for, and not made") {
  REQUIRE(deliver(options(remote.string())));
  CHECK(slurp(remote / "2024/clip.mp4") == "the new clip");
  fs::rename(remote, folder / "unmounted");
  const auto away = deliver(options(remote.string()));
  REQUIRE_FALSE(away);
  CHECK(away.error().kind == ErrorKind::no_space);
  CHECK(away.error().message ==
        "offsite.remote: " + remote.string() + " is not there, or no folder: mount or make it");
  CHECK_FALSE(fs::exists(remote));
  CHECK_FALSE(try_remote(options(remote.string()), clock));
}

TEST_CASE_METHOD(Fixture, "a damaged clip is not copied, nor a lesser one in the place of a whole one") {
  delivery.state = journal::State::done;
  delivery.capture.state = journal::State::partial;
  CHECK(deliver().error().kind == ErrorKind::permanent);
  delivery.capture.published->damage = journal::Damage::damaged;
  CHECK(deliver().error().kind == ErrorKind::permanent);
  CHECK_FALSE(fs::exists(remote / "2024/clip.mp4"));
}

TEST_CASE_METHOD(Fixture, "a remote that refuses is said in one line") {
  const auto unknown = deliver(options("nobody:there"));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::transient);
  CHECK(unknown.error().message.find("rclone: it ended with status 1: ") == 0);
  CHECK(unknown.error().message.find("nobody") != std::string::npos);
  CHECK(unknown.error().message.find('\n') == std::string::npos);
  CHECK_FALSE(try_remote(options("nobody:there"), clock));

  // A file is where the folder should be.
  std::ofstream(folder / "a file") << "x";
  const auto refused = deliver(options("disk:" + (folder / "a file").string()));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::transient);
  CHECK(try_remote(options("disk:" + remote.string()), clock));
  CHECK(try_remote(options("disk:" + (folder / "not made yet").string()), clock));
  CHECK_FALSE(fs::exists(folder / "not made yet"));

  auto no_rclone = options("disk:x");
  no_rclone.rclone = "/nowhere/rclone";
  CHECK(deliver(no_rclone).error().message == "/nowhere/rclone is not there");
}
