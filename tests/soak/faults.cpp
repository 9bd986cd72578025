#include "faults.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <regex>
#include <thread>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace soak {
namespace {

using namespace std::chrono_literals;
using fake_rhombus::Reply;
using fake_rhombus::Request;
namespace fs = std::filesystem;

// A kind of fault, the log lines it explains, and for how long after it they may come.
struct Explanation {
  const char* kind;
  const char* lines;
  int seconds_after;
};

constexpr int soon = 45;  // timeouts, and attempts that were under way

// A line that none of these explains fails the soak.
const std::array explanations = {
    Explanation{"media-503", "HTTP 503|does not answer|went away before|recorded less|partial", soon},
    Explanation{"media-404", "HTTP 404|not there|missing|went away before|recorded less|partial", soon},
    Explanation{"media-reset",
                "connection broke|closed|ended early|incomplete|went away before|recorded less|partial", soon},
    Explanation{"media-drip", "slow|connection broke|timed out|went away before|recorded less|partial", soon},
    Explanation{"media-garbage", "segment|initialization|is unusable|went away before|recorded less|partial", soon},
    Explanation{"camera-offline",
                "connection broke|offline|does not answer|HTTP 404|went away before|recorded less|partial", soon},
    Explanation{"lan-refuses", "HTTP 403|refuse", soon},
    Explanation{"token-expiry", "HTTP 401|HTTP 403", soon},
    Explanation{"api-429", "too many requests|HTTP 429|no sound: it is not known yet", soon},
    Explanation{"api-500", "HTTP 500|not refreshed|catching up|unreachable|no sound: it is not known yet", soon},
    Explanation{"api-reset", "connection broke|not refreshed|catching up|unreachable|no sound: it is not known yet",
                soon},
    Explanation{"hole", "partial|HTTP 404", 700},
    Explanation{"archive-away", "archive|marker|clips wait|clips", soon},
    Explanation{"hooks-down", "delivery|deliver|hook|HTTP 500|ended with status", soon},
    Explanation{"unsigned", "signature|unsigned|refused", 90},
    Explanation{"webhook-lost", "webhooks: ", 3600},
    Explanation{"growing", "partial.*the alert is still going on", 120},
    Explanation{"clip-damaged", "damaged|clip", soon},
    Explanation{"journal-disk-full", "not recorded|not written down|journal|is full|cannot look|not counted", soon},
    Explanation{"journal-sync-fails", "not recorded|not written down|journal|disk I/O|cannot look|not counted", soon},
};

struct Kind {
  const char* name;
  int weight;
  int least_s;
  int most_s;
};

constexpr Kind kinds[] = {
    {"media-503", 3, 3, 20},     {"media-404", 3, 3, 20},      {"media-reset", 3, 3, 20}, {"media-drip", 2, 3, 15},
    {"media-garbage", 2, 3, 15}, {"camera-offline", 3, 5, 40}, {"lan-refuses", 3, 5, 30}, {"token-expiry", 3, 0, 0},
    {"api-429", 2, 2, 10},       {"api-500", 2, 2, 15},        {"api-reset", 2, 2, 15},   {"hole", 3, 0, 0},
    {"archive-away", 2, 3, 20},  {"hooks-down", 3, 5, 40},     {"garbage", 2, 0, 0},      {"unsigned", 2, 0, 0}};

std::string device_of(const Request& request) {
  if (request.server == "api") return "";
  if (request.server != "wan") return request.server;
  const std::string before = "/dash/web/outbound/";
  if (!request.path.starts_with(before)) return "";
  return request.path.substr(before.size(), request.path.find('/', before.size()) - before.size());
}

bool is_segment(const Request& request) { return request.path.find("/seg_") != std::string::npos; }

}  // namespace

std::size_t FaultRecord::begin(const std::string& kind, const std::string& target) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({kind, now_ms()});
  file_ << fmt::format("{} begin {} {} {}\n", now_ms(), faults_.size() - 1, kind, target) << std::flush;
  return faults_.size() - 1;
}

void FaultRecord::end(std::size_t fault) {
  const std::lock_guard lock(mutex_);
  faults_[fault].until_ms = now_ms();
  file_ << fmt::format("{} end {} {}\n", now_ms(), fault, faults_[fault].kind) << std::flush;
}

bool FaultRecord::explains(const std::string& message, std::int64_t at_ms) const {
  const std::lock_guard lock(mutex_);
  for (const auto& explanation : explanations) {
    if (!std::regex_search(message, std::regex(explanation.lines))) continue;
    for (const auto& fault : faults_) {
      const bool in_time =
          at_ms >= fault.from_ms - 1000 &&
          (fault.until_ms == INT64_MAX || at_ms <= fault.until_ms + explanation.seconds_after * 1000);
      if (in_time && fault.kind == explanation.kind) return true;
    }
  }
  return false;
}

std::map<std::string, int> FaultRecord::counts() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, int> counts;
  for (const auto& fault : faults_) ++counts[fault.kind];
  return counts;
}

Faults::Faults(Site& site, FaultRecord& record, unsigned seed) : site_(site), record_(record), random_(seed) {
  site_.rhombus().intercept([this](const Request& request) { return intercept(request); });
  site_.rhombus().mangle([this](const Request& request, Reply& reply) { mangle(request, reply); });
}

std::vector<Hole> Faults::holes() const {
  const std::lock_guard lock(mutex_);
  return holes_;
}

bool Faults::chance(double probability) { return std::bernoulli_distribution(probability)(random_); }

std::string Faults::random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random_() & 0xff);
  return bytes;
}

std::optional<Reply> Faults::intercept(const Request& request) {
  const std::lock_guard lock(mutex_);
  Reply broken{200, "x"};
  broken.cut_at = 0;
  if (request.server == "api") {
    if (active_.contains("api-429")) return Reply{429, "Too many requests", "text/plain", {{"Retry-After", "2"}}};
    if (active_.contains("api-500") && chance(0.7)) return Reply{500, "Internal Server Error", "text/plain"};
    if (active_.contains("api-reset") && chance(0.7)) return broken;
    return std::nullopt;
  }
  const auto device = device_of(request);
  const auto offline = active_.find("camera-offline");
  if (offline != active_.end() && offline->second == device) return broken;
  if (active_.contains("lan-refuses") && request.server != "wan") return Reply{403, "forbidden", "text/plain"};
  if (active_.contains("media-503") && chance(0.5)) return Reply{503, "busy", "text/plain"};
  if (is_segment(request) && is_in_hole(request, device)) return Reply{404, "not found", "text/plain"};
  return std::nullopt;
}

bool Faults::is_in_hole(const Request& request, const std::string& device) const {
  const bool lan = request.server != "wan";
  const auto at = request.path.find(lan ? "/store/" : "/SESSION/");
  const auto name = request.path.rfind("/seg_");
  if (at == std::string::npos) return false;
  std::int64_t start = 0;
  std::int64_t duration = 0;
  long number = 0;
  const char* form = lan ? "/store/%ld_%ld/" : "/SESSION/%ld/%ld/";
  if (std::sscanf(request.path.c_str() + at, form, &start, &duration) != 2 ||
      std::sscanf(request.path.c_str() + name, "/seg_%ld.", &number) != 1)
    return false;
  const auto from = start + (number - (lan ? 0 : 1)) * fake_rhombus::segment_seconds;
  return std::any_of(holes_.begin(), holes_.end(), [&](const Hole& hole) {
    return hole.camera == device && from < hole.start + 2 && from + fake_rhombus::segment_seconds > hole.start;
  });
}

void Faults::mangle(const Request& request, Reply& reply) {
  const std::lock_guard lock(mutex_);
  if (reply.status != 200) return;
  if (const auto offline = active_.find("camera-offline");
      offline != active_.end() && request.path == "/api/camera/getMinimalCameraStateList") {
    const auto at = reply.body.find(offline->second);
    const auto green = reply.body.find("GREEN", at);
    if (at != std::string::npos && green != std::string::npos) reply.body.replace(green, 5, "RED");
  }
  if (request.server == "api" || !is_segment(request)) return;
  if (active_.contains("media-404") && chance(0.3)) reply = {404, "not found", "text/plain"};
  if (active_.contains("media-reset") && chance(0.3)) reply.cut_at = reply.body.size() / 2;
  if (active_.contains("media-drip") && chance(0.3)) reply.bytes_per_second = 600;
  if (active_.contains("media-garbage") && chance(0.3)) reply.body = random_bytes(reply.body.size());
}

void Faults::run(const std::stop_token& stop) {
  int total = 0;
  for (const auto& kind : kinds) total += kind.weight;
  while (true) {
    int drawn = 0;
    double pause_s = 0;
    double share = 0;
    {
      const std::lock_guard lock(mutex_);
      drawn = std::uniform_int_distribution<int>(0, total - 1)(random_);
      pause_s = std::exponential_distribution<double>(1.0 / 6)(random_);
      share = std::uniform_real_distribution<double>(0, 1)(random_);
    }
    if (!sleep_unless_stopped(stop, std::chrono::milliseconds(static_cast<int>(std::min(pause_s, 30.0) * 1000))))
      return;
    for (const auto& kind : kinds) {
      drawn -= kind.weight;
      if (drawn >= 0) continue;
      const auto seconds = kind.least_s + share * (kind.most_s - kind.least_s);
      inject(kind.name, std::chrono::milliseconds(static_cast<int>(seconds * 1000)), stop);
      break;
    }
  }
}

void Faults::inject(const std::string& kind, std::chrono::milliseconds time, const std::stop_token& stop) {
  std::string target;
  {
    const std::lock_guard lock(mutex_);
    if (kind == "camera-offline" || kind == "hole")
      target =
          site_.cameras()[std::uniform_int_distribution<std::size_t>(0, site_.cameras().size() - 1)(random_)].uuid;
    // What is in it has not been fetched yet.
    if (kind == "hole") holes_.push_back({target, now_ms() / 2000 * 2 + 6});
  }
  const auto fault = record_.begin(kind, target);
  if (kind == "token-expiry") {
    site_.rhombus().revoke_tokens();
  } else if (kind == "archive-away") {
    take_archive_away(time, stop);
  } else if (kind == "garbage") {
    send_garbage();
  } else if (kind == "unsigned") {
    send_unsigned();
  } else if (kind == "hooks-down") {
    fail_hooks(true);
    sleep_unless_stopped(stop, time);
    fail_hooks(false);
  } else if (kind != "hole") {
    set(kind, target);
    sleep_unless_stopped(stop, time);
    clear(kind);
  }
  record_.end(fault);
}

void Faults::set(const std::string& kind, const std::string& target) {
  const std::lock_guard lock(mutex_);
  active_[kind] = target;
}

void Faults::clear(const std::string& kind) {
  const std::lock_guard lock(mutex_);
  active_.erase(kind);
}

void Faults::take_archive_away(std::chrono::milliseconds time, const std::stop_token& stop) {
  if (archive_away_.exchange(true)) return;
  std::error_code failed;
  fs::rename(site_.clips(), site_.away(), failed);
  if (!failed) {
    sleep_unless_stopped(stop, time);
    // An empty folder is what an unmounted share leaves; anything in it was written where nobody looks for it.
    fs::remove(site_.clips(), failed);
    failed.clear();
    fs::rename(site_.away(), site_.clips(), failed);
  }
  if (failed) fmt::print(stderr, "PROBLEM: the archive folder: {}\n", failed.message());
  archive_away_ = false;
}

void Faults::fail_hooks(bool fails) {
  site_.hook().fail(fails);
  const auto flag = site_.settings().directory / "hook-fails";
  if (fails) {
    std::ofstream(flag) << "x";
  } else {
    fs::remove(flag);
  }
}

// Bytes that are no TLS, on a few connections.
void Faults::send_garbage() {
  for (int i = 0; i < 20; ++i) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(site_.webhook_port()));
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      std::string bytes;
      {
        const std::lock_guard lock(mutex_);
        bytes = i % 2 == 0 ? random_bytes(200) : "POST /webhook/rhombus HTTP/1.1\r\nHost: x\r\n\r\n";
      }
      ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    ::close(socket);
  }
}

void Faults::send_unsigned() {
  for (int i = 0; i < 20; ++i) {
    const auto body =
        fake_rhombus::organization_body(fake_rhombus::random_uuid(), site_.cameras()[0].uuid, now_ms(), 2);
    fake_rhombus::send_webhook(site_.url(), body, "a wrong secret", i % 2 == 0);
  }
}

}  // namespace soak
