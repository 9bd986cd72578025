// The process's signals, waited for by one thread instead of interrupting any.
#pragma once

#include <csignal>

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

 private:
  sigset_t awaited_{};
};

}  // namespace responder::app
