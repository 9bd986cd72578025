// Measures whole captures by the program itself against the stand-in, and curl fetching the same URLs, in turns.
// capture-bench speed [ROUNDS]: a finished 120 s window of 1080p at 6 Mbit/s, one camera; again with 30 ms an answer.
// capture-bench live [ROUNDS]: from the 200 to the first media request; from the window's end to the clip.
// capture-bench memory [MINUTES]: 8 captures at once of so many minutes at 6 Mbit/s, with sound; peak memory.
// capture-bench range [MINUTES]: a backup of so many minutes, without and with sound, 30 ms an answer, against curl
// and against the predecessor's way. Needs curl and ffmpeg. Everything is on loopback and ends by itself.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_rhombus.hpp"

extern char** environ;

namespace {

using namespace fake_rhombus;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

const VideoProfile hd{.width = 1920, .height = 1080, .frames_per_second = 30, .bits_per_second = 6'000'000};

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

pid_t spawn(std::vector<std::string> words, const fs::path& err) {
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  if (posix_spawnp(&pid, words[0].c_str(), &actions, nullptr, argv.data(), environ) != 0)
    throw std::runtime_error("cannot start " + words[0]);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

struct Spent {
  double wall = 0;
  double cpu = 0;
};

// User and system seconds of a running process.
double cpu_of(pid_t pid) {
  std::istringstream fields(slurp(fmt::format("/proc/{}/stat", pid)));
  std::string field;
  long ticks = 0;
  for (int i = 1; i <= 15; ++i) {
    fields >> field;
    if (i >= 14) ticks += std::atol(field.c_str());
  }
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

long peak_kib(pid_t pid) {
  const auto status = slurp(fmt::format("/proc/{}/status", pid));
  const auto at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::atol(status.c_str() + at + 6);
}

class Responder {
 public:
  Responder(const FakeRhombus& rhombus, fs::path work, const std::string& capture) : work_(std::move(work)) {
    const auto identity = make_server("localhost", {"127.0.0.1"}, nullptr);
    std::ofstream(work_ / "cert.pem") << identity.certificate_pem();
    std::ofstream(work_ / "key.pem") << identity.key_pem();
    std::ofstream(work_ / "config.toml") << fmt::format(
        "[rhombus]\napi_url = \"{0}\"\napi_key = \"{1}\"\nca_file = \"{2}\"\n[webhook]\nlisten = "
        "\"127.0.0.1:0\"\ntls_cert = \"{3}/cert.pem\"\n"
        "tls_key = \"{3}/key.pem\"\nsecrets = [\"s\"]\n[capture]\n{4}[archive]\ndirectory = "
        "\"{3}/clips\"\nmin_free_bytes = 0\n"
        "[journal]\npath = \"{3}/state/journal.db\"\n[admin]\nlisten = \"\"\n",
        rhombus.api_url(), rhombus.api_key(), rhombus.ca_file(), work_.string(), capture);
    pid_ = spawn({RESPONDER_PROGRAM, "--config", (work_ / "config.toml").string(), "serve"}, work_ / "serve.log");
    const std::string marker = "listening for webhooks on ";
    std::string log;
    while ((log = slurp(work_ / "serve.log")).find(marker) == std::string::npos) std::this_thread::sleep_for(10ms);
    const auto at = log.find(marker) + marker.size();
    url_ = log.substr(at, log.find('\n', at) - at);
    std::this_thread::sleep_for(300ms);  // the device list is asked for after the listener is up
  }
  ~Responder() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  std::string alert(const std::string& camera, double at, int duration) const {
    const auto id = random_uuid();
    const auto answer =
        send_webhook(url_, organization_body(id, camera, static_cast<std::int64_t>(at * 1000), duration), "s", false);
    if (answer.status != 200) throw std::runtime_error("webhook refused: " + answer.body);
    return id;
  }

  std::vector<fs::path> clips() const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(work_ / "clips", none)) {
      if (entry.path().extension() == ".mp4" && entry.path().filename().string().front() != '.')
        found.push_back(entry.path());
    }
    return found;
  }
  // When there are `count` clips.
  double wait_for_clips(std::size_t count, double limit) const {
    const double deadline = now() + limit;
    while (clips().size() < count) {
      if (now() > deadline) throw std::runtime_error("no clip in time: " + slurp(work_ / "serve.log"));
      std::this_thread::sleep_for(2ms);
    }
    return now();
  }
  void remove_clips() const {
    for (const auto& clip : clips()) fs::remove(clip);
  }
  pid_t pid() const { return pid_; }

 private:
  fs::path work_;
  pid_t pid_ = -1;
  std::string url_;
};

struct Work {
  fs::path path = fs::temp_directory_path() / ("rhombus-responder-bench-" + random_uuid());
  Work() { fs::create_directories(path); }
  ~Work() { fs::remove_all(path); }
};

// The URLs that a capture has just fetched of the device, with the headers it sent.
struct Fetched {
  std::vector<std::string> urls;
  std::string token;
};

Fetched fetched_from(const FakeRhombus& rhombus, const std::string& device, const std::string& origin) {
  Fetched result;
  for (const auto& request : rhombus.requests()) {
    if (request.server != device || request.status != 200 || request.path.find("/store/") == std::string::npos)
      continue;
    result.urls.push_back(origin + request.path);
    result.token = request.headers.at("x-auth-ft");
  }
  return result;
}

// The same requests for a window that starts elsewhere.
Fetched moved(Fetched what, double from, double to) {
  const auto folder = [](double start) { return "/store/" + std::to_string(static_cast<std::int64_t>(start)) + "_"; };
  for (auto& url : what.urls) url.replace(url.find(folder(from)), folder(from).size(), folder(to));
  return what;
}

Spent run_curl(const Fetched& what, const fs::path& folder, bool parallel) {
  fs::create_directories(folder);
  {
    std::ofstream config(folder / "curl.config");
    config << "insecure\nsilent\nheader = \"x-auth-scheme: federated-token\"\nheader = \"x-auth-ft: " << what.token
           << "\"\n";
    for (std::size_t i = 0; i < what.urls.size(); ++i)
      config << "url = \"" << what.urls[i] << "\"\noutput = \"" << (folder / std::to_string(i)).string() << "\"\n";
  }
  std::vector<std::string> words{"curl", "-K", (folder / "curl.config").string()};
  if (parallel) words.insert(words.end(), {"--parallel", "--parallel-max", "4"});
  const double began = now();
  const pid_t pid = spawn(words, folder / "curl.log");
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  if (status != 0) throw std::runtime_error("curl failed: " + slurp(folder / "curl.log"));
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  Spent spent{now() - began, seconds(usage.ru_utime) + seconds(usage.ru_stime)};
  fs::remove_all(folder);
  return spent;
}

void speed(int rounds) {
  for (const auto latency : {0ms, 30ms}) {
    Work work;
    // A window for each round, as what was taken once is not taken again. Its segments are made before: what is
    // measured is the taking, not the stand-in.
    FakeRhombus rhombus({.directory = work.path / "rhombus", .latency = latency, .keep_segments = true});
    const auto camera = rhombus.add_camera({.name = "HD", .video = hd, .wan = false});
    rhombus.start();
    Responder responder(rhombus, work.path, "buffer_seconds = 0\n");
    std::vector<double> wall_ratio, cpu_ratio, serial_ratio, ours, theirs, cpu_per_gb;
    std::string origin;
    const double first_at = std::floor(now()) - 600;
    Fetched first;
    for (int round = 0; round <= rounds; ++round) {
      const double at = first_at - 200 * round;
      if (round > 0) run_curl(moved(first, first_at, at), work.path / "curl", true);
      rhombus.forget_requests();
      const double cpu_before = cpu_of(responder.pid());
      const double began = now();
      responder.alert(camera, at, 120);
      const double wall = responder.wait_for_clips(1, 120) - began;
      std::this_thread::sleep_for(100ms);
      const double cpu = cpu_of(responder.pid()) - cpu_before;
      const auto bytes = static_cast<double>(fs::file_size(responder.clips()[0]));
      responder.remove_clips();
      if (origin.empty()) {
        const auto requests = rhombus.requests();
        const auto api =
            std::find_if(requests.begin(), requests.end(), [&](const Request& r) { return r.server == camera; });
        origin = "https://" + api->headers.at("host");
      }
      const auto fetched = fetched_from(rhombus, camera, origin);
      if (round == 0) first = fetched;
      const auto curl = run_curl(fetched, work.path / "curl", true);
      if (round == 0) continue;  // warm-up
      ours.push_back(wall);
      theirs.push_back(curl.wall);
      wall_ratio.push_back(wall / curl.wall);
      cpu_ratio.push_back(cpu / curl.cpu);
      cpu_per_gb.push_back(cpu / bytes * 1e9);
      if (latency > 0ms) serial_ratio.push_back(run_curl(fetched, work.path / "curl", false).wall / wall);
    }
    fmt::print(
        "120 s of 1080p at 6 Mbit/s, {} ms an answer: responder {:.3f} s, curl --parallel {:.3f} s; ratio of "
        "medians' rounds {:.2f}; CPU ratio {:.2f}, {:.2f} s/GB",
        latency.count(), median(ours), median(theirs), median(wall_ratio), median(cpu_ratio), median(cpu_per_gb));
    if (!serial_ratio.empty()) fmt::print("; {:.1f} x faster than one request after another", median(serial_ratio));
    fmt::print("\n");
    std::fflush(stdout);
  }
}

void live(int rounds) {
  Work work;
  FakeRhombus rhombus({.directory = work.path / "rhombus"});
  const auto camera =
      rhombus.add_camera({.name = "Live", .video = {.width = 640, .height = 360, .frames_per_second = 15}});
  rhombus.add_gateway({.name = "Ears", .cameras = {camera}});
  rhombus.start();
  Responder responder(rhombus, work.path, "buffer_seconds = 2\n");
  std::vector<double> first_request, published;
  for (int round = 0; round < rounds; ++round) {
    rhombus.forget_requests();
    const double at = now();
    responder.alert(camera, at, 1);
    const double answered = now();
    const double done = responder.wait_for_clips(1, 30);
    const double window_end = std::ceil(at + 3);
    double first = 1e18;
    for (const auto& request : rhombus.requests()) {
      if (request.server == camera) first = std::min(first, static_cast<double>(request.at_ms) / 1000);
    }
    first_request.push_back(std::max(0.0, first - answered) * 1000);
    published.push_back((done - window_end - 0.3) * 1000);
    responder.remove_clips();
  }
  fmt::print("first media request after the 200: median {:.0f} ms, worst {:.0f} ms\n", median(first_request),
             *std::max_element(first_request.begin(), first_request.end()));
  fmt::print("clip published after its last segment exists: median {:.0f} ms, worst {:.0f} ms\n", median(published),
             *std::max_element(published.begin(), published.end()));
}

void memory(int minutes) {
  Work work;
  FakeRhombus rhombus({.directory = work.path / "rhombus"});
  std::vector<std::string> cameras;
  for (int i = 0; i < 8; ++i) {
    cameras.push_back(rhombus.add_camera({.name = fmt::format("Camera {}", i), .video = hd, .wan = false}));
    rhombus.add_gateway({.name = fmt::format("Ears {}", i), .cameras = {cameras.back()}, .wan = false});
  }
  rhombus.start();
  Responder responder(rhombus, work.path, "buffer_seconds = 0\nworkers = 8\nspool_max_bytes = 100000000000\n");
  const long idle = peak_kib(responder.pid());
  const double began = now();
  for (const auto& camera : cameras) responder.alert(camera, std::floor(began) - minutes * 60 - 60, minutes * 60);
  responder.wait_for_clips(cameras.size(), 1800);
  fmt::print(
      "8 captures of {} min at 6 Mbit/s with sound at once: peak memory {:.1f} MiB (idle {:.1f} MiB), in {:.0f} s\n",
      minutes, static_cast<double>(peak_kib(responder.pid())) / 1024, static_cast<double>(idle) / 1024,
      now() - began);
}

// The end of a child: what it took. Throws when it failed.
Spent wait_for(pid_t pid, double began, const fs::path& log) {
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  if (status != 0) throw std::runtime_error("a program failed: " + slurp(log));
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return {now() - began, seconds(usage.ru_utime) + seconds(usage.ru_stime)};
}

// One `backup` with a journal and a spool of its own.
Spent run_backup(const FakeRhombus& rhombus, const fs::path& work, const std::string& camera, std::int64_t start,
                 int minutes) {
  const auto folder = work / random_uuid();
  fs::create_directories(folder);
  std::ofstream(folder / "config.toml") << fmt::format(
      "[rhombus]\napi_url = \"{0}\"\napi_key = \"{1}\"\nca_file = \"{2}\"\n[archive]\ndirectory = "
      "\"{3}/clips\"\nmin_free_bytes = 0\n[journal]\npath = \"{3}/journal.db\"\n",
      rhombus.api_url(), rhombus.api_key(), rhombus.ca_file(), folder.string());
  const double began = now();
  const auto pid =
      spawn({RESPONDER_PROGRAM, "--config", (folder / "config.toml").string(), "backup", "--camera", camera,
             "--start", std::to_string(start), "--duration", fmt::format("{}m", minutes), "--split", "2h"},
            folder / "log");
  const auto spent = wait_for(pid, began, folder / "log");
  fs::remove_all(folder);
  return spent;
}

// As the predecessor did: segments one after another, put into a file a track, and with sound ffmpeg's concat filter.
struct OldWay {
  Spent fetching;
  Spent filter;
};
OldWay old_way(const Fetched& fetched, const fs::path& folder) {
  OldWay spent;
  fs::create_directories(folder);
  const double began = now();
  std::map<std::string, std::vector<std::string>> tracks;
  for (const auto& url : fetched.urls) {
    if (url.ends_with(".mpd")) continue;
    // The stand-in's names: seg_init.mp4, seg_init_sound.mp4, seg_7.m4v, seg_7.m4a.
    const bool is_sound = url.ends_with("seg_init_sound.mp4") || url.ends_with(".m4a");
    tracks[is_sound ? ".m4a" : ".m4v"].push_back(url);
  }
  std::vector<std::string> words{"ffmpeg", "-nostdin", "-loglevel", "error"};
  for (auto& [ending, urls] : tracks) {
    std::sort(urls.begin(), urls.end(), [](const std::string& a, const std::string& b) {
      return std::pair(a.size(), a) < std::pair(b.size(), b);
    });
    std::stable_partition(urls.begin(), urls.end(),
                          [](const auto& url) { return url.find("init") != std::string::npos; });
    const auto file = folder / ("track" + ending);
    std::ofstream config(folder / "curl.config");
    config << "insecure\nsilent\nheader = \"x-auth-scheme: federated-token\"\nheader = \"x-auth-ft: " << fetched.token
           << "\"\n";
    for (std::size_t n = 0; n < urls.size(); ++n)
      config << "url = \"" << urls[n] << "\"\noutput = \"" << (folder / fmt::format("part{}", n)).string() << "\"\n";
    config.close();
    const double asked = now();
    spent.fetching.cpu += wait_for(spawn({"curl", "-K", (folder / "curl.config").string()}, folder / "curl.log"),
                                   asked, folder / "curl.log")
                              .cpu;
    std::ofstream whole(file, std::ios::binary);
    for (std::size_t n = 0; n < urls.size(); ++n)
      whole << std::ifstream(folder / fmt::format("part{}", n), std::ios::binary).rdbuf();
    whole.close();
    words.insert(words.end(), {"-i", file.string()});
  }
  spent.fetching.wall = now() - began;
  if (tracks.size() < 2) return spent;
  words.insert(words.end(), {"-filter_complex", "[1:v][0:a]concat=n=1:v=1:a=1", (folder / "out.mp4").string()});
  const double filtered = now();
  spent.filter = wait_for(spawn(words, folder / "ffmpeg.log"), filtered, folder / "ffmpeg.log");
  fs::remove_all(folder);
  return spent;
}

// The URLs of the first part of a range.
Fetched first_of(const Fetched& fetched, std::size_t segments) {
  Fetched part{{}, fetched.token};
  for (const auto& url : fetched.urls) {
    const auto number = url.rfind("seg_");
    const bool is_media =
        number != std::string::npos && std::isdigit(static_cast<unsigned char>(url[number + 4])) != 0;
    if (!is_media || std::stoul(url.substr(number + 4)) < segments) part.urls.push_back(url);
  }
  return part;
}

void range(int minutes) {
  constexpr std::int64_t start = 1672531200;
  for (const bool sound : {false, true}) {
    Work work;
    FakeRhombus rhombus({.directory = work.path / "rhombus", .latency = 30ms, .keep_segments = true});
    auto video = hd;
    const auto camera = rhombus.add_camera({.name = "HD", .video = video, .own_sound = sound, .wan = false});
    rhombus.start();
    run_backup(rhombus, work.path, camera, start, minutes);  // the stand-in makes its segments
    const auto requests = rhombus.requests();
    const auto asked =
        std::find_if(requests.begin(), requests.end(), [&](const Request& r) { return r.server == camera; });
    auto fetched = fetched_from(rhombus, camera, "https://" + asked->headers.at("host"));
    std::sort(fetched.urls.begin(), fetched.urls.end());
    fetched.urls.erase(std::unique(fetched.urls.begin(), fetched.urls.end()), fetched.urls.end());
    const auto ours = run_backup(rhombus, work.path, camera, start, minutes);
    const auto curl = run_curl(fetched, work.path / "curl", true);
    fmt::print(
        "{} min at 6 Mbit/s{}, 30 ms an answer: backup {:.1f} s ({:.1f} s of CPU), curl --parallel {:.1f} s: {:.2f} "
        "x\n",
        minutes, sound ? " with sound" : "", ours.wall, ours.cpu, curl.wall, ours.wall / curl.wall);
    std::fflush(stdout);
    // The filter takes as long as the footage: measured on a minute, and multiplied.
    constexpr std::size_t segments_a_minute = 30;
    const auto old = old_way(sound ? first_of(fetched, segments_a_minute) : fetched, work.path / "old");
    const double times = sound ? minutes : 1;
    const double old_wall = times * (old.fetching.wall + old.filter.wall);
    const double old_cpu = times * (old.fetching.cpu + old.filter.cpu);
    fmt::print("  the old way {:.1f} s ({:.1f} s of CPU){}: {:.1f} x as long, {:.1f} x the CPU\n", old_wall, old_cpu,
               sound ? " by a minute of it" : "", old_wall / ours.wall, old_cpu / ours.cpu);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int number = argc > 2 ? std::atoi(argv[2]) : 0;
  try {
    if (what == "speed") {
      speed(number > 0 ? number : 7);
    } else if (what == "live") {
      live(number > 0 ? number : 7);
    } else if (what == "memory") {
      memory(number > 0 ? number : 10);
    } else if (what == "range") {
      range(number > 0 ? number : 60);
    } else {
      std::cerr << "usage: capture-bench speed [ROUNDS] | live [ROUNDS] | memory [MINUTES] | range [MINUTES]\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "capture-bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
