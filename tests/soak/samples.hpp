// Measurements of the running program every ten seconds, and whether they stay flat.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "site.hpp"

namespace soak {

struct Sample {
  std::int64_t at_ms = 0;
  pid_t pid = 0;
  double rss_kib = 0;
  double descriptors = 0;
  double threads = 0;
  double spool_kib = 0;
  double wal_kib = 0;
  double cpu_s = 0;
};

class Samples {
 public:
  explicit Samples(Site& site) : site_(site) {}

  struct Figure;

  void take();
  // Adds a problem for each figure that grew: memory, descriptors and threads during a life of the process, spool and
  // write-ahead log during the whole run. Returns the summary's lines.
  std::vector<std::string> judge(Problems& problems) const;

 private:
  static std::string compare(const std::vector<Sample>& samples, const Figure& figure, Problems& problems);

  Site& site_;
  mutable std::mutex mutex_;
  std::vector<Sample> samples_;
};

}  // namespace soak
