// Measures the looking after an archive.
//
//   archive-bench verify GIB ROUNDS DIR [sparse]   `verify` of so many GiB of clips in DIR, against `sha256sum` and
//                                                  `openssl dgst -sha256` on the same files, in turns; from the disk,
//                                                  or of files that are holes

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/journal/journal.hpp"

namespace {

using namespace responder;
using namespace std::chrono_literals;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t clip_bytes = 256U << 20U;
constexpr WallTime t0(1'700'000'000s);

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}
void must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

// Runs a program to its end; what it writes goes to a file.
void run(const std::vector<std::string>& words, const fs::path& out) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDOUT_FILENO);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error(words[0] + " failed");
}

// Of bytes that no file system can make less of; or nothing but its end.
void make_clip(const fs::path& path, std::uint64_t seed, bool sparse) {
  std::ofstream file(path, std::ios::binary);
  std::vector<std::uint64_t> block((1U << 20U) / sizeof(std::uint64_t));
  for (std::uint64_t done = 0; !sparse && done < clip_bytes; done += 1U << 20U) {
    for (auto& word : block) word = (seed = seed * 6364136223846793005U + 1442695040888963407U);
    file.write(reinterpret_cast<const char*>(block.data()), 1 << 20);
  }
  file << seed;
  file.close();
  fs::resize_file(path, clip_bytes);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ::fsync(fd);
  ::close(fd);
}

void forget_cached(const std::vector<fs::path>& clips) {
  for (const auto& clip : clips) {
    const int fd = ::open(clip.c_str(), O_RDONLY | O_CLOEXEC);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
}

// A journal that has recorded what sha256sum says.
void record(const fs::path& journal_path, const fs::path& sums) {
  auto journal = must(journal::Journal::open(journal_path, journal::Journal::Mode::read_write));
  std::ifstream file(sums);
  std::string sum;
  std::string path;
  for (int i = 0; file >> sum >> path; ++i) {
    journal::NewCapture capture;
    capture.alert = AlertId(fmt::format("alert{}", i));
    capture.camera = DeviceId("camera");
    capture.received_at = capture.alert_at = t0;
    capture.window_start = std::chrono::floor<std::chrono::seconds>(t0);
    capture.window_end = capture.window_start + 60s;
    const auto id = must(journal.accept(capture)).id;
    must(journal.claim(id, "bench", t0, t0 + 1h));
    must(journal.finish(
        id, "bench",
        {.state = journal::State::done,
         .reason = "",
         .camera_name = "Camera",
         .published = journal::Published{fs::path(path).filename().string(), "lan", clip_bytes, sum, {}, {}},
         .next_attempt_at = {},
         .window_end = capture.window_end},
        t0));
  }
}

int verify(std::uint64_t gib, int rounds, const fs::path& folder, bool sparse) {
  const auto clips_folder = folder / "archive-bench";
  fs::create_directories(clips_folder);
  std::vector<fs::path> clips;
  for (std::uint64_t i = 0; i < (gib << 30U) / clip_bytes; ++i) {
    clips.push_back(clips_folder / fmt::format("clip{:04}.mp4", i));
    make_clip(clips.back(), i + 1, sparse);
  }
  const auto with_clips = [&](std::vector<std::string> words) {
    for (const auto& clip : clips) words.push_back(clip.string());
    return words;
  };
  const auto out = clips_folder / "out";
  std::ofstream(clips_folder / "config.toml")
      << fmt::format("[archive]\ndirectory = \"{}\"\n[journal]\npath = \"{}\"\n", clips_folder.string(),
                     (clips_folder / "journal.db").string());
  const auto time = [&](const std::vector<std::string>& words) {
    forget_cached(clips);
    const auto began = Clock::now();
    run(words, out);
    return seconds(Clock::now() - began);
  };
  std::vector<double> sums, openssl, ours;
  for (int round = 0; round < rounds; ++round) {
    sums.push_back(time(with_clips({"sha256sum"})));
    if (round == 0) record(clips_folder / "journal.db", out);
    ours.push_back(time({RESPONDER_PROGRAM, "--config", (clips_folder / "config.toml").string(), "verify"}));
    openssl.push_back(time(with_clips({"openssl", "dgst", "-sha256"})));
  }
  fs::remove_all(clips_folder);
  const auto rate = [&](double took) { return static_cast<double>(gib) / took; };
  std::cout << fmt::format(
      "{} GiB {}: sha256sum {:.1f} s ({:.2f} GiB/s), openssl {:.1f} s ({:.2f} GiB/s), verify {:.1f} s ({:.2f} "
      "GiB/s)\n"
      "RESULT {:.2f} x sha256sum, {:.2f} x openssl\n",
      gib, sparse ? "of holes" : "from the disk", median(sums), rate(median(sums)), median(openssl),
      rate(median(openssl)), median(ours), rate(median(ours)), median(ours) / median(sums),
      median(ours) / median(openssl));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() >= 4 && words[0] == "verify")
    return verify(std::stoul(words[1]), std::stoi(words[2]), words[3], words.size() > 4 && words[4] == "sparse");
  std::cerr << "archive-bench verify GIB ROUNDS DIR [sparse]\n";
  return 2;
}
