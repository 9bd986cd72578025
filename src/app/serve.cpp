#include <algorithm>
#include <atomic>
#include <thread>
#include <tuple>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "responder/base/log.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/ingest/catch_up.hpp"
#include "responder/ingest/webhook_endpoint.hpp"
#include "responder/ops/admin_endpoint.hpp"

#include "api_reach.hpp"
#include "capture_engine.hpp"
#include "certificate_watch.hpp"
#include "commands.hpp"
#include "own_listener.hpp"
#include "push_path.hpp"
#include "serve_report.hpp"
#include "service_manager.hpp"
#include "set_up.hpp"
#include "signals.hpp"

namespace responder::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// From a signal to the end, over all that may hang. Service managers and people wait about so long.
constexpr milliseconds stop_deadline{7000};
constexpr milliseconds drain_deadline{4000};  // of that, for requests that are being answered

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// Whether a file is another than when last looked at: `webhook register` has stored a secret.
class FileChange {
 public:
  explicit FileChange(std::filesystem::path file) : file_(std::move(file)) { happened(); }

  bool happened() {
    struct stat now {};
    if (::stat(file_.c_str(), &now) != 0) now = {};
    const Version seen{now.st_ino, now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec};
    return std::exchange(version_, seen) != seen;
  }

 private:
  using Version = std::tuple<ino_t, off_t, time_t, long>;
  const std::filesystem::path file_;
  Version version_;
};

// What becomes of bringing the engine up.
struct EngineStart {
  enum class State { pending, waits_for_another, up, failed };
  State state = State::pending;
  Error error = {};
  std::unique_ptr<CaptureEngine> engine;
  bool unattended = false;  // start() has gone on without it: what is wrong is for the log
  bool over = false;        // its thread has nothing more to do
};

// The parts of a running daemon, in the order in which they depend on one another: each is stopped before what it
// uses.
class Daemon {
 public:
  Daemon(const Config& config, journal::Journal writing, journal::Journal counting, journal::Journal for_poller)
      : config_(config),
        metrics_(RESPONDER_VERSION),
        writer_(std::move(writing), max_queued_changes),
        counting_(std::move(counting)),
        for_poller_(std::move(for_poller)),
        api_reach_(config.rhombus.api_url, clock_),
        api_(api_options(config), clock_,
             [this](std::string_view call, int code) {
               metrics_.count_api_request(call, code);
               api_reach_.note(code);
             }),
        intake_(intake_policy(config), writer_, [this](journal::CaptureId id, bool live) { wake(id, live); }),
        catch_up_([this](const rhombus::AlertQuery& query,
                         std::stop_token stop) { return api_.policy_alerts(query, std::move(stop)); },
                  intake_, writer_, clock_, seconds(config.catch_up.lookback_seconds)),
        webhook_({config.webhook.path, config.webhook.allow_unsigned,
                  *net::TrustedProxies::parse(config.webhook.trusted_proxies)},
                 config.webhook.secrets, intake_, clock_, [this](std::string_view result) { count_webhook(result); }),
        admin_({config.admin.token, [this] { refresh_gauges(); }, [this] { return is_alive(); },
                [this](std::function<void(Result<void>)> tell) { try_journal(std::move(tell)); }},
               metrics_, clock_),
        certificate_watch_(clock_, config.webhook.tls_cert,
                           [](const std::string& line) { spdlog::warn("{}", line); }) {}

  Result<void> start();
  void reload(const std::string& config_file);
  // What is done about once a second: tells the service manager and the log how we are.
  void tick();
  // False when the archive hangs: a thread is left behind, and the process has to end without this object's end.
  bool stop();

 private:
  void wake(journal::CaptureId id, bool live) {
    // Before the engine is up, the row is enough.
    if (auto* engine = engine_.load(); engine != nullptr) engine->wake(id, live);
  }
  void count_webhook(std::string_view result);
  void count_refused(int status);
  bool is_alive() const;
  void try_journal(std::function<void(Result<void>)> tell);
  void add_probes();
  void refresh_gauges();
  void bring_up_engine(std::stop_token stop);
  Result<std::unique_ptr<CaptureEngine>> start_engine();  // nothing: another process works on captures
  void report(EngineStart::State state, Error error);
  Result<void> await_engine();
  void tell_of_start() const;
  Result<void> listen();
  std::string shown_address(net::ListenAddress listen) const;
  void note_certificate();
  void reload_certificate();
  Result<void> listen_for_admin();
  void listen_for_commands();
  void remember_running(bool runs);
  void start_polling();

  const Config& config_;
  SystemClock clock_;
  ops::Metrics metrics_;
  journal::Writer writer_;       // before all that only read: the last to close the journal has to empty its log
  journal::Journal counting_;    // of the admin endpoint's thread
  journal::Journal for_poller_;  // until it is started
  ApiReach api_reach_;
  rhombus::ApiClient api_;
  ingest::Intake intake_;
  ingest::CatchUp catch_up_;
  ingest::WebhookEndpoint webhook_;
  ops::AdminEndpoint admin_;
  CertificateWatch certificate_watch_;
  Synchronized<EngineStart> engine_start_;
  // Alone: set once, when the engine is up.
  std::atomic<CaptureEngine*> engine_{nullptr};
  std::atomic<ingest::CatchUpPoller*> poller_to_nudge_{nullptr};
  // Alone: how many alerts could not be recorded since one last could.
  std::atomic<std::uint64_t> unrecorded_{0};
  std::unique_ptr<net::HttpFront> command_front_;
  std::unique_ptr<net::HttpFront> admin_front_;
  std::unique_ptr<net::HttpFront> webhook_front_;
  std::unique_ptr<ingest::CatchUpPoller> poller_;
  std::jthread engine_starter_;
  bool started_ = false;  // start() has succeeded
};

void Daemon::count_webhook(std::string_view result) {
  metrics_.count_webhook(result);
  if (result == "accepted" && unrecorded_.exchange(0) != 0) admin_.doubt_readiness();
  if (result != "not_recorded") return;
  ++unrecorded_;
  admin_.doubt_readiness();
  // It is never sent again.
  if (auto* poller = poller_to_nudge_.load(); poller != nullptr) poller->nudge();
}

// Of a request that was no HTTP, or too much of it.
void Daemon::count_refused(int status) {
  metrics_.count_webhook(status == 408 ? "timed_out" : status == 400 ? "malformed_http" : "too_large");
}

// Whether the loops come round: what hangs for good is for the service manager to end.
bool Daemon::is_alive() const {
  const auto* engine = engine_.load();
  return (!webhook_front_ || webhook_front_->turns()) && (engine == nullptr || engine->turns());
}

// A full disk may have room for a small row and none for an alert: once one was refused, as much is written as an
// alert takes, until that succeeds.
void Daemon::try_journal(std::function<void(Result<void>)> tell) {
  constexpr std::size_t size_of_an_alert = 64 * 1024;
  const auto unrecorded = unrecorded_.load();
  auto probe = format_rfc3339(clock_.wall_now());
  if (unrecorded != 0) probe.resize(size_of_an_alert, ' ');
  writer_.submit([probe](journal::Journal& journal) { return journal.set_fact("last_probe", probe); },
                 [this, unrecorded, tell = std::move(tell)](const Result<void>& tried) {
                   auto refused_before = unrecorded;
                   if (tried) unrecorded_.compare_exchange_strong(refused_before, 0);
                   tell(tried);
                 });
}

void Daemon::add_probes() {
  using State = ops::Readiness::State;
  admin_.add_probe("listener", [this] {
    if (config_.webhook.listen.empty()) return ops::Readiness{};
    if (webhook_front_ && webhook_front_->turns()) return ops::Readiness{};
    return ops::Readiness{State::unready, "it does not listen"};
  });
  admin_.add_probe("captures", [this] {
    const auto* engine = engine_.load();
    if (engine == nullptr)
      return ops::Readiness{State::degraded, "captures wait for the archive or for another process"};
    return engine->turns() ? ops::Readiness{} : ops::Readiness{State::unready, "the scheduler hangs"};
  });
  admin_.add_probe("archive", [this] {
    auto* engine = engine_.load();
    const auto problem = engine != nullptr ? engine->archive_health().problem : "not looked at yet";
    return problem.empty() ? ops::Readiness{}
                           : ops::Readiness{State::degraded, "clips wait in the spool: " + problem};
  });
  admin_.add_probe("spool", [this] {
    auto* engine = engine_.load();
    const auto room = engine != nullptr ? engine->check_spool() : Result<void>{};
    return room ? ops::Readiness{} : ops::Readiness{State::degraded, "new captures wait: " + room.error().message};
  });
  admin_.add_probe("clock", [this] {
    const auto ahead = api_.clock_ahead();
    if (ahead == milliseconds(0)) return ops::Readiness{};
    return ops::Readiness{State::degraded,
                          fmt::format("this machine's clock is {} s {} Rhombus's: let it follow a "
                                      "time server",
                                      std::abs(ahead.count()) / 1000, ahead.count() > 0 ? "ahead of" : "behind")};
  });
}

void Daemon::refresh_gauges() {
  // Whoever found them, the poller or a catch-up beside us.
  if (const auto missed = ingest::webhooks_missed_ever(counting_, clock_.wall_now()))
    metrics_.set_webhooks_missed(*missed);
  if (const auto unconfirmed = counting_.count_unconfirmed()) metrics_.set_clips_unconfirmed(*unconfirmed);
  if (const auto deliveries = counting_.delivery_counts()) {
    for (const auto& one : *deliveries) metrics_.set_deliveries(one.target, one.waiting, one.given_up);
  }
  if (auto* engine = engine_.load(); engine != nullptr) {
    metrics_.set_queue_depth(engine->queue_depth());
    const auto archive = engine->archive_health();
    metrics_.set_archive_up(archive.problem.empty());
    metrics_.set_archive_free_bytes(archive.free_bytes);
  }
}

void Daemon::report(EngineStart::State state, Error error) {
  auto held = engine_start_.lock();
  if (state == EngineStart::State::failed && held->unattended && held->error.message != error.message)
    spdlog::error("captures cannot be worked on yet: {}", error.message);
  held->state = state;
  held->error = std::move(error);
  engine_start_.notify_all();
}

Result<std::unique_ptr<CaptureEngine>> Daemon::start_engine() {
  auto locks = take_work_locks(config_.journal.path, config_.spool_directory());
  if (!locks) return locks.error();
  if (!*locks) return std::unique_ptr<CaptureEngine>();
  CaptureEngine::Observers observers;
  observers.ended = [this](journal::State state, milliseconds took) {
    metrics_.count_capture(to_string(state), took);
  };
  observers.bytes = [this](rhombus::Route route, std::size_t bytes) {
    metrics_.count_bytes(rhombus::to_string(route), bytes);
  };
  observers.delivery = [this](std::string_view target, std::string_view result) {
    metrics_.count_delivery(target, result);
  };
  observers.api_is_away = [this] { return api_reach_.is_away(); };
  observers.removed = [this](std::size_t clips) { metrics_.count_clips_removed(clips); };
  return CaptureEngine::start(config_, std::move(**locks), writer_, api_, clock_, std::move(observers));
}

// As soon as nobody else works on captures: a catch-up gives way to us.
void Daemon::bring_up_engine(std::stop_token stop) {
  bool said = false;
  while (!stop.stop_requested()) {
    auto engine = start_engine();
    if (engine && *engine) {
      auto* up = engine->get();
      engine_start_.lock()->engine = std::move(*engine);
      engine_ = up;
      report(EngineStart::State::up, {});
      const auto warmed = up->warm_up(stop);
      if (!warmed && warmed.error().kind != ErrorKind::cancelled)
        spdlog::warn("device list: {}", warmed.error().message);
      break;
    }
    if (engine) {
      if (!std::exchange(said, true))
        spdlog::info(
            "another process works on captures (journal {}, spool {}): waiting for it to give way (a serve of "
            "another journal "
            "needs a capture.spool_directory of its own)",
            config_.journal.path, config_.spool_directory().string());
      report(EngineStart::State::waits_for_another, {});
    } else {
      report(EngineStart::State::failed, engine.error());
    }
    clock_.sleep(engine ? milliseconds(100) : milliseconds(5000), stop);
  }
  engine_start_.lock()->over = true;
  engine_start_.notify_all();
}

// What is wrong with the set-up is said at once. An archive that does not answer, or another process, keeps nobody
// from listening.
Result<void> Daemon::await_engine() {
  constexpr milliseconds longest{5000};
  auto held = engine_start_.lock();
  held.wait_for({}, longest, [&] { return held->state != EngineStart::State::pending; });
  held->unattended = true;
  if (held->state == EngineStart::State::failed) return held->error;
  if (held->state == EngineStart::State::pending) spdlog::error("{} does not answer yet", config_.archive.directory);
  return {};
}

// Not before it is clear that it runs: a start that fails is one line, its error.
void Daemon::tell_of_start() const {
  spdlog::info("rhombus-responder {}, {}, clips to {}, {}", RESPONDER_VERSION, config_source(config_),
               config_.archive.directory, counted(config_.webhook.secrets.size(), "webhook secret"));
}

Result<void> Daemon::listen() {
  auto inherited = service_manager::inherited_sockets();
  if (config_.webhook.listen.empty()) {
    tell_of_start();
    spdlog::info("no webhooks are taken (webhook.listen is empty): Rhombus is asked for alerts every {} s",
                 config_.catch_up.interval_seconds);
    return {};
  }
  net::FrontOptions options;
  options.listen = *net::ListenAddress::parse(config_.webhook.listen);
  options.tls_cert = config_.webhook.tls_cert;
  options.tls_key = config_.webhook.tls_key;
  options.client_ca = config_.webhook.client_ca;
  options.refused = [this](int status) { count_refused(status); };
  options.limits.max_body_bytes = static_cast<std::size_t>(config_.webhook.max_body_bytes);
  constexpr std::size_t bodies_at_once = 4;
  options.max_buffered_bytes = std::max(options.max_buffered_bytes, bodies_at_once * options.limits.max_body_bytes);
  const bool is_inherited = !inherited.empty();
  auto front = net::HttpFront::open(
      options,
      [this](net::ServerRequest request, net::ReplySlot reply) {
        webhook_.handle(std::move(request), std::move(reply));
      },
      clock_, std::move(inherited));
  if (!front) return with_context(front.error(), "webhook.listen");
  webhook_front_ = std::move(*front);
  tell_of_start();
  spdlog::info("listening for webhooks on {}{}", shown_address(options.listen),
               is_inherited ? " (the socket is the service manager's)" : "");
  note_certificate();
  return {};
}

// As people would write it, "https://[::1]:8443/webhook/rhombus": a host that stands for all addresses is a star.
std::string Daemon::shown_address(net::ListenAddress listen) const {
  listen.port = webhook_front_->port();
  if (listen.port == 0) return fmt::format("{}, path {}", listen.str(), config_.webhook.path);
  if (listen.host.empty()) listen.host = std::string("*");  // g++ 12 warns falsely of "*" alone
  return fmt::format("{}://{}{}", config_.webhook.tls_cert.empty() ? "http" : "https", listen.str(),
                     config_.webhook.path);
}

// Of the listener's certificate: until when it is valid, for the log and for /metrics.
void Daemon::note_certificate() {
  const auto certificate = webhook_front_->certificate();
  if (!certificate) return;
  metrics_.set_tls_not_after(certificate->until);
  certificate_watch_.use(*certificate);
}

// After the listener, which its probes look at.
Result<void> Daemon::listen_for_admin() {
  if (config_.admin.listen.empty()) return {};
  net::FrontOptions options;
  options.listen = *net::ListenAddress::parse(config_.admin.listen);
  options.max_connections = 64;
  options.plain_anywhere = !config_.admin.token.empty();
  auto front = net::HttpFront::open(
      options, [this](net::ServerRequest request, net::ReplySlot reply) { admin_.handle(request, std::move(reply)); },
      clock_);
  if (!front) return with_context(front.error(), "admin.listen");
  admin_front_ = std::move(*front);
  spdlog::info("admin endpoint on port {}", admin_front_->port());
  return {};
}

// For `check` and `status`. What they would be told is in the log as well, so without it nothing else is lost.
void Daemon::listen_for_commands() {
  net::FrontOptions options;
  options.listen.unix_path = serve_socket(config_.journal.path).string();
  options.max_connections = 16;
  auto front = net::HttpFront::open(
      options, [this](const net::ServerRequest&, net::ReplySlot reply) { admin_.answer_readiness(std::move(reply)); },
      clock_);
  if (!front) {
    spdlog::warn("check and status cannot ask this serve: {}", front.error().message);
    return;
  }
  command_front_ = std::move(*front);
}

// For commands that find no serve, and for passes: of webhooks that do not come it is known only while somebody
// listens. A start that failed has not run; a crash before it may have left that somebody listens.
void Daemon::remember_running(bool runs) {
  const auto now = clock_.wall_now();
  auto remembered = catch_up_.set_listening(runs && webhook_front_ ? std::optional(now) : std::nullopt);
  std::optional<OwnListener> listener;
  if (runs && webhook_front_)
    listener = OwnListener{webhook_front_->addresses().front(), !config_.webhook.tls_cert.empty()};
  if (remembered && (runs || started_))
    remembered = writer_.run([&](journal::Journal& journal) {
      auto recorded = remember_serve(journal, runs, now);
      return recorded ? record_listener(journal, listener) : recorded;
    });
  if (!remembered) spdlog::error("journal.path: {}", remembered.error().message);
}

Result<void> Daemon::start() {
  add_probes();
  listen_for_commands();
  engine_starter_ = std::jthread([this](std::stop_token stop) { bring_up_engine(std::move(stop)); });
  if (auto up = await_engine(); !up) return up;
  if (auto listening = listen(); !listening) return listening;
  if (auto listening = listen_for_admin(); !listening) return listening;
  remember_running(true);
  started_ = true;
  start_polling();
  return {};
}

void Daemon::start_polling() {
  poller_ = std::make_unique<ingest::CatchUpPoller>(
      catch_up_, std::move(for_poller_), clock_, seconds(config_.catch_up.interval_seconds),
      ingest::CatchUpPoller::Events{
          .succeeded = [this](WallTime at) { metrics_.set_catch_up_last_success(at); },
          .silent = [this](const ingest::SilenceReport& report,
                           std::stop_token stop) { tell_of_silence(report, api_, writer_, std::move(stop)); }});
  poller_to_nudge_ = poller_.get();
}

void Daemon::reload(const std::string& config_file) {
  auto fresh = load_config(config_file, process_environment, Secrets::read, {}, process_environment_names());
  if (!fresh) {
    spdlog::error("reload: {}; the running configuration stays", fresh.error().message);
    return;
  }
  if (const auto changed = changed_keys(config_, *fresh); !changed.empty())
    spdlog::warn("reload: changed, but in force only after a restart: {}", join(changed, ", "));
  if (!webhook_front_) return spdlog::info("reload: no webhooks are taken, so there is nothing to read again");
  if (fresh->webhook.secrets.empty() && !config_.webhook.allow_unsigned) {
    spdlog::error("reload: no webhook secret any more; the running ones stay");
    return;
  }
  if (fresh->webhook.unread_store) {
    spdlog::error("reload: {}; the running secrets stay", *fresh->webhook.unread_store);
    return;
  }
  const auto count = fresh->webhook.secrets.size();
  webhook_.set_secrets(std::move(fresh->webhook.secrets));
  spdlog::info("reload: {}", counted(count, "webhook secret"));
  reload_certificate();
}

void Daemon::reload_certificate() {
  const auto before = webhook_front_->certificate();
  if (auto reloaded = webhook_front_->reload_certificate(); !reloaded) {
    spdlog::error("reload: {}; the running certificate stays", reloaded.error().message);
    return;
  }
  const auto after = webhook_front_->certificate();
  if (!after) return;
  spdlog::info(
      "reload: {} (webhook.tls_cert) {}, valid until {}", config_.webhook.tls_cert,
      after == before ? "holds the same certificate as before" : "holds a new certificate, in use from now on",
      format_rfc3339(after->until));
  note_certificate();
}

void Daemon::tick() {
  webhook_.report_refusals();
  certificate_watch_.tick();
  admin_.tick();
  if (is_alive()) service_manager::tell_alive();
}

// In the order of the flow: no new requests, then no work, then nothing more to write down.
bool Daemon::stop() {
  const auto until = clock_.steady_now() + stop_deadline;
  const auto time_left = [&] {
    return std::max(milliseconds(0), std::chrono::floor<milliseconds>(until - clock_.steady_now()));
  };
  engine_starter_.request_stop();
  if (webhook_front_) webhook_front_->stop(drain_deadline);
  poller_to_nudge_ = nullptr;
  if (poller_) poller_->stop();  // and no more: somebody may be about to nudge it
  remember_running(false);
  // It may be looking at an archive that does not answer.
  bool let_go = false;
  {
    auto held = engine_start_.lock();
    let_go = held.wait_for({}, time_left() / 2, [&] { return held->over; });
  }
  if (auto* engine = engine_.load(); engine != nullptr) let_go = engine->stop(time_left(), milliseconds(0)) && let_go;
  writer_.stop();
  if (admin_front_) admin_front_->stop(milliseconds(0));
  if (command_front_) command_front_->stop(milliseconds(0));
  return let_go;
}

}  // namespace

int serve(const Config& config, const std::string& config_file, const Signals& signals) {
  if (auto usable = check_for_serving(config); !usable) return complain(usable.error().message);
  FileChange stored_secrets(config.secret_store());  // before what may take its time
  set_process_up();

  auto lock = ProcessLock::try_take(serve_lock(config.journal.path));
  if (!lock) return complain(with_context(lock.error(), "journal.path").message);
  if (!*lock) {
    return complain(
        fmt::format("journal.path: another serve works on {}: stop it, or give this one a journal.path of "
                    "its own",
                    config.journal.path));
  }
  auto writing = open_sound_journal(config);
  if (!writing) return complain(writing.error().message);

  auto counting = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!counting) return complain(with_context(counting.error(), "journal.path").message);

  auto for_poller = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!for_poller) return complain("journal.path: " + for_poller.error().message);

  Daemon daemon(config, std::move(*writing), std::move(*counting), std::move(*for_poller));
  if (auto started = daemon.start(); !started) {
    complain(started.error().message);
    if (!daemon.stop()) end_at_once(exit_usage);
    return exit_usage;
  }
  service_manager::tell_ready();
  while (true) {
    const auto signal = signals.wait_for(milliseconds(1000));
    if (signal && *signal != SIGHUP) break;
    if (signal || stored_secrets.happened()) {
      service_manager::tell_reloading();
      daemon.reload(config_file);
      service_manager::tell_ready();
    }
    daemon.tick();
  }
  spdlog::info("stopping");
  service_manager::tell_stopping();
  if (!daemon.stop()) end_at_once(exit_done);  // without waiting for the thread that the archive holds
  return exit_done;
}

int complain(const std::string& message, int status) {
  constexpr std::size_t longest = 64 * 1024;
  fmt::print(stderr, "{}rhombus-responder: {}\n", stderr_is_journal() ? "<3>" : "", printable(message, longest));
  return status;
}

}  // namespace responder::app
