#include "responder/capture/publisher.hpp"

#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"

#include "manual_clock.hpp"
#include "odd_storage.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::capture;
using namespace std::chrono_literals;
using journal::State;
namespace fs = std::filesystem;

namespace {

const std::chrono::sys_seconds t0(1'700'000'000s);

// Each look at it is half a second later: what is done between two looks takes its time.
class BusyClock final : public Clock {
 public:
  WallTime wall_now() const override { return t0 + std::chrono::milliseconds(elapsed_ms_.load()); }
  SteadyTime steady_now() const override { return SteadyTime(std::chrono::milliseconds(elapsed_ms_ += 500)); }
  bool sleep(std::chrono::milliseconds, std::stop_token stop) override { return !stop.stop_requested(); }

 private:
  mutable std::atomic<std::int64_t> elapsed_ms_{0};
};

struct Fixture {
  test::TempFolder folder;
  const fs::path clips = folder / "clips";
  test::OddStorage storage{clips};
  archive::Archive archive{clips, archive::Layout::flat, NameZone::utc, 0};
  SystemClock clock_of_spool;
  archive::Spool spool{folder / "spool", {1ULL << 40U, 0}, clock_of_spool};
  PicturesInHand pictures;
  journal::Writer writer{std::move(*journal::Journal::in_memory()), 100};
  std::ostringstream log;
  const std::shared_ptr<spdlog::logger> logger_before = spdlog::default_logger();

  ~Fixture() { spdlog::set_default_logger(logger_before); }
  Fixture() {
    fs::create_directory(clips);
    REQUIRE(archive.write_marker("the-archive"));
    REQUIRE(spool.create());
    auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
    spdlog::set_default_logger(std::move(logger));
  }

  // A finished clip that waits for the archive.
  journal::CaptureId put_ready(const std::string& alert, journal::Kind kind, const std::string& content) {
    journal::CaptureId id = 0;
    const auto written = writer.run([&](journal::Journal& journal) -> Result<void> {
      journal::NewCapture capture;
      capture.kind = kind;
      capture.alert = AlertId(alert);
      capture.camera = DeviceId("cam");
      capture.received_at = capture.alert_at = t0;
      capture.window_start = t0;
      capture.window_end = t0 + 60s;
      id = journal.accept(capture)->id;
      std::ofstream(spool.ready_clip(id)) << content;
      REQUIRE(*journal.claim(id, "me", t0 + 24h, t0 + 25h));
      journal::ReadyClip clip;
      clip.camera_name = "Cam";
      clip.source = "lan";
      clip.window_end = capture.window_end;
      clip.sidecar = fmt::format(R"({{"alert":"{}","camera":"cam")", alert);
      return journal.ready(id, "me", clip, t0);
    });
    REQUIRE(written);
    return id;
  }
  std::optional<journal::Capture> row(journal::CaptureId id) {
    std::optional<journal::Capture> found;
    const auto read = writer.run([&](journal::Journal& journal) -> Result<void> {
      found = *journal.find(id);
      return {};
    });
    REQUIRE(read);
    return found;
  }
  // Bounded by the test's own limit of time.
  template <class Condition>
  void wait_until(const Condition& holds) {
    while (!holds()) std::this_thread::yield();
  }
  std::size_t times_in_log(const std::string& text) const {
    const auto all = log.str();
    std::size_t times = 0;
    for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++times;
    return times;
  }
  std::unique_ptr<Publisher> start(Clock& clock, const Publisher::Observer& observer, bool thumbnails = false) {
    return std::make_unique<Publisher>(
        "publisher", "the-archive", thumbnails, archive, spool, pictures,
        [](const journal::Capture&) { return std::optional<archive::Layout>{}; }, writer, clock, observer, TakeOut{});
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a clip of an alert passes a long copy that has begun") {
  storage.link_error = EXDEV;
  const auto range = put_ready("range-1-3600", journal::Kind::range, std::string(16 << 20, 'x'));
  BusyClock clock;
  std::unique_ptr<Publisher> publisher;
  std::atomic<bool> is_set{false};
  std::atomic<int> pieces{0};
  std::atomic<journal::CaptureId> alert{0};
  storage.before_write = [&](const std::string& path) {
    if (!path.ends_with("_video.mp4.part") || ++pieces != 3) return;
    while (!is_set) std::this_thread::yield();
    alert = put_ready("alert1", journal::Kind::alert, "abc");
    publisher->notify();
  };
  std::vector<bool> range_was_there;
  std::atomic<int> ended{0};
  publisher = start(clock, [&](State, std::chrono::milliseconds) {
    range_was_there.push_back(fs::exists(clips / fmt::format("Cam_cam_{}_video.mp4", t0.time_since_epoch().count())));
    ++ended;
  });
  is_set = true;
  wait_until([&] { return ended == 2; });
  CHECK(range_was_there == std::vector<bool>{false, true});
  CHECK(row(range)->state == State::done);
  CHECK(row(range)->published->bytes == 16 << 20);
  CHECK(row(alert)->state == State::done);
  CHECK(publisher->stop(10s));
}

TEST_CASE_METHOD(Fixture, "a clip whose archive goes away while it is published is not taken for published") {
  test::ManualClock clock(t0);
  const auto id = put_ready("alert1", journal::Kind::alert, "abc");
  // A share that is unmounted leaves an empty folder; a disk that is pulled may leave none.
  const bool leaves_a_folder = GENERATE(true, false);
  const auto away = folder / "away";
  std::atomic<bool> is_away{false};
  storage.before_open = [&](const std::string& path) {
    if (!path.ends_with("_video.json") || is_away.exchange(true)) return;
    fs::rename(clips, away);
    if (leaves_a_folder) fs::create_directory(clips);
  };
  std::atomic<int> ended{0};
  auto publisher = start(clock, [&](State, std::chrono::milliseconds) { ++ended; });
  wait_until([&] { return is_away && row(id)->reason.starts_with("the clip is in the spool"); });
  CHECK(row(id)->state == State::waiting);
  CHECK(fs::exists(spool.ready_clip(id)));
  CHECK(fs::exists(clips) == leaves_a_folder);
  fs::remove_all(clips);
  fs::rename(away, clips);
  wait_until([&] {
    clock.advance(60s);
    publisher->notify();
    return ended == 1;
  });
  REQUIRE(row(id)->state == State::done);
  CHECK(fs::exists(clips / row(id)->published->clip));
  CHECK(publisher->stop(10s));
}

TEST_CASE_METHOD(Fixture,
                 "a clip that the archive does not take for its own reason waits longer each time, and is one line") {
  test::ManualClock clock(t0);
  // A stick with FAT: nothing above 4 GiB.
  const auto id = put_ready("alert1", journal::Kind::alert, "abc");
  storage.link_error = EPERM;
  fs::create_directories(clips / fmt::format(".Cam_cam_20231114_221320_alert_UNKNOWN_alert1_video.mp4.part") /
                         "in the way");
  std::atomic<int> ended{0};
  auto publisher = start(clock, [&](State, std::chrono::milliseconds) { ++ended; });
  auto due = WallTime(t0);
  for (const auto pause : {30s, 60s, 120s, 240s, 480s, 900s, 900s}) {
    wait_until([&] { return row(id)->state == State::waiting && row(id)->next_attempt_at == due + pause; });
    CHECK(row(id)->reason.starts_with("the clip is in the spool: cannot create"));
    due += pause;
    clock.advance(pause);
    publisher->notify();
  }
  fs::remove_all(clips / ".Cam_cam_20231114_221320_alert_UNKNOWN_alert1_video.mp4.part");
  wait_until([&] {
    clock.advance(60s);
    publisher->notify();
    return ended == 1;
  });
  CHECK(row(id)->state == State::done);
  CHECK(publisher->stop(10s));
  CHECK(times_in_log("cannot create") == 1);
  CHECK(times_in_log("published at last") == 1);
}

TEST_CASE_METHOD(Fixture, "a picture is drawn when its clip is safe, and not again if that ended the process") {
  test::ManualClock clock(t0);
  std::atomic<int> ended{0};
  std::vector<State> when_drawn;
  journal::CaptureId id = 0;
  bool others_wait = false;
  storage.before_open = [&](const std::string& path) {
    if (path != spool.picture_mark(id)) return;
    when_drawn.push_back(row(id)->state);
    const auto began = std::chrono::steady_clock::now();
    pictures.wait_for(id, 50ms, {});
    others_wait = std::chrono::steady_clock::now() - began >= 50ms;
  };
  id = put_ready("alert1", journal::Kind::alert, "no video");
  const bool crashed_before = GENERATE(false, true);
  if (crashed_before) std::ofstream(spool.picture_mark(id)) << "";
  when_drawn.clear();
  auto publisher = start(
      clock, [&](State, std::chrono::milliseconds) { ++ended; }, true);
  wait_until([&] { return ended == 1; });
  CHECK(publisher->stop(10s));
  CHECK(row(id)->state == State::done);
  CHECK_FALSE(fs::exists(spool.ready_clip(id)));
  CHECK(when_drawn == (crashed_before ? std::vector<State>{} : std::vector<State>{State::done}));
  CHECK(others_wait == !crashed_before);
  pictures.wait_for(id, 1h, {});
  CHECK(fs::exists(spool.picture_mark(id)) == crashed_before);
  CHECK(times_in_log("not drawn again") == (crashed_before ? 1 : 0));
  CHECK(times_in_log("no thumbnail") == (crashed_before ? 0 : 1));
}

TEST_CASE_METHOD(Fixture, "what is left of a picture that was being published when the process ended is removed") {
  test::ManualClock clock(t0);
  const auto left = clips / ".picture.part";
  std::ofstream(left) << "half";
  auto publisher = start(
      clock, [](State, std::chrono::milliseconds) {}, true);
  wait_until([&] { return !fs::exists(left); });
  CHECK(publisher->stop(10s));
}

TEST_CASE_METHOD(Fixture, "what the archive's storage cannot do is said once, and nothing waits for it") {
  test::ManualClock clock(t0);
  storage.folder_sync_error = EINVAL;
  storage.no_blocks = true;
  std::atomic<int> ended{0};
  const auto first = put_ready("alert1", journal::Kind::alert, "abc");
  auto publisher = start(clock, [&](State, std::chrono::milliseconds) { ++ended; });
  wait_until([&] { return ended == 1; });
  const auto second = put_ready("alert2", journal::Kind::alert, "abc");
  publisher->notify();
  wait_until([&] { return ended == 2; });
  CHECK(row(first)->state == State::done);
  CHECK(row(second)->state == State::done);
  CHECK(publisher->health().problem.empty());
  CHECK(std::isnan(publisher->health().free_bytes));
  CHECK(publisher->stop(10s));
  CHECK(times_in_log("folders cannot be synced") == 1);
  CHECK(times_in_log("does not tell how much is free") == 1);
}
