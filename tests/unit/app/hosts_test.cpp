#include "hosts.hpp"

#include <catch2/catch.hpp>

using namespace responder::app;

TEST_CASE("hosts that a cloud cannot reach are told from those that it may") {
  for (const auto* host : {"127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.5",
                           "169.254.1.1", "100.64.0.1", "0.0.0.0", "::", "fe80::1", "fd00::1", "fc00::1",
                           "::ffff:10.0.0.1", "localhost", "nas", "nas.local", "door.LAN", "x.internal"}) {
    INFO(host);
    CHECK_FALSE(why_unreachable_from_outside(host).empty());
  }
  for (const auto* host : {"203.0.113.5", "172.32.0.1", "172.15.0.1", "100.63.0.1", "100.128.0.1", "11.0.0.1",
                           "2001:db8::1", "::ffff:203.0.113.5", "door.example.com", "localhost.example.com"}) {
    INFO(host);
    CHECK(why_unreachable_from_outside(host).empty());
  }
}
