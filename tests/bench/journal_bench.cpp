// Measures the journal and the catch-up.
//
//   journal-bench scale               one accept, one claim and the start, with 100 and with 100,000 alerts
//   journal-bench accept SECONDS      accepted alerts a second through the writer, submitted by 64 threads and by one
//   journal-bench status RUNS         `status` beside a writer that commits back to back: the median and the worst
//   journal-bench due WAITING         one look for what is due, and one at open windows, with so many that wait
//   journal-bench syncs SECONDS DIR   a plain loop of one fsync for each record, on the disk of DIR
//   journal-bench catch-up ALERTS     one pass over so many alerts at 10 requests a second: time and memory
//   journal-bench events CAPTURES     pages of `events`, common and rare ones, with so many captures in the journal
//   journal-bench prune CAPTURES      prune --dry-run with so many clips, limited by age, by bytes and by rules

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/journal/writer.hpp"

#include "fake_rhombus.hpp"
#include "temp_folder.hpp"

namespace {

using namespace responder;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double ms(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

const WallTime t0(1'700'000'000s);

journal::NewCapture capture(std::size_t number) {
  journal::NewCapture made;
  // In no order, as Rhombus's are.
  made.alert = AlertId(fmt::format("{:016x}AlertA", number * 0x9E3779B97F4A7C15U));
  made.camera = DeviceId(fmt::format("Camera{:02}AAAAAAAAAAAAAA", number % 50));
  made.location = LocationId("LocationAAAAAAAAAAAAAA");
  made.activities = {"MOTION_HUMAN"};
  made.received_at = t0 + std::chrono::milliseconds(number);
  made.alert_at = made.received_at;
  made.duration = 10s;
  made.window_start = std::chrono::floor<std::chrono::seconds>(made.alert_at - 30s);
  made.window_end = made.window_start + 70s;
  return made;
}

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}
void must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

// Finished captures of these numbers.
void fill(journal::Journal& journal, std::size_t from, std::size_t to) {
  must(journal.transaction([&]() -> Result<void> {
    for (std::size_t i = from; i < to; ++i) {
      const auto id = must(journal.accept(capture(i))).id;
      must(journal.claim(id, "bench", t0 + 1h, t0 + 2h));
      must(journal.finish(id, "bench",
                          {.state = journal::State::done,
                           .reason = "",
                           .camera_name = "Front Door",
                           .published = journal::Published{fmt::format("FrontDoor_{}_video.mp4", i),
                                                           "lan",
                                                           1000,
                                                           std::string(64, 'a'),
                                                           {},
                                                           capture(i).window_end},
                           .next_attempt_at = {},
                           .window_end = capture(i).window_end},
                          t0 + 1h));
    }
    return {};
  }));
}

struct Sample {
  double start, accept, claim;
};

// Median of the rounds, each with a start of its own.
Sample measure(const std::filesystem::path& path, std::size_t filled) {
  std::vector<double> starts, accepts, claims;
  for (std::size_t round = 0; round < 5; ++round) {
    const auto began = Clock::now();
    auto journal = must(journal::Journal::open(path, journal::Journal::Mode::read_write));
    must(journal.check());
    must(journal.release_leases(t0));
    must(journal.due(t0 + 24h, 256));
    starts.push_back(ms(Clock::now() - began));
    for (std::size_t i = 0; i < 200; ++i) {
      const auto before = Clock::now();
      const auto id = must(journal.accept(capture(10'000'000 + filled + round * 1000 + i))).id;
      const auto between = Clock::now();
      must(journal.claim(id, "bench", t0 + 24h, t0 + 25h));
      claims.push_back(ms(Clock::now() - between));
      accepts.push_back(ms(between - before));
      must(journal.finish(id, "bench",
                          {.state = journal::State::failed,
                           .reason = "bench",
                           .camera_name = "",
                           .published = {},
                           .next_attempt_at = {},
                           .window_end = capture(0).window_end + 8760h * 10},
                          t0 + 24h));
    }
  }
  return {median(starts), median(accepts), median(claims)};
}

int scale() {
  const test::TempFolder folder;
  std::vector<Sample> samples;
  for (const std::size_t count : {std::size_t{100}, std::size_t{100'000}}) {
    const auto path = folder / fmt::format("{}.db", count);
    auto journal = must(journal::Journal::open(path, journal::Journal::Mode::read_write));
    fill(journal, 0, count);
  }
  for (const std::size_t count : {std::size_t{100}, std::size_t{100'000}}) {
    samples.push_back(measure(folder / fmt::format("{}.db", count), count));
    std::cout << fmt::format("{:>7} alerts: start {:.1f} ms, accept {:.3f} ms, claim {:.3f} ms\n", count,
                             samples.back().start, samples.back().accept, samples.back().claim);
  }
  std::cout << fmt::format("ratio: accept {:.2f}, claim {:.2f}\n", samples[1].accept / samples[0].accept,
                           samples[1].claim / samples[0].claim);
  return 0;
}

// The peak of the last child's memory, MiB; waits for it. What it says goes to `out`, written anew.
double run(const std::vector<std::string>& words, const std::filesystem::path& out = {}) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!out.empty()) ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDOUT_FILENO);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error(words.back() + " failed");
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// What so many threads get accepted, each waiting for its answer.
double accepted_a_second(const std::filesystem::path& path, std::size_t threads, int seconds) {
  journal::Writer writer(must(journal::Journal::open(path, journal::Journal::Mode::read_write)), 100'000);
  std::atomic<std::size_t> number{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> submitting;
  const auto began = Clock::now();
  for (std::size_t t = 0; t < threads; ++t) {
    submitting.emplace_back([&] {
      while (!over) {
        must(writer.run([made = capture(number++)](journal::Journal& journal) -> Result<void> {
          const auto accepted = journal.accept(made);
          return accepted ? Result<void>{} : accepted.error();
        }));
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  over = true;
  for (auto& thread : submitting) thread.join();
  return static_cast<double>(number) / (ms(Clock::now() - began) / 1000);
}

int accept(int seconds) {
  for (const std::size_t threads : {std::size_t{64}, std::size_t{1}}) {
    const test::TempFolder folder;
    std::cout << fmt::format("{:>2} threads: {:.0f} accepted a second\n", threads,
                             accepted_a_second(folder / "journal.db", threads, seconds));
  }
  return 0;
}

// Ends with the process that began it.
pid_t commit_back_to_back(const std::filesystem::path& path) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  auto journal = must(journal::Journal::open(path, journal::Journal::Mode::read_write));
  for (std::size_t i = 1'000'000; ::getppid() != 1; ++i) must(journal.accept(capture(i)));
  ::_exit(0);
}

int status(std::size_t runs) {
  const test::TempFolder folder;
  const auto path = folder / "journal.db";
  {
    auto journal = must(journal::Journal::open(path, journal::Journal::Mode::read_write));
    fill(journal, 0, 10'000);
  }
  const auto config = folder / "config.toml";
  std::ofstream(config) << fmt::format("[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n",
                                       (folder / "clips").string(), path.string());
  const pid_t writer = commit_back_to_back(path);
  std::vector<double> times;
  for (std::size_t i = 0; i < runs; ++i) {
    const auto began = Clock::now();
    run({RESPONDER_PROGRAM, "--config", config.string(), "status"}, "/dev/null");
    times.push_back(ms(Clock::now() - began));
  }
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
  std::cout << fmt::format("{} runs of status beside a writer: median {:.1f} ms, worst {:.1f} ms\n", runs,
                           median(times), *std::max_element(times.begin(), times.end()));
  return 0;
}

int due(std::size_t waiting) {
  const test::TempFolder folder;
  auto journal = must(journal::Journal::open(folder / "journal.db", journal::Journal::Mode::read_write));
  must(journal.transaction([&]() -> Result<void> {
    for (std::size_t i = 0; i < waiting; ++i) {
      auto one = capture(i);
      one.via = journal::Via::catch_up;
      must(journal.accept(one));
    }
    return {};
  }));
  std::vector<double> due_times;
  std::vector<double> window_times;
  for (int round = 0; round < 20; ++round) {
    const auto began = Clock::now();
    must(journal.due(t0 + 24h, 256));
    const auto between = Clock::now();
    must(journal.open_windows());
    due_times.push_back(ms(between - began));
    window_times.push_back(ms(Clock::now() - between));
  }
  std::cout << fmt::format("{} captures wait: due {:.2f} ms, open windows {:.1f} ms\n", waiting, median(due_times),
                           median(window_times));
  return 0;
}

int syncs(int seconds, const std::filesystem::path& folder) {
  const auto path = folder / "syncs";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string record(500, 'x');
  const auto began = Clock::now();
  std::size_t count = 0;
  while (Clock::now() - began < std::chrono::seconds(seconds)) {
    if (::write(fd, record.data(), record.size()) < 0 || ::fsync(fd) != 0) throw std::runtime_error("cannot sync");
    ++count;
  }
  const double elapsed = ms(Clock::now() - began) / 1000;
  ::close(fd);
  std::filesystem::remove(path);
  std::cout << fmt::format("RESULT {:.0f} synced records a second, one fsync each\n",
                           static_cast<double>(count) / elapsed);
  return 0;
}

int catch_up(int alerts) {
  fake_rhombus::FakeRhombus rhombus;
  const auto camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  for (int i = 0; i < alerts; ++i)
    rhombus.add_alert({.uuid = fake_rhombus::random_uuid(),
                       .device = camera,
                       .timestamp_ms = now.count() - i * 1000LL,
                       .duration_s = 1,
                       .triggers = {"MOTION_HUMAN"}});
  rhombus.start();
  const test::TempFolder folder;
  // Nothing is captured: what is measured is the catching up.
  std::ofstream(folder / "config.toml") << fmt::format(
      "[rhombus]\napi_url = \"{}\"\napi_key = \"{}\"\nca_file = \"{}\"\n[filter]\nactivities = [\"NONE\"]\n"
      "[catch_up]\nlookback_seconds = 864000\n[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n",
      rhombus.api_url(), rhombus.api_key(), rhombus.ca_file(), (folder / "clips").string(),
      (folder / "journal.db").string());
  const auto began = Clock::now();
  const double peak = run({RESPONDER_PROGRAM, "--config", (folder / "config.toml").string(), "catch-up"});
  const double elapsed = ms(Clock::now() - began) / 1000;
  const auto requests = rhombus.requests();
  const auto calls = std::count_if(requests.begin(), requests.end(),
                                   [](const auto& one) { return one.path.ends_with("getPolicyAlertsV2"); });
  constexpr double burst = 25;  // half of the five seconds' budget: the other half is for live alerts
  const double budget = std::max(0.1, (static_cast<double>(calls) - burst) / 10);
  std::cout << fmt::format("{} alerts: {} calls in {:.1f} s, the budget allows {:.1f} s: {:.2f} x; peak {:.1f} MiB\n",
                           alerts, calls, elapsed, budget, elapsed / budget, peak);
  return 0;
}

// What is rare: three captures of another camera, activity and state, in the middle of all.
void add_rare(journal::Journal& journal, std::size_t number) {
  auto rare = capture(number);
  rare.camera = DeviceId("RareCameraAAAAAAAAAAAA");
  rare.activities = {"MOTION_HUMAN", "DURESS"};
  rare.via = journal::Via::manual;
  const auto id = must(journal.accept(rare)).id;
  must(journal.claim(id, "bench", t0 + 1h, t0 + 2h));
  must(journal.finish(id, "bench",
                      {.state = journal::State::failed,
                       .reason = "bench",
                       .camera_name = "Back Gate",
                       .published = {},
                       .next_attempt_at = {},
                       .window_end = rare.window_end},
                      t0 + 1h));
}

int events(std::size_t captures) {
  const test::TempFolder folder;
  const auto path = folder / "journal.db";
  {
    auto journal = must(journal::Journal::open(path, journal::Journal::Mode::read_write));
    fill(journal, 0, captures / 2);
    for (std::size_t i = 0; i < 3; ++i) add_rare(journal, captures + i);
    fill(journal, captures / 2, captures);
  }
  const auto config = folder / "config.toml";
  std::ofstream(config) << fmt::format("[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n",
                                       (folder / "clips").string(), path.string());
  const auto middle = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(t0.time_since_epoch()).count() +
                                     static_cast<std::int64_t>(captures / 2000));
  const std::vector<std::vector<std::string>> pages{{},
                                                    {"--state", "done"},
                                                    {"--state", "failed"},
                                                    {"--state", "waiting"},
                                                    {"--camera", "front"},
                                                    {"--camera", "back gate"},
                                                    {"--camera", "RareCameraAAAAAAAAAAAA"},
                                                    {"--camera", "nowhere"},
                                                    {"--activity", "duress"},
                                                    {"--via", "manual"},
                                                    {"--before", middle},
                                                    {"--camera", "gate", "--activity", "none", "--before", middle}};
  std::cout << fmt::format("{} captures, journal of {} MiB\n", captures, std::filesystem::file_size(path) >> 20U);
  for (const auto& page : pages) {
    std::vector<double> times;
    for (int round = 0; round < 5; ++round) {
      std::vector<std::string> words{RESPONDER_PROGRAM, "--config", config.string(), "events"};
      words.insert(words.end(), page.begin(), page.end());
      const auto began = Clock::now();
      run(words, "/dev/null");
      times.push_back(ms(Clock::now() - began));
    }
    std::cout << fmt::format("events {}: {:.0f} ms\n", fmt::join(page, " "), median(times));
  }
  return 0;
}

// The last line of a file, without its end.
std::string last_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) last = line;
  return last;
}

int prune(std::size_t captures) {
  const test::TempFolder folder;
  {
    auto journal = must(journal::Journal::open(folder / "journal.db", journal::Journal::Mode::read_write));
    fill(journal, 0, captures);
  }
  // One camera has room for half of its clips, the others together for nine tenths of all.
  const auto rules = fmt::format(
      "[[rule]]\ncameras = [\"Camera07AAAAAAAAAAAAAA\"]\nmax_bytes = {}\n"
      "[[rule]]\nlocations = [\"LocationElsewhereAAAAA\"]\nactivities = [\"DURESS\"]\nretention_days = 365\n",
      captures / 100 * 1000);
  std::filesystem::create_directory(folder / "clips");
  for (const auto& [what, limits] :
       {std::pair<std::string, std::string>{"by bytes and by rules", fmt::format("max_bytes = {}\n", captures * 900)},
        {"all by age", "retention_days = 30\n"},
        {"nothing to remove", "retention_days = 36500\n"}}) {
    std::ofstream(folder / "config.toml")
        << fmt::format("[archive]\ndirectory = \"{}\"\n{}[journal]\npath = \"{}\"\n{}", (folder / "clips").string(),
                       limits, (folder / "journal.db").string(), what == "by bytes and by rules" ? rules : "");
    std::vector<double> times;
    double peak = 0;
    for (int round = 0; round < 3; ++round) {
      std::filesystem::remove(folder / "said");
      const auto began = Clock::now();
      peak = run({RESPONDER_PROGRAM, "--config", (folder / "config.toml").string(), "prune", "--dry-run"},
                 folder / "said");
      times.push_back(ms(Clock::now() - began) / 1000);
    }
    std::cout << fmt::format("{} clips, {}: {:.2f} s, peak {:.1f} MiB; {}\n", captures, what, median(times), peak,
                             last_line(folder / "said"));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string command = words.empty() ? "" : words[0];
  if (command == "scale") return scale();
  if (command == "accept" && words.size() == 2) return accept(std::stoi(words[1]));
  if (command == "status" && words.size() == 2) return status(std::stoul(words[1]));
  if (command == "due" && words.size() == 2) return due(std::stoul(words[1]));
  if (command == "syncs" && words.size() == 3) return syncs(std::stoi(words[1]), words[2]);
  if (command == "catch-up" && words.size() == 2) return catch_up(std::stoi(words[1]));
  if (command == "events" && words.size() == 2) return events(std::stoul(words[1]));
  if (command == "prune" && words.size() == 2) return prune(std::stoul(words[1]));
  std::cerr << "journal-bench scale | accept SECONDS | status RUNS | due WAITING | syncs SECONDS DIR | catch-up "
               "ALERTS | events CAPTURES | prune CAPTURES\n";
  return 2;
}
