// The soak: mixed work on the stand-in for Rhombus at many times the rate of a normal site, with restarts, kills and
// faults at random, for a time that is given. At its end every alert is accounted for, every clip is held against the
// footage, memory, descriptors, spool and write-ahead log are flat, and every warning in the log is one that a fault
// explains. Exit status 0: all of that holds. scripts/soak builds and starts it.

#include <algorithm>
#include <csignal>
#include <ctime>
#include <functional>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <simdjson.h>
#include <sys/resource.h>

#include "faults.hpp"
#include "ledger.hpp"
#include "load.hpp"
#include "samples.hpp"
#include "site.hpp"

namespace soak {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Starts and ends `serve`, one life after another.
class Lives {
 public:
  Lives(Site& site, FaultRecord& record, Problems& problems, unsigned seed)
      : site_(site), record_(record), problems_(problems), random_(seed) {}

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (++lives_ > 2 && number(0, 3) == 0) {
        live_with_faulty_disk(stop);
      } else {
        live(stop);
      }
    }
  }
  int lives() const { return lives_; }

 private:
  int number(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  // Two long lives, in which growth would show; the others are short.
  std::chrono::seconds length() {
    const int total = site_.settings().minutes * 60;
    if (total >= 1800 && (lives_ == 2 || lives_ == 6)) return std::chrono::seconds(std::min(total / 5, 1500));
    return std::chrono::seconds(number(0, 2) > 0 ? number(15, 70) : number(70, 240));
  }

  void end(bool by_kill) {
    const auto fault = record_.begin(by_kill ? "kill" : "restart");
    const int status = site_.stop_serve(by_kill ? SIGKILL : SIGTERM);
    if (!by_kill && status != 0) problems_.add(fmt::format("serve ended with status {} at SIGTERM", status));
    if (by_kill && status != 128 + SIGKILL)
      problems_.add(fmt::format("serve had ended by itself with status {}", status));
    record_.end(fault);
  }

  void live(const std::stop_token& stop) {
    if (!site_.start_serve()) return;
    if (!sleep_unless_stopped(stop, length())) return;
    end(number(0, 1) == 0);
    if (number(0, 1) == 0) sleep_unless_stopped(stop, std::chrono::seconds(number(1, 8)));
  }

  // Alone with the journal: what other processes write is not in the record of the disk.
  void live_with_faulty_disk(const std::stop_token& stop) {
    site_.reserve_journal();
    {
      faulty_system::FaultySystem system(site_.state());
      if (site_.start_serve(site_.environment_of(system))) {
        sleep_unless_stopped(stop, std::chrono::seconds(number(5, 15)));
        const bool is_full = number(0, 1) == 0;
        const auto fault = record_.begin(is_full ? "journal-disk-full" : "journal-sync-fails");
        if (is_full) {
          system.controls().journal_disk_full = 1;
        } else {
          system.controls().failing_journal_syncs = number(1, 3);
        }
        sleep_unless_stopped(stop, std::chrono::seconds(number(2, 6)));
        system.controls().journal_disk_full = 0;
        system.controls().failing_journal_syncs = 0;
        record_.end(fault);
        sleep_unless_stopped(stop, std::chrono::seconds(number(2, 15)));
        end(true);
        record_.note("power-cut", std::to_string(system.cut_power(number(0, 1) == 0 ? nullptr : &random_)));
      }
    }
    site_.release_journal();
  }

  Site& site_;
  FaultRecord& record_;
  Problems& problems_;
  std::minstd_rand random_;
  int lives_ = 0;
};

std::int64_t time_of(const std::string& text) {
  std::tm time{};
  int milliseconds = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%d.%d", &time.tm_year, &time.tm_mon, &time.tm_mday, &time.tm_hour,
                  &time.tm_min, &time.tm_sec, &milliseconds) != 7)
    return 0;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return static_cast<std::int64_t>(::timegm(&time)) * 1000 + milliseconds;
}

// Each warning and error must be one that a fault explains. Returns the summary's line.
std::string judge_log(const std::string& log, bool json_alone, const FaultRecord& record, Problems& problems) {
  std::istringstream lines(log);
  simdjson::dom::parser parser;
  int warnings = 0;
  int unexplained = 0;
  for (std::string line; std::getline(lines, line);) {
    simdjson::dom::element object;
    std::string_view level;
    std::string_view message;
    std::string_view time;
    if (parser.parse(line).get(object) != simdjson::SUCCESS || object["level"].get(level) != simdjson::SUCCESS ||
        object["message"].get(message) != simdjson::SUCCESS || object["time"].get(time) != simdjson::SUCCESS) {
      if (json_alone && !line.empty()) problems.add("the log has a line that is no JSON: " + line);
      continue;
    }
    if (level == "info" || level == "debug" || level == "trace") continue;
    ++warnings;
    if (record.explains(std::string(message), time_of(std::string(time)))) continue;
    ++unexplained;
    problems.add("no fault explains: " + line);
  }
  return fmt::format("{} warnings and errors, {} of them not explained by a fault", warnings, unexplained);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Waits, with bounds, until all captures and deliveries are done.
void drain(Site& site, const Ledger& ledger, Problems& problems) {
  site.run({"verify", "--repair", "--anew"});
  site.run({"catch-up", "--after", fmt::format("-{}m", site.settings().minutes + 20)});
  const auto limit = now_ms() + (site.retry_for_seconds() + 600) * 1000LL;
  while (true) {
    const auto status = site.run({"status", "--json"}).out;
    const bool delivered =
        has(status, "\"target\":\"url\",\"waiting\":0") && has(status, "\"target\":\"program\",\"waiting\":0");
    const auto events = ledger.events("");
    if (delivered && ledger.is_at_rest(events)) return;
    if (now_ms() > limit) {
      problems.add("captures or deliveries are still under way after " +
                   std::to_string(site.retry_for_seconds() + 600) + " s without faults: " + status);
      return;
    }
    std::this_thread::sleep_for(5s);
  }
}

void check_accounts(Site& site, Problems& problems, std::vector<std::string>& summary) {
  const auto balance = site.run({"reconcile", "--after", fmt::format("-{}m", site.settings().minutes * 2 + 60)});
  const auto first_line = balance.out.substr(0, balance.out.find('\n'));
  if (balance.status != 0 || !has(first_line, " 0 failed + 0 ignored + 0 waiting"))
    problems.add("reconcile: " + balance.out.substr(0, 2000) + balance.err);
  summary.push_back("| reconcile | " + first_line + " |");
  const auto verified = site.run({"verify", "--anew"});
  if (verified.status != 0) problems.add("verify: " + verified.out + verified.err);
  summary.push_back("| verify | " + verified.out.substr(0, verified.out.find('\n')) + " |");
  const auto status = site.run({"status", "--json"}).out;
  if (!has(status, "\"given_up\":0") || has(status, "\"given_up\":1"))
    problems.add("deliveries were given up: " + status);
}

std::string counted(const std::map<std::string, int>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  return text;
}

double own_cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
}

// Everything at once, for the time that is given.
void work(Site& site, Ledger& ledger, Faults& faults, FaultRecord& record, Samples& samples, Problems& problems,
          std::vector<std::string>& summary) {
  std::mt19937 seeds(site.settings().seed);
  Lives lives(site, record, problems, static_cast<unsigned>(seeds()));
  Alerts alerts(site, ledger, record, static_cast<unsigned>(seeds()));
  Commands commands(site, ledger, faults, record, problems, static_cast<unsigned>(seeds()));
  std::vector<std::jthread> threads;
  threads.emplace_back([&](std::stop_token stop) { lives.run(stop); });
  threads.emplace_back([&](std::stop_token stop) { alerts.run(stop); });
  // Two faults at once now and then.
  for (int i = 0; i < 2; ++i) threads.emplace_back([&](std::stop_token stop) { faults.run(stop); });
  threads.emplace_back([&](std::stop_token stop) { commands.run(stop); });
  threads.emplace_back([&](std::stop_token stop) {
    while (sleep_unless_stopped(stop, 15s)) ledger.check_clips(ledger.events("-5m"));
  });
  std::jthread sampler([&](std::stop_token stop) {
    while (sleep_unless_stopped(stop, 10s)) {
      samples.take();
      ask_admin_endpoint(site, record, problems);
      site.rhombus().forget_requests();
    }
  });
  const auto end = now_ms() + site.settings().minutes * 60'000LL;
  for (int minute = 1; now_ms() < end; ++minute) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(60'000, end - now_ms())));
    fmt::print(stderr, "minute {}: {} alerts, {} lives, {} problems\n", minute, ledger.raised(), lives.lives(),
               problems.all().size());
  }
  for (auto& thread : threads) thread.request_stop();
  for (auto& thread : threads) thread.join();
  if (site.pid() <= 0) site.start_serve();
  fmt::print(stderr, "the faults have ended; waiting for what is under way\n");
  drain(site, ledger, problems);
  summary.push_back(fmt::format("| lives of serve | {} |", lives.lives()));
  summary.push_back("| commands beside it | " + counted(commands.counts()) + " |");
  summary.push_back("| faults | " + counted(record.counts()) + " |");
}

int run(const Settings& settings) {
  Problems problems;
  std::vector<std::string> summary;
  {
    Site site(settings, problems);
    FaultRecord record(settings.directory / "faults.log");
    Faults faults(site, record, settings.seed);
    Ledger ledger(site, faults, problems);
    Samples samples(site);
    work(site, ledger, faults, record, samples, problems, summary);
    check_accounts(site, problems, summary);
    const int status = site.stop_serve(SIGTERM);
    if (status != 0) problems.add(fmt::format("serve ended with status {} at SIGTERM", status));
    for (const auto& line : ledger.settle()) summary.push_back(line);
    for (const auto& line : samples.judge(problems)) summary.push_back(line);
    summary.push_back("| log of serve | " + judge_log(slurp(site.log_file()), true, record, problems) + " |");
    summary.push_back("| log of the commands | " +
                      judge_log(slurp(settings.directory / "commands.log"), false, record, problems) + " |");
    summary.push_back(
        fmt::format("| processor time of the soak itself | {:.0f} s, of all commands and serve {:.0f} s |",
                    own_cpu_seconds(RUSAGE_SELF), own_cpu_seconds(RUSAGE_CHILDREN)));
  }
  fmt::print("| soak of {} min, seed {}, {} alerts a minute | |\n|---|---|\n", settings.minutes, settings.seed,
             settings.alerts_per_minute);
  for (const auto& line : summary) fmt::print("{}\n", line);
  const auto found = problems.all();
  fmt::print("| problems | {} |\n", found.size());
  for (const auto& problem : found) fmt::print("PROBLEM: {}\n", problem);
  if (found.empty()) {
    fs::remove_all(settings.directory);
    return 0;
  }
  fmt::print("logs and state are in {}\n", settings.directory.string());
  return 1;
}

}  // namespace
}  // namespace soak

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  CLI::App program{"Hours of mixed work and faults on a stand-in for Rhombus", "soak"};
  soak::Settings settings;
  settings.seed = std::random_device{}() % 1'000'000;
  settings.directory =
      std::filesystem::temp_directory_path() / fmt::format("soak-{}-{}", settings.seed, soak::now_ms() / 1000);
  program.add_option("--minutes", settings.minutes, "of work; the checks at the end come after it")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  program.add_option("--seed", settings.seed, "of all random choices; random by default");
  program.add_option("--rate", settings.alerts_per_minute, "alerts a minute")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 6000.0));
  program.add_option("--directory", settings.directory, "for everything it writes; removed unless something failed");
  program.add_option("--program", settings.program, "another rhombus-responder than the build's");
  program.add_option("--preload", settings.preload, "another library of tests/faulty_system than the build's");
  CLI11_PARSE(program, argc, argv);
  fmt::print(stderr, "seed {}, everything in {}\n", settings.seed, settings.directory.string());
  return soak::run(settings);
}
