#include <catch2/catch.hpp>

#include "responder/capture/footage.hpp"

#include "rough_server.hpp"

using namespace responder;
using namespace responder::capture;

TEST_CASE("asking whether a device is there shows it nothing and pins no key") {
  std::string head;
  test::RoughServer device({.tls = true}, [&](test::Peer& peer) {
    if (!peer.handshake()) return;
    head = peer.read_head();
    peer.answer_ok();
    peer.wait_for_end();
  });
  SystemClock clock;
  rhombus::ApiOptions options;
  options.url = *net::Url::parse("https://127.0.0.1:1");
  options.api_key = Secret("the-key");
  rhombus::ApiClient api(options, clock, [](std::string_view, int) {});
  rhombus::TokenCache tokens(api, clock);
  rhombus::MediaLocator locator(api, clock);
  int pins = 0;
  FootageAccess access(
      {}, api, tokens, locator,
      [&](const DeviceId&, const std::string&) -> Result<void> {
        ++pins;
        return Error{ErrorKind::auth, "another key than that of its footage"};
      },
      [](rhombus::Route, std::size_t) {}, clock);
  const auto check = device.url().str() + "check";
  const rhombus::MediaPath way{rhombus::Route::lan, "https://127.0.0.1:1/x", {check}};
  CHECK(access.is_reachable(DeviceId("camera"), way, {}));
  CHECK(pins == 0);
  CHECK(head.starts_with("GET /check HTTP/1.1\r\n"));
  CHECK(head.find("the-key") == std::string::npos);
  CHECK(head.find("x-auth") == std::string::npos);

  const rhombus::MediaPath gone{rhombus::Route::lan, "https://127.0.0.1:1/x", {"https://127.0.0.1:1/check"}};
  CHECK_FALSE(access.is_reachable(DeviceId("other"), gone, {}));
}
