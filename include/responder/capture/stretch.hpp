// Stretches: spans of a device's footage, each fetched once for every capture whose window it overlaps. Alerts come
// in bursts on the same camera; a device is asked for each moment once. Captures that may go by different ways (by
// rules for some activities) share none: what one of them cannot get is no answer for the others.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "responder/archive/spool.hpp"
#include "responder/capture/footage.hpp"
#include "responder/journal/journal.hpp"

namespace responder::capture {

// What of a device is taken. `name` is its folder's.
struct Recorder {
  rhombus::DeviceKind kind = rhombus::DeviceKind::camera;
  DeviceId device;
  bool video = true;
  bool audio = true;
  ConnectionMode connection = ConnectionMode::automatic;

  std::string name() const;
};

struct Span {
  std::chrono::sys_seconds start;
  std::chrono::sys_seconds end;

  bool overlaps(const Span& other) const { return start < other.end && other.start < end; }
};

// How much each recorder sends, in bytes a second: as last seen, and a guess until then. Thread-safe.
class BitRates {
 public:
  void learn(const Recorder& recorder, std::uint64_t bytes, std::chrono::seconds footage);
  std::uint64_t of(const Recorder& recorder) const;

 private:
  mutable Synchronized<std::map<std::string, std::uint64_t>> seen_;
};

class Stretch {
 public:
  // `recovered`: its folder is there from an earlier process. `rates` outlives it.
  Stretch(Recorder recorder, Span span, std::filesystem::path folder, FootageAccess& access, BitRates& rates,
          bool recovered);

  struct Progress {
    bool over = false;           // nothing more will come of what was asked for
    WallTime next_at;            // when it is not
    std::optional<Error> error;  // when it is over before its end
  };
  // What one capture's step brings along.
  struct Drive {
    std::atomic<std::uint64_t>& bytes;  // counted up as they come
    archive::Spool::Claim& claim;       // which they fill
    Span window = {};                   // what of it the capture needs
    std::function<void(std::vector<media::TakenTrack>)> on_foreseen = {};
    std::function<void(double)> on_progress = {};  // how much of the stretch is settled
  };
  // Fetches what is due. Never waits for another capture that does so just now.
  Progress advance(const Drive& drive, std::stop_token stop);

  // A capture begins an attempt with it: what ended without everything is begun anew.
  void begin_attempt();

  // What was taken is not what it was: the next attempt looks at it anew.
  void invalidate();

  // What was taken of that time is no footage: it goes, and the next attempt asks for it again.
  void reject(const Span& part);

  Span span() const;
  // What its media is known to cover: a device may serve a little more than it was asked for.
  Span reach() const;
  // Makes it longer, as long as nothing was asked for.
  bool extend(std::chrono::sys_seconds end);
  // The one that ends where this one begins: what it turns out to have of this one is not asked for again, as long as
  // all who hold this one hold that one, too.
  void follow(const std::shared_ptr<Stretch>& before);
  // A capture that holds `others` joins, from `at` on. False: this one begins later by now.
  bool join(std::chrono::sys_seconds at, const std::vector<std::shared_ptr<Stretch>>& others);
  // What comes before `end` is taken from `before`, if this one still follows it and nothing was asked for.
  void begin_after(const std::shared_ptr<Stretch>& before, std::chrono::sys_seconds end);

  // What a capture of `window` is expected to need of the spool for its part of this.
  archive::SpoolNeed need(const Span& window) const;
  // What it fills of the spool.
  std::uint64_t bytes_on_disk() const;
  void remove_from_disk() const;

  // What is there, the best first.
  std::vector<Footage::Share> taken() const;

 private:
  std::filesystem::path folder_of(const Span& span) const;
  void open();
  bool waits_for_the_one_before();
  bool has_all_of(const Span& window) const;
  void note(const Result<media::Session::Progress>& progress);

  const Recorder recorder_;
  const std::filesystem::path folder_;
  FootageAccess& access_;
  BitRates& rates_;

  mutable std::mutex driving_;        // guards footage_: one drives at a time
  std::shared_ptr<Footage> footage_;  // shared with whoever puts a clip together while it is fetched
  // Where the bytes and the foreseen tracks of the present drive go. Null between drives.
  std::atomic<const Drive*> drive_{nullptr};

  struct State {
    Span span;
    bool opened = false;
    bool over = false;
    bool complete = false;
    SteadyTime over_at;
    std::optional<Error> error;
    std::vector<Footage::Share> taken;
    Span reach;
    std::weak_ptr<Stretch> before;
  };
  mutable Synchronized<State> state_;
};

// Thread-safe.
class StretchStore {
 public:
  // Finds what an earlier process left in the spool.
  StretchStore(FootageAccess& access, archive::Spool& spool);

  // Stretches that together cover the window, in time order: those that are there, and new ones for the rest.
  std::vector<std::shared_ptr<Stretch>> cover(const Recorder& recorder, Span window);

  // Removes what no open capture needs and nobody has used for a while; when the spool is getting full, at once.
  // Where room is needed (archive::Spool::take_shortage), more goes, in the order of archive::choose_evictions.
  void tidy(const std::vector<journal::OpenWindow>& open);

 private:
  struct Entry {
    std::shared_ptr<Stretch> stretch;
    WallTime used_at;
  };
  using Entries = std::map<std::string, std::vector<Entry>>;  // by recorder
  std::uint64_t remove_unwanted(Entries& entries, const std::vector<journal::OpenWindow>& open) const;
  bool make_room(Entries& entries, const std::vector<journal::OpenWindow>& open,
                 archive::SpoolShortage shortage) const;

  FootageAccess& access_;
  archive::Spool& spool_;
  BitRates rates_;
  Synchronized<Entries> entries_;
};

}  // namespace responder::capture
