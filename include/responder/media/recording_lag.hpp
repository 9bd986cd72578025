// How long after its end a device's segment can be had: configured to begin with, then learnt from what the device
// answers. Thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>

namespace responder::media {

class RecordingLag {
 public:
  explicit RecordingLag(std::chrono::milliseconds configured) : least_(configured), value_ms_(configured.count()) {}

  std::chrono::milliseconds value() const { return std::chrono::milliseconds(value_ms_.load()); }

  // A segment was asked for this long after its end, and was not there yet.
  void too_early(std::chrono::milliseconds after_end) {
    const auto longer = std::clamp(after_end + step, least_, most);
    if (longer > value()) value_ms_ = longer.count();
  }

  // It was there the first time it was asked for: perhaps it would have been a little sooner.
  void there_at_once() { value_ms_ = std::max(least_, value() - value() / 16).count(); }

 private:
  static constexpr std::chrono::milliseconds step{150};
  static constexpr std::chrono::milliseconds most{8000};

  const std::chrono::milliseconds least_;
  // Alone: two threads that learn at once may lose one lesson, no more.
  std::atomic<std::chrono::milliseconds::rep> value_ms_;
};

}  // namespace responder::media
