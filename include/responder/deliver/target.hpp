// Who is told of finished captures: a program, a URL, or the offsite copy.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/archive/archive.hpp"
#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/deliver/signature.hpp"
#include "responder/journal/journal.hpp"
#include "responder/net/url.hpp"

namespace responder::deliver {

// One delivery on its way.
struct Parcel {
  const journal::Delivery& delivery;
  std::string id;        // the same for each attempt, and no other delivery's: receivers know by it what they have
  bool is_test = false;  // of a sample that a person sends: the event is "test"
  // Where set, told what the receiver answered, a printable line at a time, bounded.
  std::function<void(std::string_view line)> answer = {};
};

// Each is used by one thread at a time.
class Target {
 public:
  virtual ~Target() = default;
  virtual const std::string& name() const = 0;

  // One attempt. The kind of an Error says what follows: `permanent` ends the delivery, `no_space` waits for what is
  // away, `cancelled` is `stop`, everything else is tried again for days.
  virtual Result<void> deliver(const Parcel& parcel, std::stop_token stop) = 0;
};

// What hooks are told: {"event", "id", "time", "capture"}. The event is what the capture came to, or "test". The
// capture is as `events --json` has it, as it is known now, with `clip_path` and `sidecar_path`, which are absolute;
// null while there is no clip.
std::string message(const Parcel& parcel, const std::filesystem::path& archive);

struct ProgramHook {
  std::string name;
  std::vector<std::string> command;
  std::chrono::seconds timeout{30};
  std::filesystem::path archive;  // absolute
};
// Runs the program with the message on stdin. Any exit status but 0 is a failure.
std::unique_ptr<Target> make_target(ProgramHook hook, Clock& clock);

struct UrlHook {
  std::string name;
  net::Url url;
  SigningKey key;
  std::string ca_file;               // beside the system's; may be empty
  std::chrono::seconds timeout{30};  // for all of it, once connected
  std::filesystem::path archive;     // absolute
};
// Posts the message with the headers of Standard Webhooks. Any status of 2xx will do; 410 ends the delivery.
std::unique_ptr<Target> make_target(UrlHook hook, Clock& clock);

struct Offsite {
  std::string remote;  // rclone's name for it, with a path
  std::string rclone = "rclone";
  std::string rclone_config;  // empty: rclone's own default
  std::chrono::seconds timeout{3600};
  std::string marker;  // the id that the archive's marker file must have
};
// Copies the clip and what stands beside it to the same path under the remote. Nothing is ever removed there.
std::unique_ptr<Target> make_target(Offsite offsite, const archive::Archive& archive, Clock& clock);

// Whether the remote can be asked for what it has. Changes nothing there.
Result<void> try_remote(const Offsite& offsite, Clock& clock);

}  // namespace responder::deliver
