// Every alert that was raised, what it should have come to, and the check of the clips against the footage.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "faults.hpp"
#include "site.hpp"

namespace soak {

struct Raised {
  std::string alert;
  std::vector<std::string> cameras;
  std::int64_t at_s = 0;        // when it began
  std::int64_t duration_s = 0;  // as it is known last
  bool known = false;           // Rhombus lists it, or its webhook was answered with 200
  std::string kind;
};

struct Event {
  std::string alert, camera, state, reason, via, clip, sha256, kind;
  std::int64_t window_start = 0;
  std::int64_t window_end = 0;
  std::size_t gaps = 0;
  bool final = false;
  bool held = false;
  bool removed = false;
};

class Ledger {
 public:
  Ledger(Site& site, const Faults& faults, Problems& problems) : site_(site), faults_(faults), problems_(problems) {}

  void raise(const Raised& alert);
  void answered(const std::string& alert);  // its webhook was answered with 200
  void grew(const std::string& alert, std::int64_t duration_s);
  std::size_t raised() const;

  // The journal's captures of the last minutes, or all.
  std::vector<Event> events(const std::string& after) const;
  // Checks the clips among those events that were not checked yet. Clips that fail are checked again by the next
  // call, as they may have been replaced or be out of reach meanwhile; the third failure is a problem.
  void check_clips(const std::vector<Event>& events);
  // A clip that was damaged on purpose is not checked until `repaired`.
  void damaged(const std::string& clip);
  void repaired();
  void held(const std::string& alert);
  void released(const std::string& alert);

  // Whether each alert that must be known has a capture that is at rest.
  bool is_at_rest(const std::vector<Event>& events) const;
  // The checks at the end, when nothing is under way. Returns the summary's lines.
  std::vector<std::string> settle();

 private:
  std::string problem_with(const Event& event) const;
  bool has_hole(const Event& event) const;
  void check_states(const std::vector<Event>& events);
  void check_archive(const std::vector<Event>& events);
  void check_spool();

  Site& site_;
  const Faults& faults_;
  Problems& problems_;
  mutable std::mutex mutex_;
  std::map<std::string, Raised> raised_;
  std::map<std::string, std::string> checked_;  // clip -> SHA-256
  std::map<std::string, int> failed_checks_;
  std::set<std::string> damaged_;
  std::set<std::string> held_;
  std::size_t clips_checked_ = 0;
};

}  // namespace soak
