// Says in the log that the listener's certificate is about to expire, or has: once a day. Of one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "responder/base/clock.hpp"
#include "responder/net/certificate.hpp"

namespace responder::app {

class CertificateWatch {
 public:
  // `warn` gets each line; it names `file`, which the certificate was read from.
  CertificateWatch(Clock& clock, std::string file, std::function<void(const std::string& line)> warn)
      : clock_(clock), file_(std::move(file)), warn_(std::move(warn)) {}

  // This one is in use from now on. Warns at once where there is something to say.
  void use(const net::Validity& validity);
  // To be called every second or so.
  void tick();

 private:
  Clock& clock_;
  const std::string file_;
  const std::function<void(const std::string&)> warn_;
  std::optional<net::Validity> validity_;
  SteadyTime next_;  // then it is looked at again
};

}  // namespace responder::app
