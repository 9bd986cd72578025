#include "beside.hpp"

#include <atomic>
#include <thread>

namespace responder::app {

bool run_beside(const Signals& signals, const std::function<void(std::stop_token)>& work) {
  constexpr std::chrono::milliseconds interval{20};
  bool interrupted = false;
  std::atomic<bool> over{false};  // set last by the thread
  std::jthread working([&](std::stop_token stop) {
    work(std::move(stop));
    over = true;
  });
  while (!over) {
    if (!signals.wait_for(interval)) continue;
    interrupted = true;
    working.request_stop();
  }
  return interrupted;
}

}  // namespace responder::app
