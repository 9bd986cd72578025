// Where a running serve listens for webhooks. With sockets of the service manager that is not what webhook.listen
// says: serve records it in the journal, and `webhook test` reads it there.
#pragma once

#include <optional>

#include "responder/journal/journal.hpp"
#include "responder/net/listen_address.hpp"

#include "config.hpp"

namespace responder::app {

struct OwnListener {
  net::ListenAddress address;
  bool has_tls = false;
};

// `listener`: nullopt when it does not listen any more.
Result<void> record_listener(journal::Journal& journal, const std::optional<OwnListener>& listener);

// What the running serve has recorded. Where none runs, or its journal cannot be read: what the configuration says.
OwnListener find_own_listener(const Config& config);

}  // namespace responder::app
