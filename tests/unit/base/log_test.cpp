#include "responder/base/log.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "temp_folder.hpp"

using namespace responder;

namespace {

// stderr is a file for as long as this lives.
class StderrInFile {
 public:
  StderrInFile() : kept_(::dup(STDERR_FILENO)) {
    const int file = ::open(path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
  }
  ~StderrInFile() {
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    ::unsetenv("JOURNAL_STREAM");
  }
  StderrInFile(const StderrInFile&) = delete;
  StderrInFile& operator=(const StderrInFile&) = delete;

  // As systemd names the stream that it gave to a service. `off`: another one's.
  static void name_as_journal(std::uint64_t off = 0) {
    struct stat info {};
    ::fstat(STDERR_FILENO, &info);
    ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", info.st_dev, info.st_ino + off).c_str(), 1);
  }
  std::string text() const {
    std::ifstream file(path());
    std::ostringstream all;
    all << file.rdbuf();
    return all.str();
  }

 private:
  std::string path() const { return (folder_ / "stderr").string(); }

  test::TempFolder folder_;
  int kept_;
};

void log_all_levels(LogFormat format) {
  REQUIRE(setup_logging("trace", format, 1024));
  spdlog::debug("a debug line");
  spdlog::info("an info line");
  spdlog::warn("a warning\nin two lines");
  spdlog::error("an error");
  shutdown_logging();
}

}  // namespace

TEST_CASE("lines for systemd's journal begin with their priority and have no time of their own") {
  const StderrInFile file;
  StderrInFile::name_as_journal();
  log_all_levels(LogFormat::text);
  CHECK(file.text() == "<7>a debug line\n<6>an info line\n<4>a warning?in two lines\n<3>an error\n");
}

TEST_CASE("JSON lines for systemd's journal begin with their priority") {
  const StderrInFile file;
  StderrInFile::name_as_journal();
  log_all_levels(LogFormat::json);
  const auto text = file.text();
  CAPTURE(text);
  CHECK(text.starts_with("<7>{\"time\":\""));
  CHECK(text.find("\n<3>{\"time\":\"") != std::string::npos);
}

TEST_CASE("where stderr is not the stream that systemd named, lines have a time and no priority") {
  const StderrInFile file;
  StderrInFile::name_as_journal(1);
  log_all_levels(LogFormat::text);
  const auto text = file.text();
  CAPTURE(text);
  CHECK(text.find("<") == std::string::npos);
  CHECK(text.starts_with("20"));
  CHECK(text.find("Z warning a warning") != std::string::npos);
}

TEST_CASE("the level may be given as the log writes it") {
  const StderrInFile file;
  REQUIRE(setup_logging("warning", LogFormat::text, 1024));
  spdlog::info("not shown");
  spdlog::warn("shown");
  shutdown_logging();
  CHECK(file.text().find("not shown") == std::string::npos);
  CHECK(file.text().find("shown") != std::string::npos);
}
