// Progress of a command for people: bars on a terminal, below what scrolls by; elsewhere, if it is wanted there, a
// line now and then.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"

namespace responder::app {

struct Bar {
  std::string label;
  std::optional<double> share;  // from 0 to 1; nothing: it is not known, and no bar is drawn
  std::string note;
};

// One line of at most `width` columns.
std::string draw(const Bar& bar, std::size_t label_width, std::size_t width);

// How long the rest takes when it goes on like this; empty when nothing can be said yet.
std::string time_left(double share, std::chrono::steady_clock::duration elapsed);

class ProgressDisplay {
 public:
  enum class Elsewhere { nothing, lines };

  // On stderr. `began`: nothing is shown for the first second.
  ProgressDisplay(SteadyTime began, Elsewhere elsewhere);
  ~ProgressDisplay() { clear(); }
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // The last bar is the one for all.
  void show(const std::vector<Bar>& bars, SteadyTime now);
  // A line of the result, to stdout; scrolls by above the bars.
  void print(std::string_view line);
  void clear();

  SteadyTime began() const { return began_; }

 private:
  const SteadyTime began_;
  const Elsewhere elsewhere_;
  const bool on_terminal_;
  std::size_t lines_shown_ = 0;
  SteadyTime line_told_at_;
};

}  // namespace responder::app
