// What commands that capture and end have in common: they write captures into the journal and see them through.
// Beside a serve, that one does the capturing; without one, the command that has the work locks does, for all.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "responder/base/synchronized.hpp"
#include "responder/ingest/intake.hpp"
#include "responder/journal/writer.hpp"
#include "responder/rhombus/api_client.hpp"

#include "capture_engine.hpp"
#include "config.hpp"
#include "goal.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace responder::app {

// One line about a capture at its end: what became of it, and why.
std::string as_line(const journal::Capture& row);

class CaptureRun {
 public:
  // `closed`: Goal's.
  CaptureRun(const Config& config, journal::Journal writing, journal::Journal reading, const Signals& signals,
             std::function<void(const journal::Capture&)> closed);

  Clock& clock() { return clock_; }
  journal::Journal& reader() { return reader_; }
  journal::Writer& writer() { return writer_; }
  rhombus::ApiClient& api() { return api_; }
  ingest::Intake& intake() { return intake_; }
  Goal& goal() { return goal_; }

  // Runs `work` beside this thread, which minds the signals: one of them stops it.
  void beside(const std::function<void(std::stop_token)>& work);

  // Whether a known capture needs nothing: it has its clip in the archive, whole. Else it is put in line again, for
  // who asks for it by hand. `final_is_enough`: one that nothing better is tried for is left, whatever became of it.
  Result<bool> has_clip_or_waits(journal::CaptureId id, bool final_is_enough);

  // Until the goal is reached, nothing moves any more, or a signal comes; what is left then is for later runs.
  Result<void> see_through(ProgressDisplay& progress);

  bool interrupted() const { return interrupted_; }

  // Ends the work and the journal's writer, and returns the process's exit status: `status` as a rule. Does not
  // return when a thread hangs with the archive.
  int end(int status);

 private:
  Result<void> work_if_nobody_does();
  Result<bool> has_more_to_do();
  void stop_working();
  std::vector<Bar> bars();

  const Config& config_;
  const Signals& signals_;
  SystemClock clock_;
  journal::Writer writer_;  // before who only reads: the last to close the journal has to empty its log
  journal::Journal reader_;
  rhombus::ApiClient api_;
  ingest::Intake intake_;
  Goal goal_;
  std::optional<WallTime> reached_at_;            // when the goal was first seen to be reached
  Synchronized<std::set<std::string>> refusing_;  // targets that have failed since this run began
  std::atomic<std::uint64_t> told_{0};            // alone: attempts at deliveries that have ended
  std::unique_ptr<CaptureEngine> engine_;
  // Alone: counted by all that fetch.
  std::atomic<std::uint64_t> bytes_{0};
  SteadyTime began_;
  bool interrupted_ = false;
  bool hung_ = false;
};

// Creates the journal where there is none, and a connection to read it; a new one learns of the clips there are. An
// Error names the key.
struct RunJournals {
  journal::Journal writing;
  journal::Journal reading;
};
Result<RunJournals> open_for_run(const Config& config);

}  // namespace responder::app
