// Retention as the configuration asks for it: archive.retention_days, archive.max_bytes, and those of the rules.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "responder/archive/retention.hpp"
#include "responder/capture/publisher.hpp"
#include "responder/journal/writer.hpp"
#include "responder/rhombus/api_client.hpp"

#include "config.hpp"

namespace responder::app {

// Whether anything is ever removed.
bool has_retention(const Config& config);

// A clip that is to go.
struct Condemned {
  journal::CaptureId id = 0;
  AlertId alert;
  DeviceId camera;
  std::chrono::sys_seconds window_end;
  std::string clip;
  std::uint64_t bytes = 0;
  std::string why;  // the limit, and the key that sets it
};

// One look at all clips. It goes by what it found when it began: who removes what it finds takes a new one for more.
class RetentionPass {
 public:
  // `now`: by which clips are old. `lacking`: bytes that the archive's disk is short of.
  RetentionPass(const Config& config, WallTime now, std::uint64_t lacking);

  // The next clips to go, oldest first, at most so many; fewer when there are no more.
  Result<std::vector<Condemned>> next(journal::Journal& journal, std::size_t most);

  // What is odd about the limits, a line each.
  std::vector<std::string> remarks() const;

 private:
  archive::LimitedClip limited(const journal::StoredClip& clip) const;
  std::string describe(archive::Removal removal, const archive::LimitedClip& clip) const;

  const Config& config_;
  archive::Retention retention_;
  bool weighed_ = false;
  std::map<std::string, std::uint64_t> damaged_;   // bytes of damaged clips, by the clips that they stand beside
  std::optional<journal::ClipPosition> position_;  // of the last one judged
};

// Writes down that clips are removed; their files are left to be. Inside a transaction. Those that were, as some may
// be held or work again by now.
Result<std::vector<Condemned>> condemn(journal::Journal& journal, std::span<const Condemned> clips, WallTime now);

// Keeps the archive of a running program within its limits. Of the publisher's thread.
class Keeper {
 public:
  // `reading`: a connection of its own, as looking at all clips takes its time. `removed` is told how many went.
  Keeper(const Config& config, journal::Journal reading, journal::Writer& writer, const rhombus::ApiClient& api,
         Clock& clock, std::function<void(std::size_t)> removed);

  Result<capture::TakenOut> take_out(std::uint64_t lacking);

 private:
  const Config& config_;
  const bool by_age_;
  journal::Journal reading_;
  journal::Writer& writer_;
  const rhombus::ApiClient& api_;
  Clock& clock_;
  const std::function<void(std::size_t)> removed_;
  std::vector<std::string> remarks_;  // those that were told of
};

}  // namespace responder::app
