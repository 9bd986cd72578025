#include "responder/journal/writer.hpp"

#include <atomic>
#include <future>
#include <latch>
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

namespace {

// Somebody else who holds the journal's write lock for as long as this object is there.
class Holder {
 public:
  explicit Holder(const std::filesystem::path& path)
      : thread_([this, path] {
          auto journal = *Journal::open(path, Journal::Mode::read_write_beside);
          const auto held = journal.transaction([&]() -> Result<void> {
            began_.count_down();
            over_.get_future().wait();
            return {};
          });
          if (!held) began_.count_down();
        }) {
    began_.wait();
  }
  ~Holder() {
    over_.set_value();
    thread_.join();
  }

 private:
  std::latch began_{1};
  std::promise<void> over_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a journal that somebody else holds is waited for once, not once for each change") {
  const test::TempFolder folder;
  constexpr auto patience = 300ms;
  constexpr int count = 64;
  std::atomic<int> refused{0};
  Writer writer(*Journal::open(folder / "j.db", Journal::Mode::read_write), 1000, patience);
  {
    const Holder holder(folder / "j.db");
    const auto began = std::chrono::steady_clock::now();
    std::latch told(count);
    for (int i = 0; i < count; ++i) {
      writer.submit(accepting(std::to_string(i)), [&](Result<void> result) {
        refused += !result && result.error().kind == ErrorKind::transient ? 1 : 0;
        told.count_down();
      });
    }
    told.wait();
    // Twice for what was submitted while the first batch waited, with room for a slow machine.
    CHECK(std::chrono::steady_clock::now() - began < count * patience / 4);
    CHECK(refused == count);
  }
  const auto after = writer.run(accepting("after"));
  CAPTURE(after ? std::string() : after.error().message);
  CHECK(after);
  writer.stop();
  CHECK(rows(folder / "j.db") == 1);
}

TEST_CASE("a writer ends although somebody else holds the journal") {
  const test::TempFolder folder;
  constexpr int count = 2000;  // several batches
  std::atomic<int> refused{0};
  Writer writer(*Journal::open(folder / "j.db", Journal::Mode::read_write), 10'000, 300ms);
  const Holder holder(folder / "j.db");
  for (int i = 0; i < count; ++i)
    writer.submit(accepting(std::to_string(i)), [&](Result<void> result) { refused += result ? 0 : 1; });
  const auto began = std::chrono::steady_clock::now();
  writer.stop();
  CHECK(std::chrono::steady_clock::now() - began < 10s);
  CHECK(refused == count);
}

TEST_CASE("a change that fails after it has written is undone, and its neighbours stand") {
  const test::TempFolder folder;
  std::vector<bool> good(40);
  {
    Writer writer(*Journal::open(folder / "j.db", Journal::Mode::read_write), 1000);
    // So that the others come as one batch.
    std::promise<void> go;
    writer.submit(
        [waiting = go.get_future().share()](Journal&) -> Result<void> {
          waiting.wait();
          return {};
        },
        [](const Result<void>&) {});
    for (int i = 0; i < 40; ++i) {
      writer.submit(
          [i](Journal& journal) -> Result<void> {
            const auto accepted = journal.accept(capture(std::to_string(i)));
            if (!accepted) return accepted.error();
            return i % 4 == 3 ? Error{ErrorKind::permanent, "number " + std::to_string(i)} : Result<void>{};
          },
          [&good, i](Result<void> result) {
            good[static_cast<std::size_t>(i)] = result || result.error().message == "number " + std::to_string(i);
          });
    }
    go.set_value();
  }
  CHECK(std::count(good.begin(), good.end(), true) == 40);
  CHECK(rows(folder / "j.db") == 30);
}

TEST_CASE("whatever is submitted while a writer ends is told what became of it") {
  const test::TempFolder folder;
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> submitted{0};
    std::atomic<int> told{0};
    {
      Writer writer(*Journal::open(folder / "j.db", Journal::Mode::read_write), 1000);
      std::atomic<bool> over{false};
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
          while (!over) {
            ++submitted;
            writer.submit([](Journal&) { return Result<void>{}; }, [&](const Result<void>&) { ++told; });
          }
        });
      }
      while (submitted < 100) std::this_thread::yield();
      writer.stop();
      over = true;
      for (auto& thread : threads) thread.join();
      CHECK(told == submitted);
    }
  }
}

TEST_CASE("the log is as short as ever once nobody reads an older state") {
  const test::TempFolder folder;
  const auto path = folder / "j.db";
  Writer writer(*Journal::open(path, Journal::Mode::read_write), 1000);
  REQUIRE(writer.run(accepting("a")));
  auto reader = *Journal::open(path, Journal::Mode::read_only);
  const auto look = [&]() -> Result<void> {
    if (const auto seen = reader.counts(); !seen) return seen.error();
    for (std::uint64_t written = 0; written <= Journal::usual_log_bytes * 5 / 4; written += 1U << 20U) {
      // Not the same each time: SQLite writes only what differs.
      const char filling = (written >> 20U) % 2 == 0 ? 'x' : 'y';
      const auto more =
          writer.run([&](Journal& journal) { return journal.set_fact("x", std::string(1U << 20U, filling)); });
      if (!more) return more;
    }
    CHECK(reader.log_bytes() > Journal::usual_log_bytes);
    return {};
  };
  REQUIRE(reader.snapshot(look));
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (reader.log_bytes() > Journal::usual_log_bytes && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  CHECK(reader.log_bytes() <= Journal::usual_log_bytes);
}

TEST_CASE("what has no room or comes after the end is answered, not kept") {
  const test::TempFolder folder;
  Writer full(*Journal::open(folder / "j.db", Journal::Mode::read_write), 0);
  CHECK_FALSE(full.run(accepting("a")));
  Writer ended(*Journal::open(folder / "j.db", Journal::Mode::read_write), 10);
  ended.stop();
  CHECK_FALSE(ended.run(accepting("a")));
}
