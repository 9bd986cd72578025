// Measures what strangers cost those who are let in. Valid webhooks come every 100 ms, over new and over kept
// connections, meanwhile (every 20 ms beside the floods through TLS):
//
//   listener-bench slow CONNECTIONS SECONDS   clients that drip heads or bodies, stop in a handshake or idle
//   listener-bench flood REQUESTS             64 connections send so many requests with wrong signatures
//   listener-bench tls SECONDS [ADDRESS]      each flood through TLS from 1, 4 and 64 connections, for so long each
//
// Strangers come from 127.0.0.1, valid webhooks from 127.0.0.2 or from ADDRESS: 127.0.0.1, as behind one NAT.

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <httplib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/base/file.hpp"

#include "fake_rhombus.hpp"
#include "temp_folder.hpp"
#include "tls_flood.hpp"

namespace {

using namespace responder;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const std::string secret = "a secret of the bench";

std::int64_t resident_kib(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

// The program, with TLS, no cameras and a journal of its own.
class Server {
 public:
  Server() {
    const auto identity = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr);
    std::ofstream(folder_ / "cert.pem") << identity.certificate_pem();
    std::ofstream(folder_ / "key.pem") << identity.key_pem();
    const auto in = [&](const char* name) { return (folder_ / name).string(); };
    std::ofstream(folder_ / "config.toml") << fmt::format(
        "[rhombus]\napi_url = \"https://127.0.0.1:1\"\napi_key = \"none\"\n"
        "[webhook]\nlisten = \"127.0.0.1:0\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\nsecrets = [\"{}\"]\n"
        "[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n[admin]\nlisten = \"\"\n",
        in("cert.pem"), in("key.pem"), secret, in("clips"), in("state/journal.db"));
    pid_ = ::fork();
    if (pid_ == 0) {
      const int log = ::open(in("log").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      ::dup2(log, 2);
      ::execl(RESPONDER_PROGRAM, RESPONDER_PROGRAM, "--config", in("config.toml").c_str(), "serve", nullptr);
      ::_exit(127);
    }
    const std::string marker = "https://127.0.0.1:";
    const auto deadline = Clock::now() + 10s;
    while (port_ == 0) {
      if (Clock::now() > deadline) throw std::runtime_error("serve does not listen:\n" + log());
      std::this_thread::sleep_for(10ms);
      const auto text = log();
      if (const auto at = text.find("webhooks on " + marker); at != std::string::npos)
        port_ = std::atoi(text.c_str() + at + 12 + marker.size());
    }
  }
  ~Server() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  std::int64_t memory_kib() const { return resident_kib(pid_); }
  std::string log() const {
    const auto text = read_file(folder_ / "log", 1 << 28);
    return text ? *text : std::string();
  }

 private:
  test::TempFolder folder_;
  pid_t pid_ = -1;
  int port_ = 0;
};

std::unique_ptr<httplib::SSLClient> make_client(int port, const std::string& address = "127.0.0.2") {
  auto client = std::make_unique<httplib::SSLClient>("127.0.0.1", port);
  client->enable_server_certificate_verification(false);
  client->set_keep_alive(true);
  client->set_tcp_nodelay(true);
  client->set_interface(address);
  return client;
}

// Sends a valid webhook every 100 ms until told to stop: over a kept connection and a new one in turns.
class ValidOnes {
 public:
  explicit ValidOnes(int port, std::chrono::milliseconds interval = 100ms, std::string address = "127.0.0.2")
      : interval_(interval), address_(std::move(address)), thread_([this, port] { run(port); }) {}

  void report() {
    over_ = true;
    thread_.join();
    fmt::print("valid: {} sent, {} not answered 200; ms: median {:.1f}, p99 {:.1f}, worst {:.1f}\n", times_.size(),
               failed_, percentile(times_, 0.5), percentile(times_, 0.99), percentile(times_, 1));
  }

 private:
  void run(int port) {
    const auto kept = make_client(port, address_);
    auto next = Clock::now();
    for (int i = 0; !over_; ++i) {
      const auto body = fake_rhombus::organization_body(fake_rhombus::random_uuid(), "CameraAAAAAAAAAAAAAAAA",
                                                        1'700'000'000'000 + i, 1);
      const auto fresh = i % 2 == 0 ? nullptr : make_client(port, address_);
      const auto began = Clock::now();
      const auto answer =
          (fresh ? *fresh : *kept)
              .Post("/webhook/rhombus", {{"x-rhombus-signature-sha256", fake_rhombus::hmac_hex(body, secret, true)}},
                    body, "application/json");
      times_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
      if (!answer || answer->status != 200) ++failed_;
      std::this_thread::sleep_until(next += interval_);
    }
  }

  const std::chrono::milliseconds interval_;
  const std::string address_;
  std::atomic<bool> over_{false};
  std::vector<double> times_;
  std::size_t failed_ = 0;
  std::thread thread_;
};

// A client that never comes to an end.
class SlowClient {
 public:
  enum class Kind { silent, half_handshake, head, body };

  SlowClient(int port, Kind kind) : kind_(kind), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return;
    if (kind == Kind::silent) return;
    if (kind == Kind::half_handshake) {
      [[maybe_unused]] const auto sent = ::send(fd_.get(), "\x16\x03\x01\x02\x00\x01", 6, MSG_NOSIGNAL);
      return;
    }
    static SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    ssl_.reset(SSL_new(context));
    SSL_set_fd(ssl_.get(), fd_.get());
    if (SSL_connect(ssl_.get()) != 1) return;
    write("POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\n");
    if (kind == Kind::body) write("Content-Length: 100000\r\n\r\n");
  }

  void drip() {
    if (kind_ == Kind::head) write("X: y\r\n");
    if (kind_ == Kind::body) write("x");
  }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  void write(const std::string& text) {
    if (ssl_) SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
  }

  const Kind kind_;
  UniqueFd fd_;
  std::unique_ptr<SSL, Free> ssl_;
};

void slow(std::size_t connections, std::chrono::seconds duration) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  Server server;
  make_client(server.port())->Get("/");
  const auto before = server.memory_kib();
  ValidOnes valid(server.port());
  std::vector<std::unique_ptr<SlowClient>> clients;
  const auto until = Clock::now() + duration;
  std::int64_t most = before;
  std::size_t next = 0;
  // Those that were cut off come again.
  while (Clock::now() < until) {
    for (int i = 0; i < 50; ++i) {
      auto client =
          std::make_unique<SlowClient>(server.port(), static_cast<SlowClient::Kind>((next + clients.size()) % 4));
      if (clients.size() < connections) {
        clients.push_back(std::move(client));
      } else {
        clients[next++ % connections] = std::move(client);
      }
    }
    for (auto& client : clients) client->drip();
    most = std::max(most, server.memory_kib());
    std::this_thread::sleep_for(clients.size() < connections ? 10ms : 200ms);
  }
  valid.report();
  fmt::print("{} slow clients held; memory {:.1f} MiB before, at most {:.1f} MiB more\n", clients.size(),
             static_cast<double>(before) / 1024, static_cast<double>(most - before) / 1024);
}

void flood(std::size_t requests) {
  constexpr std::size_t connections = 64;
  Server server;
  make_client(server.port())->Get("/");
  const auto before = server.memory_kib();
  ValidOnes valid(server.port());
  std::atomic<std::size_t> left{requests};
  std::atomic<std::size_t> refused{0};
  const auto began = Clock::now();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < connections; ++i) {
    threads.emplace_back([&] {
      const auto client = make_client(server.port());
      while (left.fetch_sub(1) - 1 < requests) {
        const auto answer = client->Post("/webhook/rhombus", {{"x-rhombus-signature-sha1", std::string(40, '0')}},
                                         "{\"alertUuid\":\"A\"}", "application/json");
        if (answer && answer->status == 401) ++refused;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto took = std::chrono::duration<double>(Clock::now() - began).count();
  valid.report();
  const auto log = server.log();
  fmt::print("{} of {} refused with 401 in {:.1f} s; {} lines of log; memory {:+.1f} MiB\n", refused.load(), requests,
             took, std::count(log.begin(), log.end(), '\n'),
             static_cast<double>(server.memory_kib() - before) / 1024);
}

void tls(std::chrono::seconds duration, const std::string& address) {
  Server server;
  for (const auto attack : test::tls_attacks) {
    if (!test::is_understood(attack, server.port())) throw std::runtime_error("not understood: " + to_string(attack));
    for (const std::size_t connections : {1U, 4U, 64U}) {
      test::TlsFlood flood(attack, server.port(), connections);
      while (flood.bytes_sent() == 0) std::this_thread::sleep_for(1ms);
      ValidOnes valid(server.port(), 20ms, address);
      std::this_thread::sleep_for(duration);
      fmt::print("{}, {} at once: ", to_string(attack), connections);
      valid.report();
      flood.stop();
      fmt::print("    {} connections sent {} KiB\n", flood.connections_made(), flood.bytes_sent() / 1024);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  ::signal(SIGPIPE, SIG_IGN);
  try {
    if (mode == "slow" && argc == 4) {
      slow(std::stoul(argv[2]), std::chrono::seconds(std::stoi(argv[3])));
    } else if (mode == "flood" && argc == 3) {
      flood(std::stoul(argv[2]));
    } else if (mode == "tls" && (argc == 3 || argc == 4)) {
      tls(std::chrono::seconds(std::stoi(argv[2])), argc == 4 ? argv[3] : "127.0.0.2");
    } else {
      std::cerr << "usage: listener-bench slow CONNECTIONS SECONDS | flood REQUESTS | tls SECONDS [ADDRESS]\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "listener-bench: " << error.what() << '\n';
    return 1;
  }
}
