// The attacks on a TLS listener that need no credential, each from as many connections as one likes, by one thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tls_attacker.hpp"

namespace responder::test {

enum class TlsAttack {
  key_updates,       // TLS 1.3
  renegotiations,    // TLS 1.2, refused
  empty_records_12,  // records without data
  empty_records_13,
  warnings_12,  // alerts that end nothing
  warnings_13,
  one_byte_records,  // of a request that never ends
  hello_in_records,  // a first message in 16,000 TLS records
  hello_in_packets,  // one of 16,000 bytes, sent one by one
  garbage_ticket,    // a session ticket that nobody gave out
  garbage_psks,      // hundreds of them, TLS 1.3
  costly_group,      // a key share whose answer takes tens of milliseconds
};
inline constexpr TlsAttack tls_attacks[] = {
    TlsAttack::key_updates,      TlsAttack::renegotiations, TlsAttack::empty_records_12, TlsAttack::empty_records_13,
    TlsAttack::warnings_12,      TlsAttack::warnings_13,    TlsAttack::one_byte_records, TlsAttack::hello_in_records,
    TlsAttack::hello_in_packets, TlsAttack::garbage_ticket, TlsAttack::garbage_psks,     TlsAttack::costly_group};

std::string to_string(TlsAttack attack);

// Whether the server understands what the attack consists of: a few such records, and then an answer as without them.
// For a first message: that it is answered, or refused for what it says.
bool is_understood(TlsAttack attack, int port);

// Attacks from 127.0.0.1 until it is stopped: makes the connections, prepares for each what it will send, sends all
// at once, and begins anew when the server has closed them or has it all.
class TlsFlood {
 public:
  TlsFlood(TlsAttack attack, int port, std::size_t connections);
  ~TlsFlood() { stop(); }
  TlsFlood(const TlsFlood&) = delete;
  TlsFlood& operator=(const TlsFlood&) = delete;

  void stop();
  std::size_t bytes_sent() const { return bytes_sent_; }
  std::size_t connections_made() const { return connections_made_; }

  // A connection, and what it will send.
  struct Attacker {
    std::unique_ptr<RawSocket> bare;      // of an attack that is a first message
    std::unique_ptr<TlsAttacker> shaken;  // of the others
    std::string ammunition;
    std::size_t sent = 0;

    const RawSocket& socket() const { return shaken ? shaken->socket() : *bare; }
  };

 private:
  void run();
  void attack_once();
  void send_all(std::vector<Attacker>& attackers);

  const TlsAttack attack_;
  const int port_;
  const std::size_t connections_;
  std::atomic<bool> over_{false};
  std::atomic<std::size_t> bytes_sent_{0};
  std::atomic<std::size_t> connections_made_{0};
  std::thread thread_;
};

}  // namespace responder::test
