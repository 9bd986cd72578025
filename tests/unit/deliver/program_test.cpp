#include "responder/deliver/program.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/file.hpp"

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::deliver;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  Fixture() { std::signal(SIGPIPE, SIG_IGN); }

  test::TempFolder folder;
  SystemClock clock;

  // A script of its own, which gets the words.
  Result<ProgramEnd> run(const std::string& script, const std::string& input = "",
                         std::chrono::milliseconds timeout = 60s, std::vector<std::string> words = {},
                         std::stop_token stop = {}) {
    std::vector<std::string> command{"/bin/sh", "-c", script, "sh"};
    command.insert(command.end(), words.begin(), words.end());
    return run_program({command, timeout}, input, clock, std::move(stop));
  }
};

bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0; }

}  // namespace

TEST_CASE_METHOD(Fixture, "a program gets its words as they stand and its input whole") {
  const std::string large(300'000, 'x');  // more than a pipe holds
  const auto end = run("printf '%s|' \"$@\"; wc -c", large, 60s, {"two words", "$(id)", "'"});
  REQUIRE(end);
  CHECK(end->status == 0);
  CHECK(end->output == "two words|$(id)|'|300000\n");
  CHECK(describe_failure(*end, 60s).empty());
}

TEST_CASE_METHOD(Fixture, "a program need not read its input, nor close its output") {
  const auto deaf = run("exec 0<&-; exit 0", std::string(1'000'000, 'x'));
  REQUIRE(deaf);
  CHECK(deaf->status == 0);
  // What it leaves running holds the pipe, and nobody waits for that.
  const auto parent = run("sleep 600 & echo $!", "");
  REQUIRE(parent);
  CHECK(parent->status == 0);
  ::kill(std::atoi(parent->output.c_str()), SIGKILL);
}

TEST_CASE_METHOD(Fixture, "a program that floods its output is read to its end, and little of it kept") {
  const auto end = run("head -c 50000000 /dev/zero | tr '\\0' y; exit 3");
  REQUIRE(end);
  CHECK(end->status == 3);
  CHECK(end->output == std::string(4096, 'y'));
  const auto why = describe_failure(*end, 60s);
  CHECK(why.starts_with("it ended with status 3: yyy"));
  CHECK(why.size() < 300);

  const auto forever = run("yes", "", 300ms);
  REQUIRE(forever);
  CHECK(forever->timed_out);
}

TEST_CASE_METHOD(Fixture, "a program that hangs is ended with all that it started") {
  // Neither of them minds a polite request.
  const auto end =
      run("trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 600; done\" & echo $!; wait; wait", "", 300ms);
  REQUIRE(end);
  CHECK(end->timed_out);
  CHECK(end->status == 128 + SIGKILL);
  CHECK(describe_failure(*end, 300ms).starts_with("it did not end within 1 s and was ended: "));
  const auto child = static_cast<pid_t>(std::atoi(end->output.c_str()));
  REQUIRE(child > 1);
  // It is somebody else's to reap.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  const auto is_zombie = [&] {
    std::ifstream stat(fmt::format("/proc/{}/stat", child));
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    return text.find(") Z ") != std::string::npos;
  };
  while (is_alive(child) && !is_zombie() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK((!is_alive(child) || is_zombie()));
}

TEST_CASE_METHOD(Fixture, "a program that is not there, or is none, is said in one line") {
  const auto missing = run_program({{"/nowhere/hook"}, 1s}, "", clock, {});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message == "/nowhere/hook is not there");
  CHECK(missing.error().kind == ErrorKind::transient);
  const auto nameless = run_program({{"no-such-program-anywhere"}, 1s}, "", clock, {});
  REQUIRE_FALSE(nameless);
  CHECK(nameless.error().message.find("$PATH") != std::string::npos);
  std::ofstream(folder / "plain") << "not a program";
  const auto plain = run_program({{(folder / "plain").string()}, 1s}, "", clock, {});
  REQUIRE_FALSE(plain);
  CHECK(plain.error().message.find("no program that may be run") != std::string::npos);
  ::chmod((folder / "plain").c_str(), 0700);
  const auto no_format = run_program({{(folder / "plain").string()}, 1s}, "", clock, {});
  REQUIRE_FALSE(no_format);
  CHECK(no_format.error().kind == ErrorKind::transient);
  CHECK(*find_program("sh") == "/usr/bin/sh");
}

TEST_CASE_METHOD(Fixture, "a program gets nothing that is ours") {
  ::setenv("RHOMBUS_API_KEY", "the-key", 1);
  ::setenv("CREDENTIALS_DIRECTORY", "/run/credentials", 1);
  ::setenv("NOTIFY_SOCKET", "/run/notify", 1);
  ::setenv("OF_USERS", "stays", 1);
  const UniqueFd open_to_heirs(::open("/dev/null", O_RDONLY));
  const auto end = run("env; ls /proc/self/fd | tr '\\n' ' '");
  for (const auto* name : {"RHOMBUS_API_KEY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "OF_USERS"}) ::unsetenv(name);
  REQUIRE(end);
  CHECK(end->output.find("the-key") == std::string::npos);
  CHECK(end->output.find("/run/credentials") == std::string::npos);
  CHECK(end->output.find("/run/notify") == std::string::npos);
  CHECK(end->output.find("OF_USERS=stays") != std::string::npos);
  // Those of ls: its three and the folder.
  CHECK(end->output.ends_with("\n0 1 2 3 "));
  // SIGPIPE ends it, as programs expect.
  const auto ignored = run("sed -n 's/^SigIgn:\t*//p' /proc/self/status");
  CHECK((std::stoull(ignored->output, nullptr, 16) & (1ULL << (SIGPIPE - 1))) == 0);
}

TEST_CASE_METHOD(Fixture, "a stop ends what runs") {
  std::stop_source stop;
  std::jthread stopping([&] { stop.request_stop(); });
  const auto end = run("sleep 600", "", 600s, {}, stop.get_token());
  REQUIRE_FALSE(end);
  CHECK(end.error().kind == ErrorKind::cancelled);
}
