// What systemd and we tell each other; nothing of it happens where there is none.
#pragma once

#include <vector>

#include "responder/base/file.hpp"

namespace responder::app::service_manager {

// The sockets that it listens on for us. Once: they are ours from then on.
std::vector<UniqueFd> inherited_sockets();

void tell_ready();
void tell_reloading();  // tell_ready() follows when that is done
void tell_stopping();

// That we are well: often enough for WatchdogSec=, if every call comes at least each second.
void tell_alive();

}  // namespace responder::app::service_manager
