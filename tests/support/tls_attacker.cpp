#include "tls_attacker.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

namespace responder::test {
namespace {

constexpr std::size_t hash_size = 32;
constexpr std::size_t key_size = 16;
constexpr std::size_t tag_size = 16;

// Big-endian.
std::string number(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[bytes - 1 - i] = static_cast<char>((value >> (8 * i)) & 0xFFU);
  return text;
}

// With its length in front.
std::string sized(const std::string& content, std::size_t bytes_of_length) {
  return number(content.size(), bytes_of_length) + content;
}

std::string hmac(const std::string& key, const std::string& text) {
  std::array<unsigned char, hash_size> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

// HKDF-Expand-Label of RFC 8446, 7.1, for up to one hash.
std::string expand_label(const std::string& secret, const std::string& label, std::size_t size) {
  return hmac(secret, number(size, 2) + sized("tls13 " + label, 1) + sized("", 1) + '\x01').substr(0, size);
}

// The PRF of RFC 5246, 5.
std::string prf(const std::string& secret, const std::string& label_and_seed, std::size_t size) {
  std::string out;
  for (std::string a = hmac(secret, label_and_seed); out.size() < size; a = hmac(secret, a))
    out += hmac(secret, a + label_and_seed);
  return out.substr(0, size);
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

// The secret that OpenSSL has written in the form of a key log: "LABEL RANDOM SECRET".
std::string logged_secret(const std::string& log, const std::string& label) {
  const auto at = log.find(label + ' ');
  if (at == std::string::npos) throw std::runtime_error("no " + label);
  const auto begin = log.find(' ', at + label.size() + 1) + 1;
  return from_hex(std::string_view(log).substr(begin, log.find('\n', begin) - begin));
}

template <class Function>
std::string random_of(SSL* ssl, Function* get) {
  std::array<unsigned char, SSL3_RANDOM_SIZE> bytes{};
  get(ssl, bytes.data(), bytes.size());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string extension(std::uint16_t type, const std::string& content) { return number(type, 2) + sized(content, 2); }

// Identities that no server has given out, each long enough to be looked at.
std::string garbage_psks(std::size_t count) {
  std::string identities;
  std::string binders;
  for (std::size_t i = 0; i < count; ++i) {
    identities += sized(std::string(64, 'g'), 2) + number(0, 4);
    binders += sized(std::string(hash_size, 'b'), 1);
  }
  return sized(identities, 2) + sized(binders, 2);
}

}  // namespace

RawSocket::RawSocket(int port, std::uint32_t host) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  const timeval timeout{5, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
  if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("cannot bind");
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("cannot connect");
}

std::size_t RawSocket::send(std::string_view bytes) const {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t part = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (part <= 0) break;
    sent += static_cast<std::size_t>(part);
  }
  return sent;
}

std::optional<std::size_t> RawSocket::send_some(std::string_view bytes) const {
  const ssize_t part = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (part >= 0) return static_cast<std::size_t>(part);
  if (errno == EAGAIN) return 0;
  return std::nullopt;
}

std::string RawSocket::receive(std::size_t enough) const {
  std::string all;
  std::array<char, 4096> part;
  while (all.size() < enough) {
    const ssize_t got = ::recv(fd_.get(), part.data(), std::min(part.size(), enough - all.size()), 0);
    if (got <= 0) break;
    all.append(part.data(), static_cast<std::size_t>(got));
  }
  return all;
}

bool RawSocket::closed_by_server() const {
  std::array<char, 4096> part;
  while (true) {
    const ssize_t got = ::recv(fd_.get(), part.data(), part.size(), 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
    if (got < 0) return false;
  }
}

TlsAttacker::TlsAttacker(int port, TlsVersion version, std::uint32_t host) : socket_(port, host), version_(version) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const int number_of_version = version == TlsVersion::tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL_CTX_set_min_proto_version(context.get(), number_of_version);
  SSL_CTX_set_max_proto_version(context.get(), number_of_version);
  SSL_CTX_set_cipher_list(context.get(), "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
  SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256");
  std::string log;
  SSL_CTX_set_keylog_callback(context.get(), [](const SSL* ssl, const char* line) {
    static_cast<std::string*>(SSL_get_app_data(ssl))->append(line).append("\n");
  });
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_app_data(ssl.get(), &log);
  SSL_set_fd(ssl.get(), socket_.fd());
  if (SSL_connect(ssl.get()) != 1) throw std::runtime_error("no handshake");
  // An answer shows that the server is through with the handshake, and brings what it sends behind that.
  constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  std::array<char, 16 * 1024> answer;
  if (SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) <= 0 ||
      SSL_read(ssl.get(), answer.data(), answer.size()) <= 0)
    throw std::runtime_error("no answer");
  sequence_ = 1;  // the request
  if (version == TlsVersion::tls13) {
    set_keys(logged_secret(log, "CLIENT_TRAFFIC_SECRET_0"));
    return;
  }
  // Both keys, then both salts. The first record was the end of the handshake.
  const auto keys =
      prf(logged_secret(log, "CLIENT_RANDOM"),
          "key expansion" + random_of(ssl.get(), SSL_get_server_random) + random_of(ssl.get(), SSL_get_client_random),
          2 * key_size + 8);
  key_ = keys.substr(0, key_size);
  iv_ = keys.substr(2 * key_size, 4);
  ++sequence_;
}

void TlsAttacker::set_keys(const std::string& secret) {
  secret_ = secret;
  key_ = expand_label(secret, "key", key_size);
  iv_ = expand_label(secret, "iv", 12);
}

std::string TlsAttacker::seal(const std::string& nonce, const std::string& header, const std::string& plain) const {
  const auto bytes = [](const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                EVP_CIPHER_CTX_free);
  std::string sealed(plain.size() + tag_size, '\0');
  auto* out = reinterpret_cast<unsigned char*>(sealed.data());
  int size = 0;
  EVP_EncryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, bytes(key_), bytes(nonce));
  EVP_EncryptUpdate(context.get(), nullptr, &size, bytes(header), static_cast<int>(header.size()));
  EVP_EncryptUpdate(context.get(), out, &size, bytes(plain), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context.get(), out + plain.size(), &size);
  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_size, out + plain.size());
  return sealed;
}

std::string TlsAttacker::record(RecordType type, std::string_view content) {
  const std::string version = number(0x0303, 2);
  const auto sequence = number(sequence_++, 8);
  if (version_ == TlsVersion::tls12) {
    const auto kind = number(static_cast<std::uint8_t>(type), 1);
    const auto sealed =
        seal(iv_ + sequence, sequence + kind + version + number(content.size(), 2), std::string(content));
    return kind + version + sized(sequence + sealed, 2);
  }
  const auto inner = std::string(content) + number(static_cast<std::uint8_t>(type), 1);
  const auto header = number(static_cast<std::uint8_t>(RecordType::application_data), 1) + version +
                      number(inner.size() + tag_size, 2);
  std::string nonce = iv_;
  for (std::size_t i = 0; i < sequence.size(); ++i) nonce[4 + i] = static_cast<char>(nonce[4 + i] ^ sequence[i]);
  return header + seal(nonce, header, inner);
}

std::string TlsAttacker::key_update() {
  constexpr std::string_view message{"\x18\0\0\x01\x01", 5};  // and asks the server for one of its own
  auto made = record(RecordType::handshake, message);
  set_keys(expand_label(secret_, "traffic upd", hash_size));
  sequence_ = 0;
  return made;
}

std::string TlsAttacker::warning() {
  return record(RecordType::alert, "\x01\x5a");  // warning, user_canceled
}

bool TlsAttacker::is_answered(std::string_view request) {
  // Alerts and answers to key updates are smaller.
  constexpr std::size_t size_of_an_answer = 100;
  constexpr std::size_t header = 5;
  socket_.send(application_data(request));
  while (true) {
    const auto start = socket_.receive(header);
    if (start.size() < header) return false;
    const auto size = static_cast<unsigned char>(start[3]) * 256U + static_cast<unsigned char>(start[4]);
    if (socket_.receive(size).size() < size) return false;
    if (start[0] == static_cast<char>(RecordType::application_data) && size >= size_of_an_answer) return true;
  }
}

std::string client_hello(const HelloOptions& options) {
  const auto share = number(options.group, 2) + sized(std::string(options.share_size, '\x42'), 2);
  std::string extensions = extension(0x002B, sized(number(0x0304, 2), 1))                        // versions
                           + extension(0x000A, sized(number(options.group, 2), 2))               // groups
                           + extension(0x000D, sized(number(0x0403, 2) + number(0x0804, 2), 2))  // signatures
                           + extension(0x0033, sized(share, 2))                                  // key share
                           + extension(0x002D, sized(number(1, 1), 1));                          // how to resume
  if (options.ticket_size > 0) extensions += extension(0x0023, std::string(options.ticket_size, 't'));
  if (options.padding > 0) extensions += extension(0x0015, std::string(options.padding, '\0'));
  if (options.garbage_tickets > 0) extensions += extension(0x0029, garbage_psks(options.garbage_tickets));
  const auto body = number(0x0303, 2) + std::string(32, 'r') + sized("", 1) + sized(number(0x1301, 2), 2) +
                    sized(number(0, 1), 1) + sized(extensions, 2);
  return number(1, 1) + sized(body, 3);
}

std::string in_handshake_records(std::string_view message, std::size_t bytes_each) {
  std::string records;
  for (std::size_t at = 0; at < message.size(); at += bytes_each)
    records += number(0x160301, 3) + sized(std::string(message.substr(at, bytes_each)), 2);
  return records;
}

}  // namespace responder::test
