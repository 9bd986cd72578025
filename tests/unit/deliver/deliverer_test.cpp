#include "responder/deliver/deliverer.hpp"

#include <atomic>
#include <map>

#include <catch2/catch.hpp>
#include <spdlog/spdlog.h>

#include "responder/base/synchronized.hpp"

#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::deliver;
using namespace std::chrono_literals;
using journal::Journal;
using journal::State;

namespace {

// Remembers what it was told, and does as it is bid.
class Listener final : public Target {
 public:
  struct Told {
    std::string id;
    State state;
    std::string alert;
  };
  using Answer = std::function<Result<void>(const Parcel&, std::stop_token)>;

  Listener(std::string name, Synchronized<std::vector<Told>>& told, Answer answer)
      : name_(std::move(name)), told_(told), answer_(std::move(answer)) {}

  const std::string& name() const override { return name_; }
  Result<void> deliver(const Parcel& parcel, std::stop_token stop) override {
    told_.lock()->push_back({parcel.id, parcel.delivery.state, parcel.delivery.capture.alert.str()});
    told_.notify_all();
    return answer_(parcel, std::move(stop));
  }

 private:
  const std::string name_;
  Synchronized<std::vector<Told>>& told_;
  const Answer answer_;
};

using Told = Synchronized<std::vector<Listener::Told>>;

Result<void> content(const Parcel&, std::stop_token) { return {}; }
Result<void> refuses(const Parcel&, std::stop_token) { return Error{ErrorKind::transient, "not now"}; }
Result<void> hangs(const Parcel&, std::stop_token stop) {
  Synchronized<bool> never;
  never.lock().wait(stop, [] { return false; });
  return Error{ErrorKind::cancelled, "stopped"};
}

journal::Published clip(const std::string& path, const std::string& sha256) {
  journal::Published published;
  published.clip = path;
  published.source = "lan";
  published.sha256 = sha256;
  return published;
}

struct Fixture {
  // Made here as in the program: the first two threads to log would both make it.
  Fixture() { spdlog::default_logger_raw(); }

  test::TempFolder folder;
  test::ManualClock clock;
  journal::Writer writer{open(), 100};
  Synchronized<std::map<std::string, int>> results;
  Told told;
  std::vector<std::unique_ptr<Target>> targets;
  std::unique_ptr<Deliverer> deliverer;

  Journal open() const { return *Journal::open(folder / "journal.db", Journal::Mode::read_write); }

  void add(const std::string& name, Told& to, Listener::Answer answer) {
    targets.push_back(std::make_unique<Listener>(name, to, std::move(answer)));
    std::vector<journal::Target> names;
    for (const auto& target : targets)
      names.push_back({target->name(), {State::done, State::partial, State::failed}});
    REQUIRE(open().set_targets(names));
  }
  void start() {
    deliverer = std::make_unique<Deliverer>(std::move(targets), "jid", writer, open(), clock,
                                            [this](std::string_view target, std::string_view result) {
                                              ++(*results.lock())[std::string(target) + " " + std::string(result)];
                                            });
  }
  void finish(const std::string& alert, State state, const std::string& sha256 = "") {
    REQUIRE(writer.run([&](Journal& journal) -> Result<void> {
      const auto now = clock.wall_now();
      journal::NewCapture capture;
      capture.alert = AlertId(alert);
      capture.camera = DeviceId("cam");
      capture.received_at = capture.alert_at = now;
      capture.window_start = std::chrono::floor<std::chrono::seconds>(now);
      capture.window_end = capture.window_start + 1h;
      const auto accepted = journal.accept(capture);
      if (!accepted) return accepted.error();
      if (accepted->duplicate && !journal.retry(capture.alert, now)) return Error{ErrorKind::permanent, "retry"};
      const auto claimed = journal.claim(accepted->id, "me", now, now + 1s);
      if (!claimed) return claimed.error();
      journal::Outcome outcome;
      outcome.state = state;
      outcome.window_end = (*claimed)->window_end;
      if (!sha256.empty()) outcome.published = clip(alert + ".mp4", sha256);
      return journal.finish(accepted->id, "me", outcome, now);
    }));
  }
  journal::DeliveryCounts counts(const std::string& target) const {
    auto journal = open();
    const auto all = journal.delivery_counts();
    REQUIRE(all);
    for (const auto& one : *all) {
      if (one.target == target) return one;
    }
    return {};
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "each target is told once, in order, under an id that is its own") {
  Told other;
  add("one", told, content);
  add("two", other, content);
  finish("a", State::partial, "11");
  finish("a", State::done, "22");
  start();
  deliverer->wait_until_quiet(60s);
  const auto heard = *told.lock();
  REQUIRE(heard.size() == 2);
  CHECK(heard[0].state == State::partial);
  CHECK(heard[1].state == State::done);
  CHECK(heard[0].id.starts_with("msg_jid_"));
  REQUIRE(other.lock()->size() == 2);
  CHECK(heard[0].id != other.lock()->at(0).id);
  CHECK(counts("one").waiting == 0);
  CHECK((*results.lock())["one delivered"] == 2);
  CHECK(deliverer->stop(10s));
}

TEST_CASE_METHOD(Fixture, "one that hangs holds up nobody else, and lets go at a stop") {
  Told hung;
  add("hanging", hung, hangs);
  add("quick", told, content);
  finish("a", State::done, "11");
  start();
  const auto count_reaches = [](Told& of, std::size_t count) {
    auto held = of.lock();
    return held.wait_for({}, 60s, [&] { return held->size() == count; });
  };
  CHECK(count_reaches(hung, 1));
  for (const auto* alert : {"b", "c"}) {
    finish(alert, State::failed);
    deliverer->notify();
  }
  CHECK(count_reaches(told, 3));
  CHECK(deliverer->stop(10s));
  CHECK(hung.lock()->size() == 1);
  CHECK(counts("hanging").waiting == 3);  // for the next start
}

TEST_CASE_METHOD(Fixture, "what fails is tried again under its id, for days, and then given up with its reason") {
  add("one", told, refuses);
  finish("a", State::done, "11");
  start();
  deliverer->wait_until_quiet(60s);
  REQUIRE(told.lock()->size() == 1);
  deliverer->wait_until_quiet(60s);
  CHECK(told.lock()->size() == 1);  // not before its time
  CHECK(counts("one").waiting == 1);
  CHECK(counts("one").reason == "not now");
  const auto began = clock.elapsed();
  while (counts("one").waiting == 1 && clock.elapsed() < 240h) {
    clock.advance(1h + 10min);
    deliverer->wait_until_quiet(60s);
  }
  CHECK(clock.elapsed() - began > 48h);
  CHECK(counts("one").given_up == 1);
  CHECK(counts("one").reason == "not now");
  const auto heard = *told.lock();
  CHECK(heard.front().id == heard.back().id);
  CHECK((*results.lock())["one given_up"] == 1);
  // Somebody has mended it.
  REQUIRE(writer.run([&](Journal& journal) -> Result<void> {
    const auto put_back = journal.retry_deliveries(clock.wall_now());
    return put_back && *put_back == 1 ? Result<void>{} : Error{ErrorKind::permanent, "not put back"};
  }));
  deliverer->wait_until_quiet(60s);
  CHECK(told.lock()->size() == heard.size() + 1);
  CHECK(deliverer->stop(10s));
}

TEST_CASE_METHOD(Fixture, "what cannot be delivered at all is given up at once, and what is away is waited for") {
  std::atomic<int> asked{0};
  add("one", told, [&](const Parcel&, std::stop_token) -> Result<void> {
    if (++asked <= 200) return Error{ErrorKind::no_space, "the archive is away"};
    return Error{ErrorKind::permanent, "no such clip"};
  });
  finish("a", State::done, "11");
  start();
  for (int i = 0; i < 200; ++i) {
    deliverer->wait_until_quiet(60s);
    clock.advance(61s);
  }
  CHECK(counts("one").waiting == 1);
  deliverer->wait_until_quiet(60s);
  CHECK(counts("one").given_up == 1);
  CHECK(counts("one").reason == "no such clip");
  CHECK(deliverer->stop(10s));
}

TEST_CASE_METHOD(Fixture, "a message has the event, the capture as programs read it, and where its files are") {
  journal::Delivery delivery;
  delivery.state = State::partial;
  delivery.created_at = WallTime(1'700'000'000s);
  delivery.capture.alert = AlertId("alert-1");
  delivery.capture.camera_name = "Front \"Door\"";
  delivery.capture.state = State::done;
  CHECK(message({delivery, "msg_x_7"}, "/srv/clips").find(R"("clip":null)") != std::string::npos);
  CHECK(message({delivery, "msg_x_7"}, "/srv/clips").find(R"("clip_path":null,"sidecar_path":null)") !=
        std::string::npos);
  delivery.capture.published = clip("2024/a.b_video.mp4", "ab");
  const auto text = message({delivery, "msg_x_7"}, "/srv/clips");
  CHECK(text.starts_with(
      R"({"event":"partial","id":"msg_x_7","time":"2023-11-14T22:13:20Z","capture":{"alert":"alert-1")"));
  CHECK(text.find(R"("clip_path":"/srv/clips/2024/a.b_video.mp4","sidecar_path":"/srv/clips/2024/a.b_video.json")") !=
        std::string::npos);
  CHECK(text.find('\n') == std::string::npos);
}
