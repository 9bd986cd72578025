#include "tls_flood.hpp"

#include <memory>
#include <stdexcept>

#include <poll.h>

#include "tls_attacker.hpp"

namespace responder::test {
namespace {

// Of all connections together, in one go: without a bound on what one call may work on, seconds of work.
constexpr std::size_t records_in_all = 32'000;
constexpr std::size_t hello_pieces = 16'000;

bool is_hello(TlsAttack attack) { return attack >= TlsAttack::hello_in_records; }

TlsVersion version_of(TlsAttack attack) {
  const bool is_12 = attack == TlsAttack::renegotiations || attack == TlsAttack::empty_records_12 ||
                     attack == TlsAttack::warnings_12;
  return is_12 ? TlsVersion::tls12 : TlsVersion::tls13;
}

std::string hello_of(TlsAttack attack) {
  HelloOptions options;
  constexpr std::uint16_t ffdhe8192 = 0x0104;
  switch (attack) {
    case TlsAttack::hello_in_records:
    case TlsAttack::hello_in_packets: options.padding = hello_pieces - 256; break;
    case TlsAttack::garbage_ticket: options.ticket_size = 8000; break;
    case TlsAttack::garbage_psks: options.garbage_tickets = 140; break;
    default: options.group = ffdhe8192; options.share_size = 1024;
  }
  return client_hello(options);
}

std::string record_of(TlsAttack attack, TlsAttacker& attacker) {
  switch (attack) {
    case TlsAttack::key_updates: return attacker.key_update();
    case TlsAttack::renegotiations: return attacker.renegotiation();
    case TlsAttack::warnings_12:
    case TlsAttack::warnings_13: return attacker.warning();
    case TlsAttack::one_byte_records: return attacker.application_data("x");
    default: return attacker.application_data("");
  }
}

TlsFlood::Attacker prepare(TlsAttack attack, int port, std::size_t records) {
  TlsFlood::Attacker made;
  if (is_hello(attack)) {
    made.bare = std::make_unique<RawSocket>(port);
    const auto hello = hello_of(attack);
    made.ammunition = in_handshake_records(hello, attack == TlsAttack::hello_in_records ? 1 : 16 * 1024);
    return made;
  }
  made.shaken = std::make_unique<TlsAttacker>(port, version_of(attack));
  if (attack == TlsAttack::one_byte_records) made.ammunition = made.shaken->application_data("GET / HTTP/1.1\r\nX: ");
  for (std::size_t i = 0; i < records; ++i) made.ammunition += record_of(attack, *made.shaken);
  return made;
}

}  // namespace

std::string to_string(TlsAttack attack) {
  switch (attack) {
    case TlsAttack::key_updates: return "key updates";
    case TlsAttack::renegotiations: return "renegotiations";
    case TlsAttack::empty_records_12: return "empty records, TLS 1.2";
    case TlsAttack::empty_records_13: return "empty records, TLS 1.3";
    case TlsAttack::warnings_12: return "warnings, TLS 1.2";
    case TlsAttack::warnings_13: return "warnings, TLS 1.3";
    case TlsAttack::one_byte_records: return "one-byte records";
    case TlsAttack::hello_in_records: return "ClientHello in records";
    case TlsAttack::hello_in_packets: return "ClientHello in packets";
    case TlsAttack::garbage_ticket: return "garbage ticket";
    case TlsAttack::garbage_psks: return "garbage PSKs";
    case TlsAttack::costly_group: return "ffdhe8192";
  }
  return "";
}

bool is_understood(TlsAttack attack, int port) {
  constexpr std::size_t few = 3;
  if (is_hello(attack)) {
    // In pieces, but few enough for any server.
    const auto hello = attack == TlsAttack::hello_in_records ? client_hello() : hello_of(attack);
    const RawSocket socket(port);
    socket.send(in_handshake_records(hello, attack == TlsAttack::hello_in_records ? 2 : 16 * 1024));
    const auto start = socket.receive(1);
    const auto type = start.empty() ? 0 : static_cast<unsigned char>(start[0]);
    constexpr int alert = 0x15;
    constexpr int handshake = 0x16;
    return type == handshake || (attack == TlsAttack::costly_group && type == alert);
  }
  TlsAttacker attacker(port, version_of(attack));
  const bool is_request = attack == TlsAttack::one_byte_records;
  if (is_request) attacker.socket().send(attacker.application_data("GET / HTTP/1.1\r\nHost: h\r\nX: "));
  for (std::size_t i = 0; i < few; ++i) attacker.socket().send(record_of(attack, attacker));
  return attacker.is_answered(is_request ? "\r\n\r\n" : "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

TlsFlood::TlsFlood(TlsAttack attack, int port, std::size_t connections)
    : attack_(attack), port_(port), connections_(connections), thread_([this] { run(); }) {}

void TlsFlood::stop() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

void TlsFlood::run() {
  while (!over_) {
    try {
      attack_once();
    } catch (const std::runtime_error&) {
      // It is refused: the next one, perhaps, not.
    }
  }
}

void TlsFlood::attack_once() {
  std::vector<Attacker> attackers;
  for (std::size_t i = 0; i < connections_ && !over_; ++i) {
    attackers.push_back(prepare(attack_, port_, records_in_all / connections_));
    ++connections_made_;
  }
  send_all(attackers);
  // Who leaves with an answer unread takes back what was sent.
  constexpr int longest_wait_ms = 200;
  for (auto one = attackers.begin(); one != attackers.end() && !over_; ++one) {
    pollfd answered{one->socket().fd(), POLLIN, 0};
    ::poll(&answered, 1, longest_wait_ms);
  }
}

void TlsFlood::send_all(std::vector<Attacker>& attackers) {
  const std::size_t piece = attack_ == TlsAttack::hello_in_packets ? 1 : 64 * 1024;
  for (std::size_t left = attackers.size(); left > 0 && !over_;) {
    left = 0;
    bool has_sent = false;
    for (auto& one : attackers) {
      if (one.sent == one.ammunition.size()) continue;
      ++left;
      const auto sent = one.socket().send_some(std::string_view(one.ammunition).substr(one.sent, piece));
      has_sent = has_sent || sent.value_or(1) > 0;
      bytes_sent_ += sent.value_or(0);
      one.sent = sent ? one.sent + *sent : one.ammunition.size();  // the server has closed it
    }
    // Nobody takes any more just now: no busy loop on one of few cores.
    if (left > 0 && !has_sent) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace responder::test
