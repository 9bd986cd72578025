// Faults that are injected at random, the record of them, and which log lines they explain.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include "site.hpp"

namespace soak {

// Footage that a camera never gives: [start, start + 2) in epoch seconds.
struct Hole {
  std::string camera;
  std::int64_t start = 0;
};

// Every fault of the soak with its kind and its time. Threads may use it at once.
class FaultRecord {
 public:
  explicit FaultRecord(const std::filesystem::path& file) : file_(file) {}

  // Returns what `end` wants to know.
  std::size_t begin(const std::string& kind, const std::string& target = "");
  void end(std::size_t fault);
  void note(const std::string& kind, const std::string& target = "") { end(begin(kind, target)); }
  // A fault in whose time, or soon after it, such a line is to be expected.
  bool explains(const std::string& message, std::int64_t at_ms) const;
  std::map<std::string, int> counts() const;

 private:
  struct Fault {
    std::string kind;
    std::int64_t from_ms = 0;
    std::int64_t until_ms = INT64_MAX;
  };
  mutable std::mutex mutex_;
  std::vector<Fault> faults_;
  std::ofstream file_;
};

// Injects faults into the stand-in, the archive, the hooks and the listener.
class Faults {
 public:
  Faults(Site& site, FaultRecord& record, unsigned seed);

  // Until a stop is requested; all faults have ended then, except the holes.
  void run(const std::stop_token& stop);
  std::vector<Hole> holes() const;
  bool is_archive_away() const { return archive_away_; }

 private:
  std::optional<fake_rhombus::Reply> intercept(const fake_rhombus::Request& request);
  void mangle(const fake_rhombus::Request& request, fake_rhombus::Reply& reply);
  bool is_in_hole(const fake_rhombus::Request& request, const std::string& device) const;
  bool chance(double probability);
  std::string random_bytes(std::size_t count);
  void inject(const std::string& kind, std::chrono::milliseconds time, const std::stop_token& stop);
  void set(const std::string& kind, const std::string& target);
  void clear(const std::string& kind);
  void take_archive_away(std::chrono::milliseconds time, const std::stop_token& stop);
  void fail_hooks(bool fails);
  void send_garbage();
  void send_unsigned();

  Site& site_;
  FaultRecord& record_;
  mutable std::mutex mutex_;
  std::minstd_rand random_;                    // guarded by the mutex
  std::map<std::string, std::string> active_;  // kind -> target; guarded by the mutex
  std::vector<Hole> holes_;                    // guarded by the mutex
  std::atomic<bool> archive_away_{false};
};

}  // namespace soak
