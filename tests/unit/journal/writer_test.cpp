#include "responder/journal/writer.hpp"

#include <atomic>
#include <thread>

#include <catch2/catch.hpp>

#include "temp_folder.hpp"

using namespace responder;
using namespace responder::journal;
using namespace std::chrono_literals;

namespace {

NewCapture capture(const std::string& alert) {
  NewCapture made;
  made.alert = AlertId(alert);
  made.camera = DeviceId("cam");
  made.window_end = made.window_start + 1s;
  return made;
}

Writer::Work accepting(const std::string& alert) {
  return [alert](Journal& journal) -> Result<void> {
    const auto accepted = journal.accept(capture(alert));
    return accepted ? Result<void>{} : accepted.error();
  };
}

std::size_t rows(const std::filesystem::path& path) {
  auto journal = Journal::open(path, Journal::Mode::read_only);
  std::size_t count = 0;
  REQUIRE(journal->each({.state = {}, .after = {}, .limit = 100000}, [&](const Capture&) { ++count; }));
  return count;
}

}  // namespace

TEST_CASE("what many threads submit is all written, and each is told") {
  const test::TempFolder folder;
  std::atomic<int> told{0};
  {
    Writer writer(*Journal::open(folder / "j.db", Journal::Mode::read_write), 100000);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          writer.submit(accepting(std::to_string(t) + "-" + std::to_string(i)),
                        [&](Result<void> result) { told += result ? 1 : 0; });
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  CHECK(told == 1600);
  CHECK(rows(folder / "j.db") == 1600);
}

TEST_CASE("one bad change does not take its neighbours down") {
  const test::TempFolder folder;
  int good = 0;
  int bad = 0;
  {
    Writer writer(*Journal::open(folder / "j.db", Journal::Mode::read_write), 1000);
    for (int i = 0; i < 50; ++i) {
      writer.submit(accepting("a" + std::to_string(i)), [&](Result<void> result) { good += result ? 1 : 0; });
      writer.submit(
          [](Journal&) -> Result<void> {
            return Error{ErrorKind::permanent, "bad"};
          },
          [&](Result<void> result) { bad += result ? 0 : 1; });
    }
  }
  CHECK(good == 50);
  CHECK(bad == 50);
  CHECK(rows(folder / "j.db") == 50);
}

TEST_CASE("what has no room or comes after the end is answered, not kept") {
  const test::TempFolder folder;
  Writer full(*Journal::open(folder / "j.db", Journal::Mode::read_write), 0);
  CHECK_FALSE(full.run(accepting("a")));
  Writer ended(*Journal::open(folder / "j.db", Journal::Mode::read_write), 10);
  ended.stop();
  CHECK_FALSE(ended.run(accepting("a")));
}
