// The process's signals, waited for by one thread instead of interrupting any.
#pragma once

#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>

namespace responder::app {

// Blocks SIGINT, SIGTERM and SIGHUP for this thread and those it will start; ignores SIGPIPE. Before any thread is
// started.
class Signals {
 public:
  Signals() {
    sigemptyset(&awaited_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&awaited_, signal);
    pthread_sigmask(SIG_BLOCK, &awaited_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }

  // The one that came, waited for no longer than this.
  std::optional<int> wait_for(std::chrono::milliseconds duration) const {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
    const timespec time{seconds.count(), std::chrono::nanoseconds(duration - seconds).count()};
    const int signal = sigtimedwait(&awaited_, nullptr, &time);
    return signal > 0 ? std::optional(signal) : std::nullopt;
  }

 private:
  sigset_t awaited_{};
};

}  // namespace responder::app
