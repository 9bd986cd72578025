#include "certificate_watch.hpp"

#include <fmt/format.h>

namespace responder::app {

void CertificateWatch::use(const net::Validity& validity) {
  validity_ = validity;
  next_ = clock_.steady_now();
  tick();
}

void CertificateWatch::tick() {
  constexpr std::chrono::hours interval{24};
  const auto now = clock_.steady_now();
  if (!validity_ || now < next_) return;
  next_ = now + interval;
  if (const auto finding = net::judge(*validity_, clock_.wall_now()))
    warn_(fmt::format("the listener's certificate {} (webhook.tls_cert) {}", file_, finding->text));
}

}  // namespace responder::app
