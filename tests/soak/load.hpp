// The work: alerts as a site raises them, the commands that an administrator runs, and the monitoring that asks.
#pragma once

#include <deque>
#include <functional>
#include <random>
#include <stop_token>
#include <string>

#include "faults.hpp"
#include "ledger.hpp"
#include "site.hpp"

namespace soak {

// Raises alerts at the settings' rate, each with its webhook, or without one.
class Alerts {
 public:
  Alerts(Site& site, Ledger& ledger, FaultRecord& record, unsigned seed)
      : site_(site), ledger_(ledger), record_(record), random_(seed) {}
  void run(const std::stop_token& stop);

 private:
  void raise_one();
  // Lists the alert, and sends its webhook when `by_webhook`.
  void raise(const std::string& kind, const Camera& camera, std::int64_t at_s, bool by_webhook);
  void raise_rule(std::int64_t at_s);
  void raise_sensor(std::int64_t at_s);
  void raise_growing(const Camera& camera, std::int64_t at_s);
  void send(const std::string& alert, const std::string& body, bool sha256 = false);
  const Camera& any_camera();
  int number(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  void do_what_is_due(std::int64_t now);

  struct Later {
    std::int64_t at_ms;
    std::function<void()> action;
  };
  Site& site_;
  Ledger& ledger_;
  FaultRecord& record_;
  std::minstd_rand random_;
  std::deque<Later> later_;
};

// Runs one command after another, until a stop is requested.
class Commands {
 public:
  Commands(Site& site, Ledger& ledger, const Faults& faults, FaultRecord& record, Problems& problems, unsigned seed)
      : site_(site), ledger_(ledger), faults_(faults), record_(record), problems_(problems), random_(seed) {}
  void run(const std::stop_token& stop);
  std::map<std::string, int> counts() const { return counts_; }  // when `run` has returned

 private:
  void run_one();
  void run_by_name(const std::string& name);
  void back_up();
  void damage_and_repair();
  void hold_or_release();
  void export_one();
  std::optional<Event> any_stored();
  int number(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

  Site& site_;
  Ledger& ledger_;
  const Faults& faults_;
  FaultRecord& record_;
  Problems& problems_;
  std::minstd_rand random_;
  std::deque<std::string> held_;
  std::map<std::string, int> counts_;
};

// Asks the admin endpoint as a monitoring system does.
void ask_admin_endpoint(Site& site, const FaultRecord& record, Problems& problems);

}  // namespace soak
