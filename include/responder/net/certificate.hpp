// Certificates in files, looked at before they are used.
#pragma once

#include <optional>
#include <string>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"

namespace responder::net {

struct Validity {
  WallTime from;
  WallTime until;
  bool operator==(const Validity&) const = default;
};

// What an administrator has to know of a certificate.
struct ValidityFinding {
  bool is_valid = false;  // true: it still is, and ends soon
  std::string text;       // "has expired at …", with what to do
};

// nullopt: it is valid for at least 14 more days.
std::optional<ValidityFinding> judge(const Validity& validity, WallTime now);

// Of the first certificate in a PEM file.
Result<Validity> certificate_validity(const std::string& file);

// Whether it is one for this host, as clients look at it.
Result<bool> certificate_names(const std::string& file, const std::string& host);

// Whether a server can be run with these: PEM files that can be read and belong together. `client_ca` may be empty.
Result<void> check_server_files(const std::string& certificate, const std::string& key, const std::string& client_ca);

}  // namespace responder::net
