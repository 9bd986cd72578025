// What refused requests may cost: each address is answered at a bounded rate once it has sent
// some, and the log gets a few lines a minute, not one each. Addresses are grouped as in net::client_group(), and no
// more than so many are told apart. Whoever has a valid signature is never held up. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "responder/base/clock.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::ingest {

class Refusals {
 public:
  // Of those without delay, a minute; then answers keep this distance.
  static constexpr std::size_t at_once = 20;
  static constexpr std::chrono::microseconds distance{200};
  static constexpr std::chrono::seconds longest_delay{2};
  static constexpr std::size_t max_addresses = 1024;
  static constexpr std::size_t max_lines_a_minute = 10;

  // `log` gets each line.
  Refusals(Clock& clock, std::function<void(const std::string&)> log) : clock_(clock), log_(std::move(log)) {}

  // Counts a request from this address; `why` is for people. Returns when it may be answered.
  SteadyTime refused(const std::string& from, std::string_view why);

  // Once a minute, says what came beyond what was said at once. To be called every few seconds.
  void report();

 private:
  struct Address {
    std::size_t refused = 0;  // this minute
    std::size_t said = 0;
    SteadyTime next_answer;
  };
  struct Minute {
    SteadyTime began;
    std::size_t lines = 0;
    std::map<std::string, Address> addresses;
  };

  static Address& find(Minute& minute, const std::string& from);

  Clock& clock_;
  const std::function<void(const std::string&)> log_;
  Synchronized<Minute> minute_;
};

}  // namespace responder::ingest
