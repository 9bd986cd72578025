#include "service_manager.hpp"

#ifdef RESPONDER_HAVE_SYSTEMD
#include <ctime>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#endif

namespace responder::app::service_manager {

#ifdef RESPONDER_HAVE_SYSTEMD

std::vector<UniqueFd> inherited_sockets() {
  constexpr int unset_environment = 1;
  std::vector<UniqueFd> sockets;
  const int count = sd_listen_fds(unset_environment);
  for (int i = 0; i < count; ++i) sockets.emplace_back(SD_LISTEN_FDS_START + i);
  return sockets;
}

void tell_ready() { sd_notify(0, "READY=1"); }

void tell_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds).c_str());
}

void tell_stopping() { sd_notify(0, "STOPPING=1"); }

void tell_alive() {
  static const bool wanted = sd_watchdog_enabled(0, nullptr) > 0;
  if (wanted) sd_notify(0, "WATCHDOG=1");
}

#else

std::vector<UniqueFd> inherited_sockets() { return {}; }
void tell_ready() {}
void tell_reloading() {}
void tell_stopping() {}
void tell_alive() {}

#endif

}  // namespace responder::app::service_manager
