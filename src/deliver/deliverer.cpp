#include "responder/deliver/deliverer.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/synchronized.hpp"
#include "responder/base/text.hpp"
#include "responder/deliver/retry.hpp"

namespace responder::deliver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds scan_interval{1000};
constexpr milliseconds pause{2000};          // when the journal cannot be read or written
constexpr milliseconds moment_to_end{3000};  // of what runs, at a stop

}  // namespace

struct Deliverer::Impl {
  struct Lane {
    std::uint64_t quiet_at = 0;  // the call after which it found nothing due
    bool over = false;
  };
  struct State {
    std::uint64_t calls = 1;
    std::vector<Lane> lanes;

    bool is_quiet() const {
      return std::all_of(lanes.begin(), lanes.end(), [&](const Lane& lane) { return lane.quiet_at == calls; });
    }
    bool is_over() const {
      return std::all_of(lanes.begin(), lanes.end(), [](const Lane& lane) { return lane.over; });
    }
  };

  const std::vector<std::unique_ptr<Target>> targets;
  const std::string journal_id;
  journal::Writer& writer;
  Clock& clock;
  const Observer observer;
  Synchronized<journal::Journal> reader;
  Synchronized<State> state;
  std::stop_source stopping;      // nothing more is begun
  std::stop_source breaking_off;  // what runs is to end
  std::vector<std::thread> threads;

  Impl(std::vector<std::unique_ptr<Target>> targets_, std::string journal_id_, journal::Writer& writer_,
       journal::Journal reader_, Clock& clock_, Observer observer_)
      : targets(std::move(targets_)),
        journal_id(std::move(journal_id_)),
        writer(writer_),
        clock(clock_),
        observer(std::move(observer_)),
        reader(std::move(reader_)) {
    state.lock()->lanes.resize(targets.size());
  }

  void run(std::size_t index);
  bool deliver_next(Target& target);
  void record(const Target& target, const journal::Delivery& delivery, const Result<void>& told);
  void record_failure(const Target& target, const journal::Delivery& delivery, const Error& why);
  bool write_down(const journal::Writer::Work& change);
};

void Deliverer::Impl::run(std::size_t index) {
  const auto stop = stopping.get_token();
  while (!stop.stop_requested()) {
    const auto call = state.lock()->calls;
    while (!stop.stop_requested() && deliver_next(*targets[index])) continue;
    auto held = state.lock();
    held->lanes[index].quiet_at = call;
    state.notify_all();
    held.wait_for(stop, scan_interval, [&] { return held->calls != call; });
  }
  state.lock()->lanes[index].over = true;
  state.notify_all();
}

// False when nothing is due.
bool Deliverer::Impl::deliver_next(Target& target) {
  const auto next = reader.lock()->next_delivery(target.name(), clock.wall_now());
  if (!next) {
    spdlog::error("cannot look for what {} is to be told: {}", target.name(), next.error().message);
    return clock.sleep(pause, stopping.get_token());
  }
  if (!*next) return false;
  const auto& delivery = **next;
  const Parcel parcel{delivery, fmt::format("msg_{}_{}", journal_id, delivery.id)};
  record(target, delivery, target.deliver(parcel, breaking_off.get_token()));
  return true;
}

void Deliverer::Impl::record(const Target& target, const journal::Delivery& delivery, const Result<void>& told) {
  if (!told && told.error().kind == ErrorKind::cancelled) return;  // it is due at the next start
  if (!told) return record_failure(target, delivery, told.error());
  const auto now = clock.wall_now();
  if (!write_down([&](journal::Journal& journal) { return journal.delivered(delivery.id, now); })) return;
  spdlog::info("alert {} on {}: {}: delivered to {}", delivery.capture.alert.str(), delivery.capture.camera.str(),
               to_string(delivery.state), target.name());
  observer(target.name(), "delivered");
}

void Deliverer::Impl::record_failure(const Target& target, const journal::Delivery& delivery, const Error& why) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto delay = delivery_delay(why, delivery.attempts + 1, std::uniform_real_distribution<>(0, 1)(random));
  std::optional<WallTime> next_at;
  if (delay) next_at = clock.wall_now() + *delay;
  const bool written = write_down([&](journal::Journal& journal) {
    return journal.not_delivered(delivery.id, why.message, next_at, counts_as_attempt(why));
  });
  if (!written) return;
  const auto what = fmt::format("alert {} on {}: {}: not delivered to {}: {}", delivery.capture.alert.str(),
                                delivery.capture.camera.str(), to_string(delivery.state), target.name(), why.message);
  if (!delay) {
    spdlog::error("{}; given up (rhombus-responder retry --deliveries tries again)", what);
  } else {
    // Once for each; `status` says how it stands.
    const auto level = delivery.attempts == 0 ? spdlog::level::warn : spdlog::level::debug;
    spdlog::log(level, "{}; next attempt in {} s", what, std::chrono::ceil<seconds>(*delay).count());
  }
  observer(target.name(), delay ? "failed" : "given_up");
}

// Written until it is: else it would be told again at once. At a stop it stays due.
bool Deliverer::Impl::write_down(const journal::Writer::Work& change) {
  while (true) {
    const auto written = writer.run(change);
    if (written) return true;
    spdlog::error("not written down: {}", written.error().message);
    if (!clock.sleep(pause, stopping.get_token())) return false;
  }
}

Deliverer::Deliverer(std::vector<std::unique_ptr<Target>> targets, std::string journal_id, journal::Writer& writer,
                     journal::Journal reader, Clock& clock, Observer observer)
    : impl_(std::make_shared<Impl>(std::move(targets), std::move(journal_id), writer, std::move(reader), clock,
                                   std::move(observer))) {
  for (std::size_t i = 0; i < impl_->targets.size(); ++i)
    impl_->threads.emplace_back([impl = impl_, i] { impl->run(i); });
}

Deliverer::~Deliverer() {
  impl_->stopping.request_stop();
  impl_->breaking_off.request_stop();
  for (auto& thread : impl_->threads) {
    if (thread.joinable()) thread.join();
  }
}

void Deliverer::notify() {
  ++impl_->state.lock()->calls;
  impl_->state.notify_all();
}

void Deliverer::wait_until_quiet(milliseconds longest) {
  notify();
  auto held = impl_->state.lock();
  held.wait_for({}, longest, [&] { return held->is_quiet(); });
}

bool Deliverer::stop(milliseconds deadline) {
  impl_->stopping.request_stop();
  const auto over_within = [&](milliseconds time) {
    auto held = impl_->state.lock();
    return held.wait_for({}, time, [&] { return held->is_over(); });
  };
  bool over = over_within(moment_to_end);
  impl_->breaking_off.request_stop();
  over = over || over_within(deadline);
  for (auto& thread : impl_->threads) {
    if (over) {
      thread.join();
    } else {
      thread.detach();
    }
  }
  return over;
}

}  // namespace responder::deliver
