// One line that is written over while bytes are worked through: on a terminal, once it takes longer than a second;
// nothing elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "responder/base/clock.hpp"

namespace responder::app {

// "3.2 GiB".
std::string format_bytes(std::uint64_t bytes);
// "4 s", "3 min 20 s", "2 h 5 min".
std::string format_duration(std::chrono::seconds duration);

class ProgressLine {
 public:
  // On stderr. The clock outlives the object.
  explicit ProgressLine(const Clock& clock);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `what` is done so far, with rate and time left. Cheap enough for every call.
  void show(std::string_view what, std::uint64_t bytes, std::uint64_t total_bytes);
  // Before something else is written to the terminal.
  void clear();

 private:
  const Clock& clock_;
  const SteadyTime began_;
  const bool on_terminal_;
  std::optional<SteadyTime> shown_at_;
  bool is_shown_ = false;
};

// Without the terminal: what show() writes.
std::string progress_text(std::string_view what, std::uint64_t bytes, std::uint64_t total_bytes,
                          std::chrono::milliseconds elapsed);

}  // namespace responder::app
