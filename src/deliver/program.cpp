#include "responder/deliver/program.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

extern char** environ;

namespace responder::deliver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t max_output = 4096;
constexpr milliseconds look_interval{20};  // at whether it has ended
constexpr seconds grace{2};                // from SIGTERM to SIGKILL

// Secrets of ours, and what the service manager says to us alone.
bool is_ours(std::string_view variable) {
  constexpr std::array<std::string_view, 6> prefixes{
      "RHOMBUS_", "CREDENTIALS_DIRECTORY=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return variable.starts_with(prefix); });
}

struct Pipe {
  UniqueFd reading;
  UniqueFd writing;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// posix_spawn's settings, which have to be destroyed.
class Spawning {
 public:
  Spawning() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t ignored_by_us;
    sigemptyset(&none);
    sigemptyset(&ignored_by_us);
    sigaddset(&ignored_by_us, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &ignored_by_us);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~Spawning() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;

  Result<pid_t> spawn(std::vector<std::string> command, int input, int output) {
    posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    std::vector<char*> argv;
    for (auto& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<char*> environment;
    for (char** one = environ; *one != nullptr; ++one) {
      if (!is_ours(*one)) environment.push_back(*one);
    }
    environment.push_back(nullptr);
    pid_t pid = -1;
    const int failed = posix_spawnp(&pid, argv[0], &actions_, &attributes_, argv.data(), environment.data());
    if (failed == ENOENT || failed == EACCES) {
      const auto found = find_program(command[0]);
      if (!found) return Error{ErrorKind::transient, found.error().message};
    }
    if (failed != 0) {
      auto error = errno_error(failed, "cannot start " + printable(command[0]));
      error.kind = ErrorKind::transient;  // somebody may mend it
      return error;
    }
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// One that runs: what goes in and out of it, and its end.
class Running {
 public:
  Running(pid_t pid, UniqueFd input, UniqueFd output, std::string_view text)
      : pid_(pid), input_(std::move(input)), output_(std::move(output)), to_write_(text) {
    for (const auto* end : {&input_, &output_}) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
  }

  // Whether it has ended. It is not reaped yet, so that its group is still its own.
  bool has_ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid_;
  }
  void signal_group(int signal) const { ::kill(-pid_, signal); }

  // Writes and reads what can be, waiting a moment for it.
  void exchange() {
    write_some();
    read_some();
    std::array<pollfd, 2> waited{{{input_.get(), POLLOUT, 0}, {output_.get(), POLLIN, 0}}};
    ::poll(waited.data(), waited.size(), static_cast<int>(look_interval.count()));
  }

  int reap() {
    constexpr int unknown = 127;  // somebody else has reaped it
    int status = 0;
    pid_t reaped = -1;
    do {
      reaped = ::waitpid(pid_, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    // What it started may hold the other end, and go on: only what is there already, and no more than is kept.
    while (kept_.size() < max_output && read_some()) continue;
    if (reaped < 0) return unknown;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string take_output() { return std::move(kept_); }

 private:
  // One that does not want it all is no error.
  void write_some() {
    if (!input_) return;
    const ssize_t written = to_write_.empty() ? 0 : ::write(input_.get(), to_write_.data(), to_write_.size());
    if (written > 0) to_write_.remove_prefix(static_cast<std::size_t>(written));
    const bool later = written < 0 && (errno == EAGAIN || errno == EINTR);
    if (to_write_.empty() || (written < 0 && !later)) input_ = UniqueFd();
  }
  bool read_some() {
    if (!output_) return false;
    std::array<char, 65536> piece{};
    const ssize_t got = ::read(output_.get(), piece.data(), piece.size());
    if (got > 0) kept_.append(piece.data(), std::min(static_cast<std::size_t>(got), max_output - kept_.size()));
    if (got == 0) output_ = UniqueFd();
    return got > 0;
  }

  const pid_t pid_;
  UniqueFd input_;
  UniqueFd output_;
  std::string_view to_write_;
  std::string kept_;
};

}  // namespace

Result<ProgramEnd> run_program(const Program& program, std::string_view input, Clock& clock, std::stop_token stop) {
  auto in = make_pipe();
  auto out = make_pipe();
  if (!in || !out) return (in ? out : in).error();
  const auto pid = Spawning().spawn(program.command, in->reading.get(), out->writing.get());
  if (!pid) return pid.error();
  in->reading = UniqueFd();
  out->writing = UniqueFd();
  Running running(*pid, std::move(in->writing), std::move(out->reading), input);

  const auto deadline = clock.steady_now() + program.timeout;
  const auto goes_on = [&] { return clock.steady_now() < deadline && !stop.stop_requested(); };
  while (!running.has_ended() && goes_on()) running.exchange();
  ProgramEnd end;
  if (!running.has_ended()) {
    end.timed_out = true;
    running.signal_group(SIGTERM);
    const auto killed_at = clock.steady_now() + grace;
    while (!running.has_ended() && clock.steady_now() < killed_at) running.exchange();
    running.signal_group(SIGKILL);
  }
  end.status = running.reap();
  end.output = running.take_output();
  if (end.timed_out && stop.stop_requested())
    return Error{ErrorKind::cancelled, "interrupted by a stop of the program"};
  return end;
}

std::string describe_failure(const ProgramEnd& end, milliseconds timeout) {
  if (!end.timed_out && end.status == 0) return {};
  std::string what = end.timed_out       ? fmt::format("it did not end within {} s and was ended",
                                                       std::chrono::ceil<seconds>(timeout).count())
                     : end.status >= 128 ? fmt::format("signal {} ended it", end.status - 128)
                                         : fmt::format("it ended with status {}", end.status);
  const auto said = split(end.output, '\n');
  return said.empty() ? what : fmt::format("{}: {}", what, printable(said.front()));
}

Result<std::filesystem::path> find_program(const std::string& name) {
  namespace fs = std::filesystem;
  const auto is_one = [](const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    if (is_one(name)) return fs::path(name);
    std::error_code ignored;
    return Error{ErrorKind::not_found,
                 fmt::format("{} {}", printable(name),
                             fs::exists(name, ignored) ? "is no program that may be run" : "is not there")};
  }
  const char* path = std::getenv("PATH");
  for (const auto& folder : split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    if (is_one(fs::path(folder) / name)) return fs::path(folder) / name;
  }
  return Error{ErrorKind::not_found,
               fmt::format("{} is in no folder of $PATH: name it with its folder", printable(name))};
}

}  // namespace responder::deliver
