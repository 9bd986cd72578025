#include "handshake_queue.hpp"

#include <catch2/catch.hpp>

using responder::net::HandshakeQueue;

TEST_CASE("addresses take turns, and of one the last and the oldest do") {
  HandshakeQueue queue;
  CHECK(queue.empty());
  for (const std::uint64_t id : {1U, 2U, 3U, 4U}) queue.add("many", id);
  queue.add("one", 7);
  CHECK(queue.next() == 4U);
  CHECK(queue.next() == 7U);
  CHECK(queue.next() == 1U);
  queue.add("one", 8);
  CHECK(queue.next() == 3U);
  CHECK(queue.next() == 8U);
  CHECK(queue.next() == 2U);
  CHECK_FALSE(queue.next());
}

TEST_CASE("who waits is not kept waiting by those who come later from the same address") {
  HandshakeQueue queue;
  constexpr std::uint64_t attackers = 64;
  constexpr std::uint64_t patient = 1000;
  queue.add("shared", patient);
  for (std::uint64_t id = 0; id < attackers; ++id) queue.add("shared", id);
  bool came = false;
  for (int i = 0; i < 4 && !came; ++i) {
    const auto next = queue.next();
    REQUIRE(next);
    came = *next == patient;
    if (!came) queue.add("shared", *next);  // its next step
  }
  CHECK(came);
}

TEST_CASE("who asks for more handshakes than there are connections fills no memory") {
  HandshakeQueue queue;
  constexpr std::uint64_t asked = 1'000'000;
  for (std::uint64_t id = 0; id < asked; ++id) queue.add("many", id);
  CHECK(queue.next() == asked - 1);
  std::size_t left = 1;
  while (queue.next()) ++left;
  CHECK(left <= HandshakeQueue::most_of_a_group);
}
