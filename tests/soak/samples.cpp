#include "samples.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <unistd.h>

namespace soak {
namespace {

namespace fs = std::filesystem;

double status_field(const std::string& status, const std::string& name) {
  const auto at = status.find("\n" + name + ":");
  return at == std::string::npos ? 0 : std::atof(status.c_str() + at + name.size() + 2);
}

double cpu_seconds(pid_t pid) {
  const auto stat = slurp(fmt::format("/proc/{}/stat", pid));
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
  std::string field;
  double ticks = 0;
  for (int i = 3; i <= 15 && fields >> field; ++i) {
    if (i >= 14) ticks += std::atof(field.c_str());
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double files_kib(const fs::path& folder) {
  double bytes = 0;
  std::error_code failed;
  for (auto entry = fs::recursive_directory_iterator(folder, failed);
       !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    std::error_code gone;
    const auto size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
    if (!gone) bytes += static_cast<double>(size);
  }
  return bytes / 1024;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

constexpr std::size_t fewest_samples = 24;  // four minutes

}  // namespace

// Of the medians of the last and the first quarter.
struct Samples::Figure {
  const char* name;
  double Sample::*value;
  double factor;  // the last may be so many times the first,
  double more;    // and so much more
  std::int64_t warm_up_s;
  bool of_whole_run;  // or of each life of the process
};

namespace {

// The spool keeps footage for ten minutes after its last use, and memory what it knows of that footage.
constexpr Samples::Figure figures[] = {{"memory, KiB", &Sample::rss_kib, 1.15, 8192, 720, false},
                                       {"descriptors", &Sample::descriptors, 1.25, 24, 60, false},
                                       {"threads", &Sample::threads, 1.1, 4, 60, false},
                                       {"spool, KiB", &Sample::spool_kib, 1.5, 4096, 720, true},
                                       {"write-ahead log, KiB", &Sample::wal_kib, 1.5, 4096, 60, true}};

}  // namespace

void Samples::take() {
  const pid_t pid = site_.pid();
  if (pid <= 0) return;
  Sample sample{.at_ms = now_ms(), .pid = pid};
  const auto status = slurp(fmt::format("/proc/{}/status", pid));
  sample.rss_kib = status_field(status, "VmRSS");
  sample.threads = status_field(status, "Threads");
  if (sample.rss_kib == 0) return;  // it has just ended
  std::error_code gone;
  const auto descriptors = fs::directory_iterator(fmt::format("/proc/{}/fd", pid), gone);
  if (gone) return;
  sample.descriptors = static_cast<double>(std::distance(fs::begin(descriptors), fs::end(descriptors)));
  sample.cpu_s = cpu_seconds(pid);
  sample.spool_kib = files_kib(site_.state() / "spool");
  const auto wal = fs::file_size(site_.state() / "journal.db-wal", gone);
  sample.wal_kib = gone ? 0 : static_cast<double>(wal) / 1024;
  std::ofstream(site_.settings().directory / "samples.csv", std::ios::app)
      << fmt::format("{},{},{},{},{},{:.0f},{:.0f},{:.2f}\n", sample.at_ms, sample.pid, sample.rss_kib,
                     sample.descriptors, sample.threads, sample.spool_kib, sample.wal_kib, sample.cpu_s);
  const std::lock_guard lock(mutex_);
  samples_.push_back(sample);
}

// Adds a problem when the last quarter is higher than the first; returns both.
std::string Samples::compare(const std::vector<Sample>& samples, const Figure& figure, Problems& problems) {
  const auto quarter = static_cast<std::ptrdiff_t>(samples.size() / 4);
  std::vector<double> first;
  std::vector<double> last;
  for (auto one = samples.begin(); one != samples.begin() + quarter; ++one) first.push_back((*one).*figure.value);
  for (auto one = samples.end() - quarter; one != samples.end(); ++one) last.push_back((*one).*figure.value);
  const auto before = median(first);
  const auto after = median(last);
  const auto minutes = (samples.back().at_ms - samples.front().at_ms) / 60'000;
  if (after > before * figure.factor + figure.more)
    problems.add(fmt::format("{} grew from {:.0f} to {:.0f} in {} min", figure.name, before, after, minutes));
  return fmt::format("; {:.0f} to {:.0f} in {} min", before, after, minutes);
}

std::vector<std::string> Samples::judge(Problems& problems) const {
  const std::lock_guard lock(mutex_);
  std::map<pid_t, std::vector<Sample>> lives;
  double cpu = 0;
  for (const auto& sample : samples_) lives[sample.pid].push_back(sample);
  for (const auto& [pid, life] : lives) cpu += life.back().cpu_s;
  std::vector<std::string> lines{
      fmt::format("| processor time of serve | {:.0f} s in {} lives |", cpu, lives.size())};
  for (const auto& figure : figures) {
    double most = 0;
    for (const auto& sample : samples_) most = std::max(most, sample.*figure.value);
    std::string seen;
    if (figure.of_whole_run) lives = {{0, samples_}};
    for (auto& [pid, life] : lives) {
      const auto begin = life.empty() ? 0 : life.front().at_ms + figure.warm_up_s * 1000;
      std::vector<Sample> warm;
      std::copy_if(life.begin(), life.end(), std::back_inserter(warm),
                   [&](const auto& one) { return one.at_ms >= begin; });
      if (warm.size() >= fewest_samples) seen += compare(warm, figure, problems);
    }
    lines.push_back(fmt::format("| {} | at most {:.0f}{} |", figure.name, most, seen));
  }
  return lines;
}

}  // namespace soak
