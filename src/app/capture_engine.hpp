// All that works on captures, wired together: what takes footage, puts clips together, brings them to the archive and
// tells of them.
// There is one at a time, in `serve` or in a `catch-up` while there is no serve.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "responder/archive/archive.hpp"
#include "responder/archive/spool.hpp"
#include "responder/capture/publisher.hpp"
#include "responder/capture/worker_pool.hpp"
#include "responder/deliver/deliverer.hpp"

#include "config.hpp"
#include "process_lock.hpp"
#include "retention.hpp"

namespace responder::app {

rhombus::ApiOptions api_options(const Config& config);
// For a command that somebody waits for: when Rhombus says "too many requests", it waits 30 s in all and then fails.
rhombus::ApiOptions command_api_options(const Config& config);

// How many bytes stay free on the spool's disk: as many as on the archive's where that is the same.
std::uint64_t spool_reserve(const Config& config);

class CaptureEngine {
 public:
  struct Observers {
    // Told of each capture that came to an end, and how long after its alert was received.
    std::function<void(journal::State, std::chrono::milliseconds)> ended = [](auto, auto) {};
    std::function<void(rhombus::Route, std::size_t)> bytes = [](auto, auto) {};
    deliver::Deliverer::Observer delivery = [](auto, auto) {};
    std::function<void(std::size_t)> removed = [](auto) {};    // told how many clips retention has removed
    std::function<bool()> api_is_away = [] { return false; };  // asked: whether the log has said so of Rhombus's API
  };

  // Takes over what the holder of the locks before has left, and goes to work. `config` outlives it.
  static Result<std::unique_ptr<CaptureEngine>> start(const Config& config, WorkLocks locks, journal::Writer& writer,
                                                      rhombus::ApiClient& api, Clock& clock, Observers observers);

  ~CaptureEngine();

  // A capture may be due, or its alert has grown: from any thread, without waiting. `live`: it came by webhook.
  void wake(journal::CaptureId id, bool live) { pool_.wake(id, live); }

  // Asks Rhombus for its devices, so that the first alert does not wait for it.
  Result<void> warm_up(std::stop_token stop) { return directory_.refresh(stop); }

  bool turns() const { return pool_.turns(); }
  std::size_t queue_depth() const { return pool_.queue_depth(); }
  std::vector<capture::RunningCapture> running() const { return pool_.running(); }
  capture::ArchiveHealth archive_health() const { return publisher_.health(); }
  Result<void> check_spool() { return spool_.check_room(); }

  // How long a run that ends goes on telling of what it has captured. The rest waits for the next one.
  static constexpr std::chrono::seconds time_for_deliveries{10};

  // Ends what runs at its next safe point; deliveries that are due get up to `for_deliveries`. False when the
  // archive, or what delivers, does not let go `within` this time: a thread is left behind, and the process has to
  // end without this object's end.
  bool stop(std::chrono::milliseconds within, std::chrono::milliseconds for_deliveries);

 private:
  // What start() has found in the journal.
  struct Found {
    std::string archive_marker;
    std::string journal_id;
    journal::Journal reading;     // of the scheduler
    journal::Journal delivering;  // of the deliverer
    journal::Journal for_keeper;
    journal::Journal confirming;  // of the confirmer
  };
  CaptureEngine(const Config& config, WorkLocks locks, Found found, journal::Writer& writer, rhombus::ApiClient& api,
                Clock& clock, const Observers& observers);
  capture::Publisher::Observer told_on(capture::Publisher::Observer ended);
  capture::TakeOut take_out(const Config& config);

  // In the order in which they depend on one another: each is stopped before what it uses.
  const WorkLocks locks_;
  const std::string owner_;  // of leases
  rhombus::TokenCache tokens_;
  rhombus::MediaLocator locator_;
  rhombus::DeviceDirectory directory_;
  capture::FootageAccess footage_;
  archive::Archive archive_;
  archive::Spool spool_;
  capture::StretchStore stretches_;
  capture::Confirmer confirmer_;
  capture::Environment environment_;
  capture::PicturesInHand pictures_;
  deliver::Deliverer deliverer_;
  Keeper keeper_;
  capture::Publisher publisher_;
  capture::WorkerPool pool_;
};

}  // namespace responder::app
