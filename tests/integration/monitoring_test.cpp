// The figures of a running program against Prometheus' own checker, and the rules and the dashboard of deploy/
// against the figures.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <httplib.h>
#include <sys/wait.h>

#include "responder_process.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;

namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Ran {
  int status = -1;
  std::string said;  // on both outputs
};

Ran run(const std::string& command) {
  const TempFolder folder;
  const auto said = folder / "said";
  const int status = std::system(fmt::format("{} >{} 2>&1", command, said.string()).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(said)};
}

int admin_port(const Responder& responder) {
  const std::string marker = "admin endpoint on port ";
  const auto deadline = now_ms() + 5000;
  auto log = responder.log();
  while (log.find(marker) == std::string::npos && now_ms() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    log = responder.log();
  }
  const auto at = log.find(marker);
  REQUIRE(at != std::string::npos);
  return std::atoi(log.c_str() + at + marker.size());
}

std::string metrics_of(const Responder& responder) {
  httplib::Client client("127.0.0.1", admin_port(responder));
  const auto answer = client.Get("/metrics");
  REQUIRE(answer);
  REQUIRE(answer->status == 200);
  return answer->body;
}

std::vector<std::string> expressions(simdjson::dom::element dashboard) {
  std::vector<std::string> found;
  for (const auto panel : dashboard["panels"].get_array()) {
    for (const auto target : panel["targets"].get_array())
      found.emplace_back(target["expr"].get_string().value_unsafe());
  }
  return found;
}

}  // namespace

TEST_CASE("promtool finds nothing wrong with /metrics, and rules and dashboard ask for figures that are there") {
  FakeRhombus rhombus;
  const auto camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  rhombus.start();
  Responder responder(rhombus);
  responder.start({{"RHOMBUS_RESPONDER_ADMIN_LISTEN", "127.0.0.1:0"}});
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 2));
  const auto metrics = metrics_of(responder);

  const TempFolder folder;
  std::ofstream(folder / "metrics") << metrics;
  const auto checked = run(fmt::format("promtool check metrics <{}", (folder / "metrics").string()));
  CHECK(checked.said.empty());
  CHECK(checked.status == 0);

  const std::filesystem::path deploy = RESPONDER_DEPLOY;
  simdjson::dom::parser parser;
  const auto text = simdjson::padded_string(slurp(deploy / "grafana/rhombus-responder.json"));
  simdjson::dom::element dashboard;
  REQUIRE(parser.parse(text).get(dashboard) == simdjson::SUCCESS);
  const auto asked = expressions(dashboard);
  CHECK(asked.size() > 10);

  // Each is PromQL, once Grafana has put in what it knows.
  std::ofstream rules(folder / "dashboard.yml");
  rules << "groups:\n  - name: dashboard\n    rules:\n";
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto one = std::regex_replace(asked[i], std::regex(R"(\$__rate_interval)"), "1m");
    rules << fmt::format("      - {{record: 'one:{}', expr: '{}'}}\n", i, one);
  }
  rules.close();
  const auto parsed = run(fmt::format("promtool check rules {}", (folder / "dashboard.yml").string()));
  INFO(parsed.said);
  CHECK(parsed.status == 0);

  auto everything = slurp(deploy / "prometheus/alerts.yml");
  for (const auto& one : asked) everything += "\n" + one;
  std::set<std::string> names;
  const std::regex name("rhombus_responder_[a-z_]+");
  for (auto found = std::sregex_iterator(everything.begin(), everything.end(), name); found != std::sregex_iterator();
       ++found)
    names.insert(found->str());
  CHECK(names.size() >= 9);
  for (const auto& one : names) {
    INFO(one << " is not in\n" << metrics);
    CHECK(std::regex_search(metrics, std::regex("(^|\n)" + one + R"([{ ])")));
  }
}
