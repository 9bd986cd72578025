#include "capture_engine.hpp"

#include <random>
#include <set>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/time_text.hpp"

#include "archive_marker.hpp"

namespace responder::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds archive_deadline{10'000};  // for the clip in hand

// What is left free of the spool's disk: as much as of the archive's where that is the same.
std::uint64_t spool_reserve(const Config& config) {
  constexpr std::uint64_t of_its_own_disk = 256U << 20U;
  const auto min_free = static_cast<std::uint64_t>(config.archive.min_free_bytes);
  const auto spool = mount_point(config.spool_directory());
  const auto archive = mount_point(config.archive.directory);
  return spool && archive && *spool != *archive ? std::min(min_free, of_its_own_disk) : min_free;
}

// Unique to this process, for as long as its leases may live.
std::string lease_owner() { return fmt::format("{}-{:08x}", ::getpid(), std::random_device{}()); }

// Pins of LAN devices: looked up and set through the journal, by the thread that connects.
capture::CheckPin pin_checker(journal::Writer& writer, Clock& clock) {
  return [&writer, &clock](const DeviceId& device, const std::string& key) -> Result<void> {
    std::optional<std::string> pinned;
    const auto checked = writer.run([&](journal::Journal& journal) -> Result<void> {
      auto known = journal.pin(device);
      if (!known) return known.error();
      pinned = std::move(*known);
      return pinned ? Result<void>{} : journal.set_pin(device, key, clock.wall_now());
    });
    if (!checked) return with_context(checked.error(), "its key cannot be compared");
    if (pinned && *pinned != key) {
      Error refused{
          ErrorKind::auth,
          fmt::format("device {0} shows another TLS key than before and is refused; if that is right, accept "
                      "it with: rhombus-responder pins forget {0}",
                      device.str())};
      spdlog::error("{}", refused.message);
      return refused;
    }
    if (!pinned) spdlog::info("device {}: its TLS key is remembered from now on", device.str());
    return {};
  };
}

std::string random_id() { return fmt::format("{:08x}{:08x}", std::random_device{}(), std::random_device{}()); }

// The id by which the spool knows whose clips it holds: their names are numbers of one journal.
Result<std::string> journal_id(journal::Journal& journal) { return journal.settle_fact("journal_id", random_id()); }

// The spool as an earlier process left it: clips that nobody waits for go. Nothing is removed on a guess.
Result<void> prepare_spool(const archive::Spool& spool, journal::Journal& journal, WallTime now) {
  if (auto made = spool.create(); !made) return made;
  const auto id = journal_id(journal);
  if (!id) return id.error();
  const auto set_aside = spool.belong_to(*id, format_rfc3339(now));
  if (!set_aside) return set_aside.error();
  if (!set_aside->empty())
    spdlog::error("the spool holds finished clips of a journal that is lost: they are now in {}",
                  set_aside->string());
  const auto ready = journal.ready_ids();
  if (!ready) return ready.error();
  const std::set<std::int64_t> wanted(ready->begin(), ready->end());
  spool.sweep_ready([&](std::int64_t capture) { return wanted.contains(capture); });
  return {};
}

}  // namespace

rhombus::ApiOptions api_options(const Config& config) {
  rhombus::ApiOptions options;
  options.url = *net::Url::parse(config.rhombus.api_url);  // load_config has parsed them
  options.media_url = *net::Url::parse(config.rhombus.media_url);
  options.api_key = config.rhombus.api_key;
  options.client_cert = config.rhombus.client_cert;
  options.client_key = config.rhombus.client_key;
  options.partner_org = config.rhombus.partner_org;
  options.ca_file = config.rhombus.ca_file;
  options.requests_per_second = config.rhombus.requests_per_second;
  return options;
}

Result<std::unique_ptr<CaptureEngine>> CaptureEngine::start(const Config& config, WorkLocks locks,
                                                            journal::Writer& writer, rhombus::ApiClient& api,
                                                            Clock& clock, Observers observers) {
  // A connection of its own: looking at an archive that does not answer must not keep the writer from its work.
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_write);
  if (!journal) return with_context(journal.error(), "journal.path");
  auto for_keeper = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!for_keeper) return with_context(for_keeper.error(), "journal.path");
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  const auto marker = archive_id(archive, *journal);
  if (!marker) return with_context(marker.error(), "archive.directory");
  const archive::Spool spool(config.spool_directory(), 0, 0);
  if (auto prepared = prepare_spool(spool, *journal, clock.wall_now()); !prepared)
    return with_context(prepared.error(), "capture.spool_directory");
  // We hold the locks, so whatever their holder before had in hand is nobody's now.
  if (auto released = journal->release_leases(clock.wall_now()); !released)
    return with_context(released.error(), "journal.path");
  return std::unique_ptr<CaptureEngine>(new CaptureEngine(
      config, std::move(locks), *marker, writer, std::move(*journal), std::move(*for_keeper), api, clock, observers));
}

CaptureEngine::CaptureEngine(const Config& config, WorkLocks locks, const std::string& archive_marker,
                             journal::Writer& writer, journal::Journal reading, journal::Journal for_keeper,
                             rhombus::ApiClient& api, Clock& clock, const Observers& observers)
    : locks_(std::move(locks)),
      owner_(lease_owner()),
      tokens_(api, clock),
      locator_(api, clock),
      directory_(api, clock),
      footage_({config.capture.connection, config.capture.lan_tls,
                static_cast<std::size_t>(config.capture.segment_connections),
                milliseconds(config.capture.recording_lag_milliseconds)},
               api, tokens_, locator_, pin_checker(writer, clock), observers.bytes, clock),
      archive_(config.archive.directory, config.archive.layout, config.archive.timezone,
               static_cast<std::uint64_t>(config.archive.min_free_bytes)),
      spool_(config.spool_directory(), static_cast<std::uint64_t>(config.capture.spool_max_bytes),
             spool_reserve(config)),
      stretches_(footage_, spool_),
      environment_{api,    directory_, footage_, stretches_,
                   spool_, writer,     clock,    seconds(config.capture.retry_for_seconds)},
      keeper_(config, std::move(for_keeper), writer, api, clock, observers.removed),
      publisher_(owner_, archive_marker, config.archive.thumbnails, archive_, spool_, writer, clock, observers.ended,
                 take_out(config)),
      pool_(
          {.workers = static_cast<std::size_t>(config.capture.workers), .owner = owner_}, environment_, writer,
          std::move(reading), [this] { publisher_.notify(); }, observers.ended) {}

capture::TakeOut CaptureEngine::take_out(const Config& config) {
  if (!has_retention(config)) return {};
  return [this](std::uint64_t lacking) { return keeper_.take_out(lacking); };
}

bool CaptureEngine::stop() {
  pool_.stop();
  const bool let_go = publisher_.stop(archive_deadline);
  if (!let_go) spdlog::error("the archive does not let go of a clip; it is published at the next start");
  return let_go;
}

}  // namespace responder::app
