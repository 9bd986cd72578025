#include "responder/net/stall_watch.hpp"

#include <algorithm>

namespace responder::net {
namespace {

constexpr std::chrono::milliseconds look_interval{500};

}  // namespace

StallWatch::StallWatch(Clock& clock, StallLimits limits)
    : clock_(clock), limits_(limits), thread_([this](std::stop_token stop) { watch(std::move(stop)); }) {}

StallWatch::~StallWatch() = default;

bool StallWatch::stands_still(SteadyTime now, Transfer& transfer) const {
  if (transfer.was_cut_) return false;
  const auto bytes = transfer.bytes_.load();
  if (transfer.bytes_before_ == 0 && bytes > 0) {
    // Its body has begun.
    transfer.bytes_before_ = bytes;
    transfer.since_ = now;
  }
  const bool begun = bytes > 0;
  if (now - transfer.since_ < (begun ? limits_.interval : limits_.first_byte)) return false;
  if (!begun || bytes - transfer.bytes_before_ < limits_.least_bytes) return true;
  transfer.bytes_before_ = bytes;
  transfer.since_ = now;
  return false;
}

void StallWatch::watch(std::stop_token stop) {
  while (!stop.stop_requested()) {
    Transfer* still = nullptr;
    {
      auto transfers = transfers_.lock();
      const auto now = clock_.steady_now();
      const auto found = std::find_if(transfers->begin(), transfers->end(),
                                      [&](Transfer* transfer) { return stands_still(now, *transfer); });
      if (found == transfers->end()) {
        transfers.wait_for(stop, look_interval, [] { return false; });
        continue;
      }
      still = *found;
      still->was_cut_ = true;
      still->being_cut_ = true;
    }
    // Without the lock: breaking a connection off may take as long as its connecting.
    still->cut_();
    {
      auto transfers = transfers_.lock();
      still->being_cut_ = false;
    }
    transfers_.notify_all();
  }
}

StallWatch::Transfer::Transfer(StallWatch& watch, std::function<void()> cut)
    : watch_(watch), cut_(std::move(cut)), since_(watch.clock_.steady_now()) {
  auto transfers = watch_.transfers_.lock();
  place_ = transfers->insert(transfers->end(), this);
}

StallWatch::Transfer::~Transfer() {
  auto transfers = watch_.transfers_.lock();
  transfers.wait({}, [&] { return !being_cut_; });
  transfers->erase(place_);
}

}  // namespace responder::net
