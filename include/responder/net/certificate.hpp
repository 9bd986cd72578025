// Certificates in files, looked at before they are used.
#pragma once

#include <string>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"

namespace responder::net {

struct Validity {
  WallTime from;
  WallTime until;
};

// Of the first certificate in a PEM file.
Result<Validity> certificate_validity(const std::string& file);

// Whether it is one for this host, as clients look at it.
Result<bool> certificate_names(const std::string& file, const std::string& host);

// Whether a server can be run with these: PEM files that can be read and belong together. `client_ca` may be empty.
Result<void> check_server_files(const std::string& certificate, const std::string& key, const std::string& client_ca);

}  // namespace responder::net
