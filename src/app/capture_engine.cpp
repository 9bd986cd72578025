#include "capture_engine.hpp"

#include <algorithm>
#include <future>
#include <random>
#include <set>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/time_text.hpp"
#include "responder/media/footage_libraries.hpp"

#include "archive_marker.hpp"
#include "deliveries.hpp"
#include "refused_devices.hpp"
#include "rules.hpp"

namespace responder::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds delivery_deadline{5000};  // for a program that is to end

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
      if (!pinned) return journal.set_pin(device, key, clock.wall_now());
      return *pinned == key ? remove_refused_device(journal, device)
                            : add_refused_device(journal, device, clock.wall_now());
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

// The spool as an earlier process left it: clips that nobody waits for go, and so do marks of pictures whose captures
// are at their end. Nothing is removed on a guess.
Result<void> prepare_spool(const archive::Spool& spool, journal::Journal& journal, const std::string& id,
                           WallTime now) {
  if (auto made = spool.create(); !made) return made;
  const auto set_aside = spool.belong_to(id, format_rfc3339(now));
  if (!set_aside) return set_aside.error();
  if (!set_aside->empty())
    spdlog::error("the spool holds finished clips of a journal that is lost: they are now in {}",
                  set_aside->string());
  const auto ready = journal.ready_ids();
  if (!ready) return ready.error();
  const std::set<std::int64_t> wanted(ready->begin(), ready->end());
  spool.sweep_ready([&](std::int64_t capture) { return wanted.contains(capture); });
  const auto open = journal.open_ids();
  if (!open) return open.error();
  const std::set<std::int64_t> still_open(open->begin(), open->end());
  spool.sweep_picture_marks([&](std::int64_t capture) { return still_open.contains(capture); });
  return {};
}

// By which ways a capture's footage may come.
std::function<capture::ConnectionMode(const journal::Capture&)> connections_by_rule(const Config& config) {
  return [&config](const journal::Capture& capture) {
    return rule_setting(config, {capture.camera, capture.location, capture.activities}, &Config::Rule::connection,
                        config.capture.connection);
  };
}

capture::Publisher::LayoutOf layouts_by_rule(const Config& config) {
  return [&config](const journal::Capture& capture) {
    return rule_setting(config, {capture.camera, capture.location, capture.activities}, &Config::Rule::layout);
  };
}

// Tells of a clip when its picture is there as well.
class AfterPicture final : public deliver::Target {
 public:
  AfterPicture(std::unique_ptr<deliver::Target> target, capture::PicturesInHand& pictures)
      : target_(std::move(target)), pictures_(pictures) {}

  const std::string& name() const override { return target_->name(); }
  Result<void> deliver(const deliver::Parcel& parcel, std::stop_token stop) override {
    constexpr seconds longest{30};
    pictures_.wait_for(parcel.delivery.capture.id, longest, stop);
    return target_->deliver(parcel, std::move(stop));
  }

 private:
  const std::unique_ptr<deliver::Target> target_;
  capture::PicturesInHand& pictures_;
};

std::vector<std::unique_ptr<deliver::Target>> after_pictures(std::vector<std::unique_ptr<deliver::Target>> targets,
                                                             capture::PicturesInHand& pictures) {
  for (auto& target : targets) target = std::make_unique<AfterPicture>(std::move(target), pictures);
  return targets;
}

}  // namespace

std::uint64_t spool_reserve(const Config& config) {
  constexpr std::uint64_t of_its_own_disk = 256U << 20U;
  const auto min_free = static_cast<std::uint64_t>(config.archive.min_free_bytes);
  const auto spool = mount_point(config.spool_directory());
  const auto archive = mount_point(config.archive.directory);
  return spool && archive && *spool != *archive ? std::min(min_free, of_its_own_disk) : min_free;
}

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
  options.webhook_secrets = config.webhook.secrets;
  return options;
}

rhombus::ApiOptions command_api_options(const Config& config) {
  auto options = api_options(config);
  options.longest_wait = std::chrono::seconds(30);
  return options;
}

Result<std::unique_ptr<CaptureEngine>> CaptureEngine::start(const Config& config, WorkLocks locks,
                                                            journal::Writer& writer, rhombus::ApiClient& api,
                                                            Clock& clock, Observers observers) {
  if (auto loaded = media::load_footage_libraries(); !loaded) return loaded.error();
  // A connection of its own: looking at an archive that does not answer must not keep the writer from its work.
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_write);
  if (!journal) return with_context(journal.error(), "journal.path");
  auto for_keeper = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!for_keeper) return with_context(for_keeper.error(), "journal.path");
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  const auto marker = archive_id(archive, *journal);
  if (!marker) return with_context(marker.error(), "archive.directory");
  const auto id = journal_id(*journal);
  if (!id) return with_context(id.error(), "journal.path");
  const archive::Spool spool(config.spool_directory(), {}, clock);
  if (auto prepared = prepare_spool(spool, *journal, *id, clock.wall_now()); !prepared)
    return with_context(prepared.error(), "capture.spool_directory");
  // We hold the locks, so whatever their holder before had in hand is nobody's now.
  if (auto released = journal->release_leases(clock.wall_now()); !released)
    return with_context(released.error(), "journal.path");
  const auto told = journal->transaction([&]() -> Result<void> {
    const auto given_up = journal->set_targets(journal_targets(config));
    if (!given_up) return given_up.error();
    if (*given_up > 0)
      spdlog::warn("{} deliveries wait until their hooks, or offsite.remote, are in the configuration again",
                   *given_up);
    return {};
  });
  if (!told) return with_context(told.error(), "journal.path");
  auto delivering = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!delivering) return with_context(delivering.error(), "journal.path");
  auto confirming = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!confirming) return with_context(confirming.error(), "journal.path");
  return std::unique_ptr<CaptureEngine>(new CaptureEngine(
      config, std::move(locks),
      {*marker, *id, std::move(*journal), std::move(*delivering), std::move(*for_keeper), std::move(*confirming)},
      writer, api, clock, observers));
}

CaptureEngine::CaptureEngine(const Config& config, WorkLocks locks, Found found, journal::Writer& writer,
                             rhombus::ApiClient& api, Clock& clock, const Observers& observers)
    : locks_(std::move(locks)),
      owner_(lease_owner()),
      tokens_(api, clock),
      locator_(api, clock),
      directory_(api, clock),
      footage_({config.capture.lan_tls, static_cast<std::size_t>(config.capture.segment_connections),
                milliseconds(config.capture.recording_lag_milliseconds)},
               api, tokens_, locator_, pin_checker(writer, clock), observers.bytes, clock),
      archive_(config.archive.directory, config.archive.layout, config.archive.timezone,
               static_cast<std::uint64_t>(config.archive.min_free_bytes), "work"),
      spool_(config.spool_directory(),
             {static_cast<std::uint64_t>(config.capture.spool_max_bytes), spool_reserve(config)}, clock),
      stretches_(footage_, spool_),
      confirmer_(config.capture.confirm, api, std::move(found.confirming), writer, clock),
      environment_{api,
                   directory_,
                   footage_,
                   stretches_,
                   spool_,
                   writer,
                   confirmer_,
                   clock,
                   seconds(config.capture.retry_for_seconds),
                   connections_by_rule(config),
                   observers.api_is_away},
      deliverer_(after_pictures(deliver_targets(config, archive_, found.archive_marker, clock), pictures_),
                 found.journal_id, writer, std::move(found.delivering), clock, observers.delivery),
      keeper_(config, std::move(found.for_keeper), writer, api, clock, observers.removed),
      publisher_(owner_, found.archive_marker, config.archive.thumbnails, archive_, spool_, pictures_,
                 layouts_by_rule(config), writer, clock, told_on(observers.ended), take_out(config)),
      pool_(
          {.workers = static_cast<std::size_t>(config.capture.workers), .owner = owner_}, environment_, writer,
          std::move(found.reading), [this] { publisher_.notify(); }, told_on(observers.ended)) {
  confirmer_.start([this](journal::CaptureId id) { pool_.wake(id, false); });
}

CaptureEngine::~CaptureEngine() { confirmer_.stop(); }  // it wakes the pool

// An end that is written down has its deliveries.
capture::Publisher::Observer CaptureEngine::told_on(capture::Publisher::Observer ended) {
  return [this, ended = std::move(ended)](journal::State state, milliseconds took) {
    ended(state, took);
    deliverer_.notify();
  };
}

capture::TakeOut CaptureEngine::take_out(const Config& config) {
  if (!has_retention(config)) return {};
  return [this](std::uint64_t lacking) { return keeper_.take_out(lacking); };
}

bool CaptureEngine::stop(milliseconds within, milliseconds for_deliveries) {
  confirmer_.stop();
  pool_.stop();
  // Side by side, so that two that hang take no longer than one.
  auto publisher_ended = std::async(std::launch::async, [&] { return publisher_.stop(within); });
  if (for_deliveries > milliseconds(0)) {
    publisher_ended.wait();
    deliverer_.wait_until_quiet(for_deliveries);
  }
  const bool deliveries_ended = deliverer_.stop(std::min(delivery_deadline, within / 2));
  bool let_go = publisher_ended.get();
  if (!let_go) spdlog::error("the archive does not let go of a clip; it is published at the next start");
  if (!deliveries_ended) {
    spdlog::error("a hook or the offsite copy does not let go; what it was told is delivered at the next start");
    let_go = false;
  }
  return let_go;
}

}  // namespace responder::app
