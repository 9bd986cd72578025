#include "responder/net/trusted_proxies.hpp"

#include <catch2/catch.hpp>

using responder::net::TrustedProxies;

TEST_CASE("only a trusted proxy's word counts") {
  const auto proxies = *TrustedProxies::parse({"127.0.0.0/8", "::1/128", "10.1.0.0/16"});
  CHECK(proxies.client("203.0.113.9", "198.51.100.1") == "203.0.113.9");
  CHECK(proxies.client("127.0.0.1", "198.51.100.1") == "198.51.100.1");
  CHECK(proxies.client("127.0.0.1", "6.6.6.6, 198.51.100.1, 10.1.2.3") == "198.51.100.1");
  CHECK(proxies.client("127.0.0.1", "nonsense") == "127.0.0.1");
  CHECK(proxies.client("127.0.0.1", ",198.51.100.1, ,") == "198.51.100.1");
  std::string long_chain = "198.51.100.1";
  for (int i = 0; i < 2000; ++i) long_chain += ",127.0.0.1";
  CHECK(proxies.client("127.0.0.1", long_chain) == "127.0.0.1");
  CHECK(proxies.client("::1", "2001:db8::7") == "2001:db8::7");
  CHECK(proxies.client("", "198.51.100.1") == "198.51.100.1");
  CHECK(proxies.client("127.0.0.1", "") == "127.0.0.1");
}

TEST_CASE("networks are checked") {
  for (const auto* bad : {"10.0.0.0/33", "fd00::/129", "host", "10.0.0.0/x", ""}) {
    CAPTURE(bad);
    CHECK_FALSE(TrustedProxies::parse({bad}));
  }
}
