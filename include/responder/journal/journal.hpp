// The journal: what is known, what waits, what was done. It is the truth; every queue is a hint.
//
// A Journal is one connection and belongs to one thread at a time; several (also of several processes) may be open on
// the same file. A mutating call is atomic by itself; inside Journal::transaction several commit as one. A commit is
// synced to the disk before the call returns.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/base/ids.hpp"

namespace responder::journal {

enum class State { waiting, capturing, done, partial, failed, ignored };
std::string_view to_string(State state);
std::optional<State> parse_state(std::string_view text);

enum class Via { webhook, catch_up, manual };
std::string_view to_string(Via via);

using CaptureId = std::int64_t;

// Footage that is not in the clip, wall clock.
struct Gap {
  WallTime start;
  WallTime end;
  bool operator==(const Gap&) const = default;
};

// A capture as it is first written down. (alert, camera) is unique: whoever comes second finds a duplicate.
struct NewCapture {
  AlertId alert;
  DeviceId camera;
  LocationId location;
  std::vector<std::string> activities;
  Via via = Via::webhook;
  WallTime received_at;
  WallTime alert_at;
  std::chrono::seconds duration{0};
  std::chrono::sys_seconds window_start;
  std::chrono::sys_seconds window_end;  // after window_start
  std::string ignored_reason;           // not empty: written down as `ignored`, never captured
};

// What an attempt left on disk.
struct Published {
  std::string clip;    // path under the archive
  std::string source;  // lan, wan, cloud
  std::uint64_t bytes = 0;
  std::string sha256;
  std::vector<Gap> gaps;
};

struct Capture {
  CaptureId id = 0;
  AlertId alert;
  DeviceId camera;
  std::string camera_name;
  LocationId location;
  std::vector<std::string> activities;
  Via via = Via::webhook;
  WallTime received_at;
  WallTime alert_at;
  std::chrono::seconds duration{0};
  std::chrono::sys_seconds window_start;
  std::chrono::sys_seconds window_end;
  State state = State::waiting;
  std::string reason;
  int attempts = 0;
  std::optional<WallTime> next_attempt_at;  // set while `waiting`
  std::optional<Published> published;
};

struct Filter {
  std::optional<State> state = {};
  std::optional<WallTime> after = {};  // received at or after
  std::size_t limit = 100;
};

struct Counts {
  std::uint64_t waiting = 0, capturing = 0, done = 0, partial = 0, failed = 0, ignored = 0;
  std::optional<WallTime> oldest_waiting;  // when it was received
};

struct Accepted {
  bool duplicate = false;  // it was known: nothing was written
  CaptureId id = 0;        // of the new capture
};

class Journal {
 public:
  enum class Mode { read_write, read_only };

  // Creates the file and its schema where there is none (read_write).
  static Result<Journal> open(const std::filesystem::path& path, Mode mode);
  ~Journal();
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;

  // Runs `work` and commits, all or nothing: an Error of `work` or of the commit undoes everything.
  Result<void> transaction(const std::function<Result<void>()>& work);

  Result<Accepted> accept(const NewCapture& capture);

  // Captures to work on now, the earliest first: waiting ones whose time has come, and those of a lease that ran out.
  Result<std::vector<CaptureId>> due(WallTime now, std::size_t limit);

  // Takes a due capture for `owner` until `lease_until`; nullopt when somebody else has it or it is finished.
  Result<std::optional<Capture>> claim(CaptureId id, std::string_view owner, WallTime now, WallTime lease_until);
  // Gives back what owners whose name starts so have claimed, whatever their leases say: for when they are known to
  // be gone.
  Result<void> release_leases(std::string_view owner_prefix, WallTime now);
  Result<void> renew_leases(std::string_view owner, WallTime lease_until);

  // The three ends of an attempt. Each gives the lease up; each does nothing when `owner` no longer holds it.
  Result<void> finish(CaptureId id, std::string_view owner, State state, std::string_view reason,
                      std::string_view camera_name, const std::optional<Published>& published, WallTime now);
  Result<void> postpone(CaptureId id, std::string_view owner, std::string_view reason, WallTime next_attempt_at,
                        bool count_attempt);

  Result<void> each(const Filter& filter, const std::function<void(const Capture&)>& visit);  // newest first
  Result<Counts> counts();

  // The key (hex SHA-256) a LAN device was first seen with.
  Result<std::optional<std::string>> pin(const DeviceId& device);
  Result<void> set_pin(const DeviceId& device, std::string_view key_sha256, WallTime now);

 private:
  struct Impl;
  explicit Journal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::journal
