#include "responder/net/stall_watch.hpp"

namespace responder::net {
namespace {

constexpr std::chrono::milliseconds look_interval{500};

}  // namespace

StallWatch::StallWatch(Clock& clock, StallLimits limits)
    : clock_(clock), limits_(limits), thread_([this](std::stop_token stop) {
        auto transfers = transfers_.lock();
        while (!stop.stop_requested()) {
          look(clock_.steady_now(), *transfers);
          transfers.wait_for(stop, look_interval, [] { return false; });
        }
      }) {}

StallWatch::~StallWatch() = default;

void StallWatch::look(SteadyTime now, std::list<Transfer*>& transfers) const {
  for (auto* transfer : transfers) {
    if (transfer->was_cut_) continue;
    const auto bytes = transfer->bytes_.load();
    if (transfer->bytes_before_ == 0 && bytes > 0) {
      // Its body has begun.
      transfer->bytes_before_ = bytes;
      transfer->since_ = now;
    }
    const bool begun = bytes > 0;
    if (now - transfer->since_ < (begun ? limits_.interval : limits_.first_byte)) continue;
    if (begun && bytes - transfer->bytes_before_ >= limits_.least_bytes) {
      transfer->bytes_before_ = bytes;
      transfer->since_ = now;
      continue;
    }
    transfer->was_cut_ = true;
    transfer->cut_();
  }
}

StallWatch::Transfer::Transfer(StallWatch& watch, std::function<void()> cut)
    : watch_(watch), cut_(std::move(cut)), since_(watch.clock_.steady_now()) {
  auto transfers = watch_.transfers_.lock();
  place_ = transfers->insert(transfers->end(), this);
}

StallWatch::Transfer::~Transfer() { watch_.transfers_.lock()->erase(place_); }

}  // namespace responder::net
