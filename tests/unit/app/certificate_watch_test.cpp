#include "certificate_watch.hpp"

#include <vector>

#include <catch2/catch.hpp>

#include "manual_clock.hpp"

using namespace responder;
using namespace responder::app;
using namespace responder::test;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  ManualClock clock;
  std::vector<std::string> log;
  CertificateWatch watch{clock, "/etc/c.pem", [this](const std::string& line) { log.push_back(line); }};

  net::Validity valid_for(std::chrono::hours time) const {
    return {clock.wall_now() - std::chrono::hours(24), clock.wall_now() + time};
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE_METHOD(Fixture, "from 14 days before its end a certificate is warned of once a day") {
  watch.tick();  // none is in use
  watch.use(valid_for(16 * 24h));
  std::vector<std::size_t> lines;
  for (int day = 0; day < 18; ++day) {
    for (int i = 0; i < 24; ++i) {
      watch.tick();
      clock.advance(1h);
    }
    lines.push_back(log.size());
  }
  CHECK(lines[1] == 0);
  CHECK(lines[2] == 1);
  CHECK(lines[17] == 16);
  CHECK(has(log.front(), "certificate /etc/c.pem (webhook.tls_cert) expires at 2023-11-30T22:13:20"));
  CHECK(has(log.front(), "in 14 days: renew it, and reload"));
  CHECK(has(log[13], "in 1 day: renew it"));
  CHECK(has(log[14], "has expired at 2023-11-30T22:13:20"));
}

TEST_CASE_METHOD(Fixture, "a certificate that is put to use is looked at at once, and a good one ends the warnings") {
  watch.use(valid_for(-1h));
  REQUIRE(log.size() == 1);
  CHECK(has(log[0], "has expired at "));
  watch.use(valid_for(1h));
  REQUIRE(log.size() == 2);
  CHECK(has(log[1], "in less than a day"));
  net::Validity later = valid_for(90 * 24h);
  later.from = clock.wall_now() + 1h;
  watch.use(later);
  REQUIRE(log.size() == 3);
  CHECK(has(log[2], "is not valid before "));
  watch.use(valid_for(90 * 24h));
  clock.advance(48h);
  watch.tick();
  CHECK(log.size() == 3);
}
