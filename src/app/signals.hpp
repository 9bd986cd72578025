// The process's signals, waited for by one thread instead of interrupting any.
#pragma once

#include <chrono>
#include <csignal>
#include <ctime>

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

  int wait() const {
    int signal = 0;
    sigwait(&awaited_, &signal);
    return signal;
  }

  // Whether one came, waited for no longer than this.
  bool wait_for(std::chrono::milliseconds duration) const {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
    const timespec time{seconds.count(), std::chrono::nanoseconds(duration - seconds).count()};
    return sigtimedwait(&awaited_, nullptr, &time) > 0;
  }

 private:
  sigset_t awaited_{};
};

}  // namespace responder::app
