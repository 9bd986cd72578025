// Runs other people's programs: no shell, nothing of ours but the input, and an end that is certain.
#pragma once

#include <chrono>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"

namespace responder::deliver {

struct Program {
  std::vector<std::string> command;  // looked for in $PATH where it names no folder
  std::chrono::milliseconds timeout{30'000};
};

struct ProgramEnd {
  int status = 0;  // of its exit; 128 and the signal's number when a signal ended it
  bool timed_out = false;
  std::string output;  // the first 4 KiB of what it said on stdout and stderr; the rest is read and dropped
};

// Waits for its end. It gets `input` on stdin, may leave it unread, and leads a process group of its own, which is
// ended when the time is up: by SIGTERM, then by SIGKILL. Of our environment it gets what is no secret and not about
// us, and of our descriptors none. An Error: it could not be started, or (kind `cancelled`) `stop` was requested.
//
// The process has to ignore SIGPIPE, as app::Signals does.
Result<ProgramEnd> run_program(const Program& program, std::string_view input, Clock& clock, std::stop_token stop);

// What is wrong with an end, in one line with the first line of the output; empty: nothing.
std::string describe_failure(const ProgramEnd& end, std::chrono::milliseconds timeout);

// Where run_program() would find it, or why not.
Result<std::filesystem::path> find_program(const std::string& name);

}  // namespace responder::deliver
