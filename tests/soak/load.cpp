#include "load.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>

#include <fmt/format.h>
#include <httplib.h>

namespace soak {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// An even second: windows then begin and end with a group of pictures of the stand-in's, so that a clip equals what
// a session of its own serves, whoever shares the footage.
std::int64_t even_now_s() { return now_ms() / 2000 * 2; }

}  // namespace

void Alerts::run(const std::stop_token& stop) {
  std::exponential_distribution<double> pause(site_.settings().alerts_per_minute / 60);
  double next = static_cast<double>(now_ms());
  while (!stop.stop_requested()) {
    next += pause(random_) * 1000;
    const auto wait = static_cast<std::int64_t>(next) - now_ms();
    if (wait > 0 && !sleep_unless_stopped(stop, std::chrono::milliseconds(wait))) break;
    do_what_is_due(now_ms());
    raise_one();
  }
  do_what_is_due(INT64_MAX);
}

const Camera& Alerts::any_camera() {
  return site_.cameras()[static_cast<std::size_t>(number(0, static_cast<int>(site_.cameras().size()) - 1))];
}

void Alerts::raise_one() {
  const int drawn = number(0, 99);
  const auto& camera = any_camera();
  const auto now = even_now_s();
  if (drawn < 50) {
    raise("webhook", camera, now, true);
  } else if (drawn < 58) {
    raise("late", camera, now - 2 * number(10, 120), true);
  } else if (drawn < 65) {
    raise("lost webhook", camera, now, false);
  } else if (drawn < 75) {
    raise("overlap", camera, now, true);
    raise("overlap", camera, now - 2, true);
  } else if (drawn < 85) {
    raise_growing(camera, now);
  } else if (drawn < 95) {
    raise_rule(now);
  } else {
    raise_sensor(now);
  }
}

void Alerts::raise(const std::string& kind, const Camera& camera, std::int64_t at_s, bool by_webhook) {
  const auto alert = fake_rhombus::random_uuid();
  const int duration = 2 * number(1, 2);
  ledger_.raise({alert, {camera.uuid}, at_s, duration, true, kind});
  site_.rhombus().add_alert(
      {.uuid = alert, .device = camera.uuid, .timestamp_ms = at_s * 1000, .duration_s = duration});
  if (!by_webhook) return record_.note("webhook-lost", alert);
  const auto body = fake_rhombus::organization_body(alert, camera.uuid, at_s * 1000, duration);
  send(alert, body);
  if (number(0, 9) == 0) send(alert, body);
}

void Alerts::raise_rule(std::int64_t at_s) {
  const auto alert = fake_rhombus::random_uuid();
  std::vector<std::string> cameras{any_camera().uuid};
  if (const auto& second = any_camera(); second.uuid != cameras[0]) cameras.push_back(second.uuid);
  ledger_.raise({alert, cameras, at_s, 2, false, "rule"});
  send(alert, fake_rhombus::rule_body(alert, cameras, at_s * 1000), true);
}

void Alerts::raise_sensor(std::int64_t at_s) {
  const auto alert = fake_rhombus::random_uuid();
  ledger_.raise({alert, {site_.cameras()[0].uuid}, at_s, 2, true, "sensor"});
  site_.rhombus().add_alert(
      {.uuid = alert, .device = Site::door, .timestamp_ms = at_s * 1000, .duration_s = 2, .of_sensor = true});
  send(alert, fake_rhombus::sensor_body(alert, Site::door, at_s * 1000, 2));
}

// Told of with two seconds; some seconds later it has lasted for longer, which the list says, and often a webhook.
void Alerts::raise_growing(const Camera& camera, std::int64_t at_s) {
  const auto alert = fake_rhombus::random_uuid();
  fake_rhombus::StoredAlert stored{
      .uuid = alert, .device = camera.uuid, .timestamp_ms = at_s * 1000, .duration_s = 2, .finalized = false};
  ledger_.raise({alert, {camera.uuid}, at_s, 2, true, "growing"});
  record_.note("growing", alert);
  site_.rhombus().add_alert(stored);
  send(alert, fake_rhombus::organization_body(alert, camera.uuid, at_s * 1000, 2));
  const int duration = 2 * number(2, 6);
  const bool by_webhook = number(0, 1) == 0;
  stored.duration_s = duration;
  stored.finalized = true;
  later_.push_back({now_ms() + number(3, 12) * 1000, [this, stored, at_s, duration, by_webhook] {
                      ledger_.grew(stored.uuid, duration);
                      site_.rhombus().set_alert(stored);
                      if (by_webhook)
                        send(stored.uuid,
                             fake_rhombus::organization_body(stored.uuid, stored.device, at_s * 1000, duration));
                    }});
}

void Alerts::send(const std::string& alert, const std::string& body, bool sha256) {
  const auto answer = fake_rhombus::send_webhook(site_.url(), body, Site::secret, sha256);
  if (answer.status == 200) {
    ledger_.answered(alert);
  } else {
    record_.note("webhook-lost", fmt::format("{} answered {}", alert, answer.status));
  }
}

void Alerts::do_what_is_due(std::int64_t now) {
  std::deque<Later> due;
  for (auto one = later_.begin(); one != later_.end();) {
    if (one->at_ms > now) {
      ++one;
      continue;
    }
    due.push_back(std::move(*one));
    one = later_.erase(one);
  }
  for (const auto& one : due) one.action();
}

void Commands::run(const std::stop_token& stop) {
  while (sleep_unless_stopped(stop, std::chrono::milliseconds(number(1000, 9000)))) run_one();
  while (!held_.empty() && held_.size() > 5) {
    ledger_.released(held_.front());
    site_.run({"release", held_.front()});
    held_.pop_front();
  }
}

void Commands::run_one() {
  constexpr std::array names{"backup", "catch-up", "reconcile", "verify",   "damage",   "retry",
                             "hold",   "prune",    "status",    "check",    "export",   "reload",
                             "events", "backup",   "hold",      "catch-up", "retry-all"};
  const std::string name = names[static_cast<std::size_t>(number(0, static_cast<int>(names.size()) - 1))];
  ++counts_[name];
  run_by_name(name);
}

void Commands::run_by_name(const std::string& name) {
  if (name == "backup") return back_up();
  if (name == "damage") return damage_and_repair();
  if (name == "hold") return hold_or_release();
  if (name == "export") return export_one();
  if (name == "reload") return site_.signal_serve(SIGHUP);
  if (name == "catch-up") {
    site_.run({"catch-up", "--after", "-10m"});
  } else if (name == "reconcile") {
    site_.run({"reconcile", "--after", "-10m", "--json"});
  } else if (name == "status") {
    site_.run({"status", "--json"});
  } else if (name == "events") {
    site_.run({"events", "--json", "--limit", "100", "--state", "done"});
  } else if (name == "retry-all") {
    site_.run({"retry", number(0, 1) == 0 ? "--failed" : "--deliveries"});
  } else if (name == "retry") {
    if (const auto event = any_stored()) site_.run({"retry", event->alert});
  } else {
    site_.run({name});
  }
}

void Commands::back_up() {
  const auto& camera =
      site_.cameras()[static_cast<std::size_t>(number(0, static_cast<int>(site_.cameras().size()) - 1))];
  const auto start = even_now_s() - 2 * number(10, 60);
  site_.run({"backup", "--start", std::to_string(start), "--duration", std::to_string(2 * number(2, 8)), "--camera",
             camera.uuid});
}

// Any alert's clip that is there and final.
std::optional<Event> Commands::any_stored() {
  auto events = ledger_.events("-3m");
  std::erase_if(events, [](const Event& one) {
    return one.state != "done" || !one.final || one.removed || one.kind != "alert";
  });
  if (events.empty()) return std::nullopt;
  return events[static_cast<std::size_t>(number(0, static_cast<int>(events.size()) - 1))];
}

void Commands::damage_and_repair() {
  const auto event = any_stored();
  if (!event || faults_.is_archive_away()) return;
  const auto clip = site_.clips() / event->clip;
  std::error_code gone;
  const auto size = fs::file_size(clip, gone);
  if (gone) return;
  ledger_.damaged(event->clip);
  record_.note("clip-damaged", event->clip);
  std::fstream file(clip, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(size / 2));
  file << "damaged on purpose";
  file.close();
  site_.run({"verify", "--repair", "--anew"});
}

void Commands::hold_or_release() {
  if (held_.size() > 20) {
    ledger_.released(held_.front());
    if (site_.run({"release", held_.front()}).status != 0) problems_.add("release " + held_.front() + " failed");
    held_.pop_front();
    return;
  }
  const auto event = any_stored();
  if (!event || site_.run({"hold", event->alert}).status != 0) return;
  held_.push_back(event->alert);
  const auto after = ledger_.events("-10m");
  // Retention may have removed it in between, which a hold does not undo.
  const bool is_there = std::any_of(after.begin(), after.end(), [&](const Event& one) {
    return one.alert == event->alert && one.held && !one.removed;
  });
  if (is_there) ledger_.held(event->alert);
}

void Commands::export_one() {
  const auto event = any_stored();
  if (!event) return;
  const auto folder = site_.settings().directory / "exported";
  fs::create_directories(folder);
  site_.run({"export", event->alert, "--to", folder.string()});
  fs::remove_all(folder);
}

void ask_admin_endpoint(Site& site, const FaultRecord& record, Problems& problems) {
  const auto pid = site.pid();
  httplib::Client client("127.0.0.1", site.admin_port());
  client.set_connection_timeout(10);
  client.set_read_timeout(30);
  for (const std::string path : {"/healthz", "/readyz", "/metrics"}) {
    const auto answer = client.Get(path);
    if (pid <= 0 || site.pid() != pid) return;  // it was restarted meanwhile
    if (!answer) continue;                      // it is starting, or about to end
    const bool good = answer->status == 200 ||
                      (path == "/readyz" && answer->status == 503 && record.explains(answer->body, now_ms()));
    if (!good) problems.add(fmt::format("{} answers {}: {}", path, answer->status, answer->body));
  }
}

}  // namespace soak
