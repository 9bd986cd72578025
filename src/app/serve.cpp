#include <cstdlib>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef RESPONDER_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "responder/archive/archive.hpp"
#include "responder/archive/spool.hpp"
#include "responder/base/file.hpp"
#include "responder/base/log.hpp"
#include "responder/capture/publisher.hpp"
#include "responder/capture/worker_pool.hpp"
#include "responder/ingest/webhook_endpoint.hpp"
#include "responder/ops/admin_endpoint.hpp"

#include "archive_marker.hpp"
#include "commands.hpp"
#include "serve_lock.hpp"
#include "signals.hpp"

namespace responder::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t max_queued_changes = 100'000;
constexpr milliseconds drain_deadline{5000};
constexpr milliseconds archive_deadline{10'000};  // for the clip in hand

void tell_service_manager([[maybe_unused]] const char* state) {
#ifdef RESPONDER_HAVE_SYSTEMD
  sd_notify(0, state);
#endif
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
  return options;
}

ingest::IntakePolicy intake_policy(const Config& config) {
  const auto as_set = [](const std::vector<std::string>& values) {
    return std::set<std::string>(values.begin(), values.end());
  };
  return {seconds(config.capture.buffer_seconds), seconds(config.capture.default_duration_seconds),
          as_set(config.filter.cameras), as_set(config.filter.locations), as_set(config.filter.activities)};
}

// What is left free of the spool's disk: as much as of the archive's where that is the same.
std::uint64_t spool_reserve(const Config& config) {
  constexpr std::uint64_t of_its_own_disk = 256U << 20U;
  const auto min_free = static_cast<std::uint64_t>(config.archive.min_free_bytes);
  struct stat spool {};
  struct stat archive {};
  const bool known = ::stat(config.spool_directory().c_str(), &spool) == 0 &&
                     ::stat(config.archive.directory.c_str(), &archive) == 0;
  return known && spool.st_dev != archive.st_dev ? std::min(min_free, of_its_own_disk) : min_free;
}

// Unique to this process, for as long as its leases may live.
constexpr std::string_view lease_owner_prefix = "serve-";
std::string lease_owner() {
  return fmt::format("{}{}-{:08x}", lease_owner_prefix, ::getpid(), std::random_device{}());
}

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

// The parts of a running daemon, in the order in which they depend on one another: each is stopped before what it
// uses.
class Daemon {
 public:
  Daemon(const Config& config, const std::string& archive_marker, journal::Journal writing, journal::Journal reading)
      : config_(config),
        owner_(lease_owner()),
        metrics_(RESPONDER_VERSION),
        writer_(std::move(writing), max_queued_changes),
        api_(api_options(config), clock_,
             [this](std::string_view call, int code) { metrics_.count_api_request(call, code); }),
        tokens_(api_, clock_),
        locator_(api_, clock_),
        directory_(api_, clock_),
        footage_(
            {config.capture.connection, config.capture.lan_tls,
             static_cast<std::size_t>(config.capture.segment_connections),
             milliseconds(config.capture.recording_lag_milliseconds)},
            api_, tokens_, locator_, pin_checker(writer_, clock_),
            [this](rhombus::Route route, std::size_t bytes) {
              metrics_.count_bytes(rhombus::to_string(route), bytes);
            },
            clock_),
        archive_(config.archive.directory, config.archive.layout, config.archive.timezone,
                 static_cast<std::uint64_t>(config.archive.min_free_bytes)),
        spool_(config.spool_directory(), static_cast<std::uint64_t>(config.capture.spool_max_bytes),
               spool_reserve(config)),
        stretches_(footage_, spool_),
        environment_{api_,   directory_, footage_, stretches_,
                     spool_, writer_,    clock_,   seconds(config.capture.retry_for_seconds)},
        publisher_(owner_, archive_marker, config.archive.thumbnails, archive_, spool_, writer_, clock_,
                   count_capture()),
        pool_(
            {.workers = static_cast<std::size_t>(config.capture.workers), .owner = owner_}, environment_, writer_,
            std::move(reading), [this] { publisher_.notify(); }, count_capture()),
        intake_(intake_policy(config), writer_, [this](journal::CaptureId id, bool live) { pool_.wake(id, live); }),
        webhook_({config.webhook.path, config.webhook.allow_unsigned,
                  *net::TrustedProxies::parse(config.webhook.trusted_proxies)},
                 config.webhook.secrets, intake_, clock_,
                 [this](std::string_view result) { metrics_.count_webhook(result); }),
        admin_(metrics_, [this] { refresh_gauges(); }) {}

  Result<void> start();
  void reload(const std::string& config_file);
  // False when the archive hangs: a thread is left behind, and the process has to end without this object's end.
  bool stop();

 private:
  capture::Publisher::Observer count_capture() {
    return [this](journal::State state, milliseconds took) { metrics_.count_capture(to_string(state), took); };
  }
  void add_probes();
  void refresh_gauges() {
    metrics_.set_queue_depth(pool_.queue_depth());
    metrics_.set_archive_free_bytes(publisher_.health().free_bytes);
  }

  const Config& config_;
  const std::string owner_;  // of leases
  SystemClock clock_;
  ops::Metrics metrics_;
  journal::Writer writer_;
  rhombus::ApiClient api_;
  rhombus::TokenCache tokens_;
  rhombus::MediaLocator locator_;
  rhombus::DeviceDirectory directory_;
  capture::FootageAccess footage_;
  archive::Archive archive_;
  archive::Spool spool_;
  capture::StretchStore stretches_;
  capture::Environment environment_;
  capture::Publisher publisher_;
  capture::WorkerPool pool_;
  ingest::Intake intake_;
  ingest::WebhookEndpoint webhook_;
  ops::AdminEndpoint admin_;
  std::unique_ptr<net::HttpFront> admin_front_;
  std::unique_ptr<net::HttpFront> webhook_front_;
  std::jthread warm_up_;
};

void Daemon::add_probes() {
  admin_.add_probe("archive", [this] {
    const auto health = publisher_.health();
    return ops::Readiness{true,
                          health.problem.empty() ? "ok" : "degraded, clips wait in the spool: " + health.problem};
  });
  admin_.add_probe("spool", [this] {
    const auto room = spool_.check_room();
    return ops::Readiness{true, room ? "ok" : "degraded, new captures wait: " + room.error().message};
  });
}

Result<void> Daemon::start() {
  add_probes();
  if (!config_.admin.listen.empty()) {
    net::FrontOptions options;
    options.listen = *net::ListenAddress::parse(config_.admin.listen);
    options.max_connections = 64;
    auto front = net::HttpFront::open(
        options,
        [this](net::ServerRequest request, net::ReplySlot reply) { admin_.handle(request, std::move(reply)); },
        clock_);
    if (!front) return with_context(front.error(), "admin.listen");
    admin_front_ = std::move(*front);
  }

  net::FrontOptions options;
  options.listen = *net::ListenAddress::parse(config_.webhook.listen);
  options.tls_cert = config_.webhook.tls_cert;
  options.tls_key = config_.webhook.tls_key;
  options.limits.max_body_bytes = static_cast<std::size_t>(config_.webhook.max_body_bytes);
  auto front = net::HttpFront::open(
      options,
      [this](net::ServerRequest request, net::ReplySlot reply) {
        webhook_.handle(std::move(request), std::move(reply));
      },
      clock_);
  if (!front) return with_context(front.error(), "webhook.listen");
  webhook_front_ = std::move(*front);
  const auto& address = options.listen;
  spdlog::info("listening for webhooks on {}{}{}", options.tls_cert.empty() ? "http://" : "https://",
               address.unix_path.empty() ? fmt::format("{}:{}", address.host, webhook_front_->port()) : address.str(),
               config_.webhook.path);
  if (admin_front_) spdlog::info("admin endpoint on port {}", admin_front_->port());

  // Warm, so that the first alert does not wait for it. What fails now is asked again then.
  warm_up_ = std::jthread([this](std::stop_token stop) {
    const auto warmed = directory_.refresh(stop);
    if (!warmed && warmed.error().kind != ErrorKind::cancelled)
      spdlog::warn("device list: {}", warmed.error().message);
  });
  return {};
}

void Daemon::reload(const std::string& config_file) {
  auto fresh = load_config(config_file, process_environment);
  if (!fresh) {
    spdlog::error("reload: {}; the running configuration stays", fresh.error().message);
    return;
  }
  if (fresh->webhook.secrets.empty() && !config_.webhook.allow_unsigned) {
    spdlog::error("reload: no webhook secret any more; the running ones stay");
    return;
  }
  const auto count = fresh->webhook.secrets.size();
  webhook_.set_secrets(std::move(fresh->webhook.secrets));
  if (auto reloaded = webhook_front_->reload_certificate(); !reloaded) {
    spdlog::error("reload: {}; the running certificate stays", reloaded.error().message);
  }
  spdlog::info("reload: {} webhook secrets", count);
}

// In the order of the flow: no new requests, then no work, then nothing more to write down.
bool Daemon::stop() {
  webhook_front_->stop(drain_deadline);
  warm_up_.request_stop();
  pool_.stop();
  const bool let_go = publisher_.stop(archive_deadline);
  if (!let_go) spdlog::error("the archive does not let go of a clip; it is published at the next start");
  writer_.stop();
  if (admin_front_) admin_front_->stop(milliseconds(0));
  return let_go;
}

void say_what_is_not_built_yet(const Config& config) {
  for (const auto& key : config.set_keys) {
    const bool unused = key.starts_with("catch_up.") || key == "archive.retention_days" || key == "archive.max_bytes";
    if (unused) spdlog::warn("{} is set, but this version does not act on it yet", key);
  }
}

Result<void> prepare_spool(const Config& config, journal::Journal& journal) {
  const archive::Spool spool(config.spool_directory(), 0, 0);
  if (auto made = spool.create(); !made) return made;
  const auto ready = journal.ready_ids();
  if (!ready) return ready.error();  // nothing is removed on a guess
  const std::set<std::int64_t> wanted(ready->begin(), ready->end());
  spool.sweep_ready([&](std::int64_t id) { return wanted.contains(id); });
  return {};
}

}  // namespace

int serve(const Config& config, const std::string& config_file, const Signals& signals) {
  if (auto usable = check_for_serving(config); !usable) return complain(usable.error().message);
  // Footage is for the people it belongs to.
  ::umask(027);
  // Many short-lived threads must not each grow a heap of their own.
  ::mallopt(M_ARENA_MAX, 2);
  // Fixed, or glibc raises it after the first large index and keeps such blocks for ever.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  for (const auto& remark : config.remarks) spdlog::info("{}", remark);
  say_what_is_not_built_yet(config);

  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  auto lock = ServeLock::take(config.journal.path);
  if (!lock) return complain("journal.path: " + lock.error().message);
  auto writing = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_write);
  if (!writing) return complain("journal.path: " + writing.error().message);
  auto reading = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!reading) return complain("journal.path: " + reading.error().message);
  const auto marker = archive_id(archive, *writing);
  if (!marker) return complain("archive.directory: " + marker.error().message);
  if (auto prepared = prepare_spool(config, *reading); !prepared)
    return complain("capture.spool_directory: " + prepared.error().message);
  // We hold the lock, so whatever an earlier serve had in hand is nobody's now.
  if (auto released = writing->release_leases(lease_owner_prefix, SystemClock().wall_now()); !released) {
    return complain("journal.path: " + released.error().message);
  }

  Daemon daemon(config, *marker, std::move(*writing), std::move(*reading));
  if (auto started = daemon.start(); !started) return complain(started.error().message);
  tell_service_manager("READY=1");
  while (true) {
    const int signal = signals.wait();
    if (signal != SIGHUP) break;
    daemon.reload(config_file);
  }
  spdlog::info("stopping");
  tell_service_manager("STOPPING=1");
  if (daemon.stop()) return exit_done;
  shutdown_logging();
  ::_exit(exit_done);  // without waiting for the thread that the archive holds
}

int complain(const std::string& message) {
  fmt::print(stderr, "rhombus-responder: {}\n", message);
  return exit_usage;
}

}  // namespace responder::app
