// The captures that a command has to see through.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "responder/journal/journal.hpp"

namespace responder::app {

class Goal {
 public:
  // One camera's part of it, for people to look at. Shares are of the windows' length.
  struct CameraTally {
    std::string name;  // its UUID until its name is known
    std::size_t total = 0;
    std::size_t closed = 0;
    std::chrono::seconds length{0};
    std::chrono::seconds closed_length{0};
  };

  // What the open captures of a camera are at, and for how long, where nothing tells how far they are.
  struct Activity {
    journal::State state = journal::State::waiting;  // capturing, if one of them is
    std::chrono::seconds lasts{0};                   // as far as this run has seen
  };

  // What is tried now; more is for later runs.
  struct Patience {
    int attempts = 2;
    std::chrono::seconds wait{10};  // for the next of them
  };

  // `closed` is told of each capture as it comes to its end, or is left to later runs.
  Goal(journal::Journal& journal, std::function<void(const journal::Capture&)> closed)
      : journal_(journal), closed_(std::move(closed)) {}

  void set_patience(Patience patience) { patience_ = patience; }
  // For people to read, until the journal knows the camera's name.
  void set_name(const DeviceId& camera, const std::string& name) { cameras_[camera].name = name; }

  // Before the run has worked on it. One that is finished is not added.
  Result<void> add(journal::CaptureId id);
  // All that the journal has to be done, whoever found it and whenever.
  Result<void> add_all_open();

  // Looks at what is still open. True: something has changed since the last look.
  Result<bool> look(WallTime now);
  // What is open now is left to later runs.
  void give_up();

  bool reached() const { return open_.empty(); }
  std::size_t total() const { return total_; }
  std::size_t left() const { return open_.size(); }
  std::size_t running() const { return running_; }
  std::size_t done() const { return done_; }
  std::size_t not_done() const { return not_done_; }
  const std::map<DeviceId, CameraTally>& cameras() const { return cameras_; }
  std::map<DeviceId, Activity> activities(WallTime now) const;
  // Of an open one; nullptr when it is none.
  const journal::Capture* open(journal::CaptureId id) const;

 private:
  struct Open {
    journal::Capture row;                // as it was last seen
    int attempts = 0;                    // when it was added
    std::optional<WallTime> since = {};  // when its state was first seen
  };
  bool is_for_later_runs(const journal::Capture& row, const Open& one, WallTime now) const;
  void close(const journal::Capture& row);

  journal::Journal& journal_;
  const std::function<void(const journal::Capture&)> closed_;
  Patience patience_;
  std::map<journal::CaptureId, Open> open_;
  std::map<DeviceId, CameraTally> cameras_;
  std::size_t total_ = 0;
  std::size_t running_ = 0;
  std::size_t done_ = 0;
  std::size_t not_done_ = 0;
};

}  // namespace responder::app
