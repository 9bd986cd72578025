// One client's connection to the front. Of the loop thread alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <sys/socket.h>

#include "responder/base/clock.hpp"
#include "responder/base/file.hpp"
#include "responder/net/http_framing.hpp"

#include "tls_server.hpp"

namespace responder::net {

enum class Io { done, again, closed };

struct ServerConnection {
  enum class Phase { handshake, reading, answering, writing, lingering };

  ServerConnection(std::uint64_t id_, UniqueFd fd_, const sockaddr_storage& address, FrameLimits limits);

  const std::uint64_t id;
  UniqueFd fd;
  const std::string peer;        // address; empty on a unix socket
  const std::string peer_group;  // who may be behind that address: for IPv6 its /48
  Ssl ssl;                       // empty: plain HTTP, or no handshake yet
  Phase phase = Phase::reading;
  SteadyTime deadline;
  SteadyTime idle_since;
  RequestFramer framer;
  std::string out;
  std::size_t out_sent = 0;
  std::size_t memory = 0;     // that ConnectionTable counts of it
  std::size_t discarded = 0;  // of what came after the last request
  bool close_after_reply = false;
  bool head_request = false;
  bool served = false;       // a request of it was answered
  bool answer_held = false;  // the answer is there, and not due yet
  // Whether there may be bytes that no event will tell of: since the last read that found none.
  bool input_waiting = true;
  bool is_unread = false;     // in line to be read again
  bool hello_waits = false;   // its handshake is in line
  bool peer_is_done = false;  // its end of input is to be read, however short the reads before it

  // Whoever waits for an answer that is not withheld keeps the place.
  bool can_make_room() const { return answer_held || (phase != Phase::answering && phase != Phase::writing); }

  // Whether the whole first record of a TLS client has come; `closed`: it is none.
  Io look_for_hello() const;
  Io accept_tls();
  Io read(std::span<char> buffer, std::size_t& got);
  // After a read of `got` bytes. A read that did not fill its buffer has emptied the socket; OpenSSL reads ahead by
  // itself.
  bool may_have_more(std::size_t got, std::size_t asked) const;
  // Sends what is left of `out`.
  Io flush();

 private:
  bool read_ahead_ = false;  // whether OpenSSL held input before the last read
  Io translate(int result) const;
};

}  // namespace responder::net
