// Prints signed webhooks, one a line: the SHA-256 signature, a space, the body. Every alert is another one.
//   make-webhooks COUNT SECRET

#include <cstdlib>
#include <iostream>

#include <fmt/format.h>

#include "fake_rhombus.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: make-webhooks COUNT SECRET\n";
    return 2;
  }
  const long count = std::atol(argv[1]);
  const std::string secret = argv[2];
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  for (long i = 0; i < count; ++i) {
    const auto body = fake_rhombus::organization_body(fake_rhombus::random_uuid(),
                                                      fmt::format("CameraAAAAAAAAAAAAA{:03}", i % 50), now, 10);
    std::cout << fake_rhombus::hmac_hex(body, secret, true) << ' ' << body << '\n';
  }
  return 0;
}
