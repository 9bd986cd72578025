// A new user's first steps: whose files commands leave behind, what `check` and `status` know of a running serve,
// what the log says.
#include <csignal>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faulty_system.hpp"
#include "responder_process.hpp"
#include "sanitizers.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
namespace fs = std::filesystem;

namespace {

constexpr uid_t other_user = 65534;
const fake_rhombus::VideoProfile small{.width = 64, .height = 64, .frames_per_second = 5};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void give_to_other_user(const fs::path& folder) {
  REQUIRE(::lchown(folder.c_str(), other_user, other_user) == 0);
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    REQUIRE(::lchown(entry.path().c_str(), other_user, other_user) == 0);
}

// The files and folders below `folder` that are not the other user's; without those in which the test has the output
// of serve.
std::vector<std::string> files_of_others(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat info {};
    const bool is_output = entry.path().filename().string().starts_with("serve");
    if (!is_output && ::lstat(entry.path().c_str(), &info) == 0 && info.st_uid != other_user)
      found.push_back(entry.path());
  }
  return found;
}

std::set<std::string> names_below(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) names.insert(entry.path());
  return names;
}

bool is_root() {
  if (::geteuid() == 0) return true;
  WARN("not run as root: nothing to see");
  return false;
}

std::string wait_for_log(const Responder& responder, const std::string& part) {
  const auto deadline = now_ms() + 20'000;
  auto log = responder.log();
  while (!has(log, part) && now_ms() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    log = responder.log();
  }
  return log;
}

// An alert of two minutes ago that Rhombus lists; returns its id.
std::string list_alert(FakeRhombus& rhombus, const std::string& camera) {
  const auto id = fake_rhombus::random_uuid();
  rhombus.add_alert({.uuid = id, .device = camera, .timestamp_ms = now_ms() - 120'000, .duration_s = 2});
  return id;
}

// A responder whose folder is another user's, as the service's is, and a camera whose footage it can have.
struct OthersResponder {
  TempFolder rhombus_folder;
  FakeRhombus rhombus{{.directory = rhombus_folder.path()}};
  std::string camera = rhombus.add_camera({.name = "Front", .video = small});
  std::unique_ptr<Responder> responder;

  OthersResponder() {
    rhombus.start();
    fs::permissions(rhombus_folder.path(), fs::perms::others_read | fs::perms::others_exec, fs::perm_options::add);
    responder = std::make_unique<Responder>(rhombus);
    give_to_other_user(responder->folder());
  }
};

}  // namespace

TEST_CASE("what root's commands leave behind is the service's") {
  if (!is_root()) return;
  OthersResponder site;
  auto& responder = *site.responder;

  const auto before = names_below(responder.folder());
  const auto checked = responder.command({"check"});
  CAPTURE(checked.out, checked.err);
  CHECK(checked.status == 0);
  CHECK(has(checked.out, "clips is not there yet; serve and catch-up make it"));
  CHECK(names_below(responder.folder()) == before);

  const auto alert = list_alert(site.rhombus, site.camera);
  const auto caught_up = responder.command({"catch-up"});
  CAPTURE(caught_up.out, caught_up.err);
  CHECK(caught_up.status == 0);
  const std::vector<std::vector<std::string>> commands{
      {"backup", "--camera", site.camera, "--start", "-90s", "--duration", "3"},
      {"check"},
      {"events"},
      {"hold", alert},
      {"pins"},
      {"prune", "--dry-run"},
      {"retry", alert},
      {"status"},
      {"verify", "--repair"}};
  for (const auto& command : commands) {
    const auto result = responder.command(command);
    CAPTURE(command, result.out, result.err);
    CHECK(result.status != 2);
    CHECK(files_of_others(responder.folder()) == std::vector<std::string>{});
  }

  // The daemon itself, started by root, is the other user's as well; and it can work on all of it.
  responder.start();
  struct stat process {};
  REQUIRE(::stat(fmt::format("/proc/{}/task", responder.pid()).c_str(), &process) == 0);
  std::ifstream status(fmt::format("/proc/{}/status", responder.pid()));
  std::string text((std::istreambuf_iterator<char>(status)), {});
  CHECK(has(text, fmt::format("Uid:\t{0}\t{0}\t{0}\t{0}\n", other_user)));
  CHECK(has(text, fmt::format("Gid:\t{0}\t{0}\t{0}\t{0}\n", other_user)));
  responder.wait_until_done(responder.alert(site.camera, now_ms() - 60'000, 2));
  CHECK(responder.stop(SIGTERM) == 0);
  CHECK(files_of_others(responder.folder()) == std::vector<std::string>{});
}

TEST_CASE(
    "what root exports or copies to a folder of its own is root's, and the service's folder stays the service's") {
  if (!is_root()) return;
  OthersResponder site;
  auto& responder = *site.responder;
  const auto alert = list_alert(site.rhombus, site.camera);
  REQUIRE(responder.command({"catch-up"}).status == 0);

  const TempFolder own;  // root's alone
  const auto exported = responder.command({"export", alert, "--to", (own / "case").string()});
  CAPTURE(exported.err);
  CHECK(exported.status == 0);
  CHECK(files_of_others(responder.folder()) == std::vector<std::string>{});
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(own / "case")) {
    struct stat info {};
    REQUIRE(::stat(entry.path().c_str(), &info) == 0);
    CHECK(info.st_uid == 0);
    ++files;
  }
  CHECK(files >= 3);  // clip, sidecar, sums

  const std::vector<std::string> copy =
      responder.with_config({"copy-footage", "--camera_uuid", site.camera, "--start_time",
                             std::to_string(now_ms() / 1000 - 90), "--duration", "3"});
  const std::map<std::string, std::string> places{{"XDG_STATE_HOME", (own / "state").string()}};
  fs::create_directory(own / "copies");
  const auto copied = run_responder(copy, places, own / "copies");
  CAPTURE(copied.out, copied.err);
  CHECK(copied.status == 0);
  CHECK(names_below(own / "copies").size() >= 2);
  CHECK(files_of_others(responder.folder()) == std::vector<std::string>{});

  // In a folder of the service's the copy is the service's, too.
  fs::create_directory(responder.folder() / "copies");
  give_to_other_user(responder.folder() / "copies");
  const auto beside = run_responder(copy, places, responder.folder() / "copies");
  CAPTURE(beside.out, beside.err);
  CHECK(beside.status == 0);
  CHECK(names_below(responder.folder() / "copies").size() >= 2);
  CHECK(files_of_others(responder.folder()) == std::vector<std::string>{});
}

TEST_CASE("a file that the service cannot read is named by check, though root can read it") {
  if (!is_root()) return;
  OthersResponder site;
  auto& responder = *site.responder;
  const auto key = responder.folder() / "key.pem";
  REQUIRE(::chown(key.c_str(), 0, 0) == 0);
  fs::permissions(key, fs::perms::owner_read);
  const auto checked = responder.command({"check"});
  CAPTURE(checked.out);
  CHECK(checked.status == 1);
  CHECK(has(checked.out, "WRONG  config    webhook.tls_key: " + key.string() + " cannot be read by "));

  // Nobody gets to it in a folder that is closed to others.
  fs::permissions(key, fs::perms::owner_read | fs::perms::others_read);
  CHECK_FALSE(has(responder.command({"check"}).out, "can be read by everybody"));
  fs::permissions(responder.folder(), fs::perms::others_exec, fs::perm_options::add);
  CHECK(has(responder.command({"check"}).out, key.string() + " can be read by everybody: sudo chmod 0640"));
}

TEST_CASE("a user who may not use the journal's folder is told the command to type") {
  if (!is_root()) return;
  const TempFolder folder;
  fs::permissions(folder.path(), fs::perms::all, fs::perm_options::replace);
  fs::create_directory(folder / "state");
  fs::permissions(folder / "state", fs::perms::owner_all, fs::perm_options::replace);
  const auto tried = [&](const std::string& command) {
    const auto err = folder / "err";
    const int status = std::system(
        fmt::format("RHOMBUS_RESPONDER_JOURNAL_PATH={} setpriv --reuid {} --regid {} --clear-groups {} 2>{} >&2",
                    (folder / "state/journal.db").string(), other_user, other_user, command, err.string())
            .c_str());
    std::ifstream file(err);
    return std::pair(WEXITSTATUS(status), std::string((std::istreambuf_iterator<char>(file)), {}));
  };
  if (tried(fmt::format("test -x {}", RESPONDER_PROGRAM)).first != 0) {
    WARN("another user cannot reach the program: nothing to see");
    return;
  }
  const auto [status, err] = tried(std::string(RESPONDER_PROGRAM) + " events");
  CAPTURE(err);
  CHECK(status == 2);
  CHECK(has(err, "run it as that user: sudo -u root rhombus-responder events"));
}

TEST_CASE("no library writes to stderr where memory cannot be locked") {
  if (!is_root()) return;
  if (is_sanitized) return;
  const TempFolder folder;
  const auto err = folder / "err";
  const auto as_other = fmt::format("setpriv --reuid {} --regid {} --clear-groups", other_user, other_user);
  if (std::system(fmt::format("{} test -x {}", as_other, RESPONDER_PROGRAM).c_str()) != 0) {
    WARN("another user cannot reach the program: nothing to see");
    return;
  }
  CHECK(std::system(
            fmt::format("prlimit --memlock=0 {} {} --version >{} 2>&1", as_other, RESPONDER_PROGRAM, err.string())
                .c_str()) == 0);
  std::ifstream file(err);
  const std::string said((std::istreambuf_iterator<char>(file)), {});
  CHECK(said.starts_with("rhombus-responder "));
  CHECK_FALSE(has(said, "insecure memory"));
}

TEST_CASE("without the system's folder every command says which journal it uses") {
  if (fs::exists("/var/lib/rhombus-responder") || fs::exists("/etc/rhombus-responder/config.toml")) {
    WARN("the program is installed on this machine: nothing to see");
    return;
  }
  const TempFolder folder;
  const auto result = run_responder({"events"}, {{"XDG_STATE_HOME", folder.path().string()}}, folder.path());
  CHECK(has(result.err, "/var/lib/rhombus-responder is not there: the journal is " +
                            (folder / "rhombus-responder/journal.db").string()));
  CHECK(has(result.err, "clips go to"));
}

TEST_CASE("check and status say whether serve runs, and how it ended") {
  FakeRhombus rhombus;
  rhombus.add_camera({.name = "Front", .video = small});
  rhombus.start();
  Responder responder(rhombus);
  CHECK(has(responder.command({"check"}).out, "ok     serve     it has not run yet"));

  responder.start();
  auto checked = responder.command({"check"});
  CAPTURE(checked.out);
  CHECK(has(checked.out, "ok     serve     it runs and is ready"));
  CHECK(has(responder.command({"status"}).out, "serve      runs\n"));
  CHECK(has(responder.command({"status", "--json"}).out, R"("serve":{"status":"ok")"));

  responder.stop(SIGKILL);
  checked = responder.command({"check"});
  CHECK(checked.status == 1);
  CHECK(has(checked.out, "WRONG  serve     it does not run, and did not end in order"));
  CHECK(has(responder.command({"status"}).out, "serve      does not run\n"));

  responder.start();
  CHECK(responder.stop(SIGTERM) == 0);
  checked = responder.command({"check"});
  CHECK(checked.status == 1);
  CHECK(has(checked.out, "WRONG  serve     it does not run: it was stopped at "));

  // Cron does its work.
  REQUIRE(responder.command({"catch-up"}).status == 0);
  checked = responder.command({"check"});
  CAPTURE(checked.out);
  CHECK(checked.status == 0);
  CHECK(has(checked.out, "ok     serve     it does not run; catch-up does its work"));
}

TEST_CASE("check and status say that the running serve cannot record alerts") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Front", .video = small});
  rhombus.start();
  Responder responder(rhombus);
  faulty_system::FaultySystem faulty(responder.folder());
  responder.start(faulty.environment());
  faulty.controls().journal_disk_full = 1;
  const auto body = fake_rhombus::organization_body(fake_rhombus::random_uuid(), camera, now_ms() - 60'000, 2);
  REQUIRE(fake_rhombus::send_webhook(responder.url(), body, responder.secret(), false).status == 503);

  const auto checked = responder.command({"check"});
  CAPTURE(checked.out);
  CHECK(checked.status == 1);
  // Of the alert, or of the sample that /readyz has written since.
  CHECK(has(checked.out, "WRONG  serve     it is unready: journal: "));
  const auto status = responder.command({"status"});
  CAPTURE(status.out);
  CHECK(has(status.out, "serve      runs, and is unready\nproblem    journal: "));
  CHECK(has(responder.command({"status", "--json"}).out, R"("problems":[{"part":"journal","status":"unready")"));
  faulty.controls().journal_disk_full = 0;
}

TEST_CASE("an archive that is not mounted has no free space, and check and status say so") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Front", .video = small});
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 2));
  CHECK(has(responder.command({"status"}).out, " free)"));
  responder.stop(SIGTERM);
  fs::rename(responder.clips(), responder.folder() / "unmounted");
  fs::create_directory(responder.clips());

  const auto status = responder.command({"status"});
  CAPTURE(status.out);
  CHECK(has(status.out, "archive    " + responder.clips().string() + ": "));
  CHECK(has(status.out, "is not the archive"));
  const auto json = responder.command({"status", "--json"}).out;
  CHECK(has(json, R"("archive_free_bytes":null)"));
  CHECK(has(json, "is not the archive"));
  CHECK(has(responder.command({"check"}).out, "WRONG  archive"));
}

TEST_CASE("check says that another program has the address") {
  FakeRhombus rhombus;
  rhombus.start();
  Responder responder(rhombus);
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(other, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(other, 1) == 0);
  socklen_t length = sizeof address;
  REQUIRE(::getsockname(other, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const auto listen = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  const std::map<std::string, std::string> environment{{"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", listen}};
  CHECK(has(responder.command({"check"}, environment).out,
            "WRONG  listen    webhook.listen: cannot listen on " + listen));
  ::close(other);
  CHECK_FALSE(has(responder.command({"check"}, environment).out, "WRONG  listen"));
}

TEST_CASE("a reload names the keys that need a restart") {
  FakeRhombus rhombus;
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  std::ofstream(responder.config(), std::ios::app) << "[[hook]]\nname = \"a\"\ncommand = [\"/bin/true\"]\n";
  ::kill(responder.pid(), SIGHUP);
  const auto log = wait_for_log(responder, "reload: 2 webhook secrets");
  CHECK(has(log, "reload: changed, but in force only after a restart: hook"));
  CHECK(responder.stop(SIGTERM) == 0);
}

TEST_CASE("serve works without webhooks, by asking") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Front", .video = small});
  rhombus.start();
  const auto alert = list_alert(rhombus, camera);
  Responder responder(rhombus);
  const std::map<std::string, std::string> environment{{"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", ""},
                                                       {"RHOMBUS_RESPONDER_WEBHOOK_SECRETS", ""}};
  RunningCommand serve(responder.with_config({"serve"}), environment);
  const auto deadline = now_ms() + 20'000;
  while (responder.command({"events"}).status != 0 && now_ms() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  responder.wait_until_done(alert);
  const auto checked = responder.command({"check"}, environment);
  CAPTURE(checked.out);
  CHECK(has(checked.out, "ok     serve     it runs and is ready"));
  CHECK(has(checked.out, "none are taken: webhook.listen is empty"));
  serve.send(SIGHUP);
  serve.send(SIGTERM);
  const auto ended = serve.wait();
  CAPTURE(ended.err);
  CHECK(ended.status == 0);
  CHECK(has(ended.err, "no webhooks are taken (webhook.listen is empty)"));
}

TEST_CASE("the log says at its start what runs, and at debug why an alert was not captured") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Front", .video = small});
  rhombus.start();
  Responder responder(rhombus, "[filter]\ncameras = [\"" + camera + "\"]\n");
  responder.start();
  auto log = responder.log();
  CHECK(has(log, "rhombus-responder "));
  CHECK(has(log, ", configuration " + responder.config().string() + ", clips to " + responder.clips().string() +
                     ", 2 webhook secrets"));

  const auto alert = responder.alert(camera, now_ms() - 60'000, 2);
  const auto send = [&](const std::string& id, const std::string& device) {
    return fake_rhombus::send_webhook(responder.url(),
                                      fake_rhombus::organization_body(id, device, now_ms() - 60'000, 2),
                                      responder.secret(), false)
        .status;
  };
  REQUIRE(send(alert, camera) == 200);
  const auto ignored = fake_rhombus::random_uuid();
  REQUIRE(send(ignored, fake_rhombus::random_uuid()) == 200);
  log = wait_for_log(responder, "webhook of alert " + ignored);
  CHECK(has(log, "webhook of alert " + alert + ": accepted\n"));
  CHECK(has(log, "webhook of alert " + alert + ": duplicate\n"));
  CHECK(has(log, "webhook of alert " + ignored + ": ignored: "));
  log = wait_for_log(responder, "API call ");
  CHECK(has(log, ": HTTP 200 after "));
  CHECK_FALSE(has(log, rhombus.api_key()));
  CHECK_FALSE(has(log, responder.secret()));
}
