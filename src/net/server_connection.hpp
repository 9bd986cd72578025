// One client's connection to the front. Of the loop thread alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <sys/socket.h>

#include "responder/base/clock.hpp"
#include "responder/base/file.hpp"
#include "responder/net/http_framing.hpp"

#include "tls_records.hpp"
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
  bool sent_valid = false;   // one of its requests was answered 200
  bool answer_held = false;  // the answer is there, and not due yet
  // Whether there may be bytes that no event will tell of: since the last read that found none.
  bool input_waiting = true;
  bool is_unread = false;  // in line to be read again
  bool handshake_queued = false;
  bool peer_is_done = false;  // its end of input is to be read, however short the reads before it

  // Whoever waits for an answer that is not withheld keeps the place; not so who does not read it.
  bool can_make_room() const { return answer_held || phase != Phase::answering; }
  // Bytes of input that are kept until a record or a request is whole.
  std::size_t buffered() const { return framer.memory() + records_.memory(); }

  // TLS: takes input until a whole record is there. `again`: it is not yet. `closed`: the client is gone, or this is
  // no TLS.
  Io receive_record();
  // False: no memory.
  bool begin_tls(SSL_CTX* context);
  // Works on at most one record of the handshake.
  Io accept_tls();
  // Whether the handshake goes on when the socket takes output again.
  bool wants_to_write() const { return ssl && SSL_want_write(ssl.get()); }
  // One read, of at most one TLS record. `done` with `got` 0: that one held no data.
  Io read(std::span<char> buffer, std::size_t& got);
  // After a read: whether there may be input that no event will tell of.
  bool may_have_more() const {
    return !socket_is_empty_ || peer_is_done || tls_has_work_ || (ssl && records_.is_first_complete());
  }
  // The socket has more, whatever the last read found. An event comes once, perhaps while records wait to be worked
  // on.
  void note_event() { socket_is_empty_ = false; }
  // A request is whole: the client may send records without data again.
  void note_request() { records_without_data_ = 0; }
  // Sends what is left of `out`.
  Io flush();
  // Tells the client that nothing more comes.
  void end_output();

 private:
  TlsRecords records_;
  std::size_t handshake_records_ = 0;
  std::size_t handshake_bytes_ = 0;
  std::size_t records_without_data_ = 0;  // since the last whole request
  bool tls_has_work_ = false;             // OpenSSL has not asked for more input than it was given
  bool socket_is_empty_ = false;          // the last read got less than it asked for
  Io translate(int result) const;
  Io read_record(std::span<char> buffer, std::size_t& got);
};

}  // namespace responder::net
