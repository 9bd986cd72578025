#include "responder_process.hpp"

#include <cmath>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace responder::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

pid_t spawn(const std::vector<std::string>& arguments, const fs::path& out, const fs::path& err,
            const std::map<std::string, std::string>& environment, const std::vector<int>& listening = {},
            const fs::path& directory = {}) {
  std::vector<std::string> words{RESPONDER_PROGRAM};
  // The process that the socket is meant for is named by its id, which is known in it alone.
  if (!listening.empty())
    words = {"/bin/sh", "-c", fmt::format("LISTEN_FDS={} LISTEN_PID=$$ exec \"$0\" \"$@\"", listening.size()),
             RESPONDER_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables;
  for (char** one = environ; *one != nullptr; ++one) variables.emplace_back(*one);
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  std::vector<char*> envp;
  for (auto& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (!directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  int wanted = 3;
  for (const int socket : listening) posix_spawn_file_actions_adddup2(&actions, socket, wanted++);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, words[0].c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " RESPONDER_PROGRAM);
  return pid;
}

int status_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string text_field(simdjson::dom::element object, const char* name) {
  std::string_view value;
  return object.at_key(name).get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

std::int64_t integer_field(simdjson::dom::element object, const char* name) {
  std::int64_t value = 0;
  return object.at_key(name).get(value) == simdjson::SUCCESS ? value : 0;
}

}  // namespace

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<std::string> complaints(const std::string& err) {
  std::vector<std::string> lines;
  std::istringstream in(err);
  for (std::string line; std::getline(in, line);) {
    const bool is_remark = line.find("/var/lib/rhombus-responder is not there: ") != std::string::npos;
    if (line.starts_with("rhombus-responder: ") && !is_remark) lines.push_back(line);
  }
  return lines;
}

CommandResult run_responder(const std::vector<std::string>& arguments,
                            const std::map<std::string, std::string>& environment, const fs::path& directory) {
  const TempFolder folder;
  CommandResult result;
  result.status = status_of(spawn(arguments, folder / "out", folder / "err", environment, {}, directory));
  result.out = slurp(folder / "out");
  result.err = slurp(folder / "err");
  return result;
}

RunningCommand::RunningCommand(const std::vector<std::string>& arguments,
                               const std::map<std::string, std::string>& environment)
    : pid_(spawn(arguments, folder_ / "out", folder_ / "err", environment)) {}

RunningCommand::~RunningCommand() {
  if (!running()) return;
  send(SIGKILL);
  wait();
}

bool RunningCommand::running() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return !status_;
}

void RunningCommand::send(int signal) const {
  if (!status_) ::kill(pid_, signal);
}

CommandResult RunningCommand::wait() {
  if (!status_) status_ = status_of(pid_);
  return {*status_, slurp(folder_ / "out"), slurp(folder_ / "err")};
}

Responder::Responder(const fake_rhombus::FakeRhombus& rhombus, const std::string& extra, const std::string& capture)
    : rhombus_(rhombus) {
  const auto identity = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr);
  std::ofstream(folder_ / "cert.pem") << identity.certificate_pem();
  std::ofstream(folder_ / "key.pem") << identity.key_pem();
  const auto in = [&](const char* name) { return (folder_ / name).string(); };
  std::ofstream(config()) << fmt::format(
      "[rhombus]\napi_url = \"{}\"\nmedia_url = \"{}\"\napi_key = \"{}\"\nca_file = \"{}\"\n"
      "[webhook]\nlisten = \"127.0.0.1:0\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\nsecrets = [\"an older secret\", "
      "\"{}\"]\nmax_body_bytes = 4096\n"
      "[capture]\n{}[archive]\ndirectory = \"{}\"\ntimezone = \"UTC\"\nmin_free_bytes = 0\n[journal]\npath = "
      "\"{}\"\n[admin]\nlisten = \"\"\n[log]\nlevel = \"debug\"\n{}",
      rhombus.api_url(), rhombus.media_url(), rhombus.api_key(), rhombus.ca_file(), in("cert.pem"), in("key.pem"),
      secret_, capture, in("clips"), in("state/journal.db"), extra);
}

Responder::~Responder() {
  if (pid_ > 0) stop(SIGKILL);
  rhombus_.settle();
}

std::vector<std::string> Responder::with_config(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {"--config", config().string()});
  return arguments;
}

CommandResult Responder::command(std::vector<std::string> arguments,
                                 const std::map<std::string, std::string>& environment) const {
  auto result = run_responder(with_config(std::move(arguments)), environment);
  rhombus_.settle();
  return result;
}

void Responder::start(const std::map<std::string, std::string>& environment, const std::vector<int>& listening) {
  const auto log_file = folder_ / fmt::format("serve-{}.log", ++starts_);
  pid_ = spawn({"--config", config().string(), "serve"}, folder_ / "serve.out", log_file, environment, listening);
  const std::string marker = "listening for webhooks on ";
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto text = slurp(log_file);
    if (const auto at = text.find(marker); at != std::string::npos && text.find('\n', at) != std::string::npos) {
      const auto url = text.substr(at + marker.size());
      plain_ = url.starts_with("http:");
      const auto port = url.find(':', url.find("//"));
      if (port < url.find_first_of("\n ")) port_ = std::atoi(url.c_str() + port + 1);
      return;
    }
    std::this_thread::sleep_for(10ms);
  }
  throw std::runtime_error("the responder does not listen: " + slurp(log_file));
}

int Responder::stop(int signal) {
  if (pid_ <= 0) throw std::logic_error("it does not run");  // kill() would take it for all processes
  ::kill(pid_, signal);
  return status_of(std::exchange(pid_, -1));
}

bool Responder::running() const { return pid_ > 0 && ::kill(pid_, 0) == 0; }
std::string Responder::url() const {
  return fmt::format("{}://127.0.0.1:{}/webhook/rhombus", plain_ ? "http" : "https", port_);
}

std::string Responder::log() const {
  std::string all;
  for (int i = 1; i <= starts_; ++i) all += slurp(folder_ / fmt::format("serve-{}.log", i));
  return all;
}

namespace {

void read_gaps(const simdjson::dom::array& gaps, Event& event) {
  event.gaps = gaps.size();
  for (const auto item : gaps) {
    simdjson::dom::object gap;
    if (item.get(gap) != simdjson::SUCCESS) continue;
    if (event.first_gap == 0) {
      double start = 0, end = 0;
      if (gap.at_key("start").get(start) == simdjson::SUCCESS) event.first_gap = std::llround(start);
      if (gap.at_key("end").get(end) == simdjson::SUCCESS) event.first_gap_end = std::llround(end);
    }
    if (text_field(item, "reason") == "placeholder") ++event.placeholders;
  }
}

}  // namespace

std::vector<Event> Responder::events() const {
  const auto listed = run_responder({"--config", config().string(), "events", "--json", "--limit", "10000"});
  CAPTURE(listed.err);
  REQUIRE(listed.status == 0);
  rhombus_.settle();
  std::vector<Event> events;
  std::istringstream lines(listed.out);
  simdjson::dom::parser parser;
  for (std::string line; std::getline(lines, line);) {
    simdjson::dom::element object;
    REQUIRE(parser.parse(line).get(object) == simdjson::SUCCESS);
    Event event;
    event.alert = text_field(object, "alert");
    event.camera = text_field(object, "camera");
    event.camera_name = text_field(object, "camera_name");
    event.state = text_field(object, "state");
    event.reason = text_field(object, "reason");
    event.via = text_field(object, "via");
    event.source = text_field(object, "source");
    event.clip = text_field(object, "clip");
    event.sha256 = text_field(object, "sha256");
    event.window_start = integer_field(object, "window_start");
    event.window_end = integer_field(object, "window_end");
    event.attempts = integer_field(object, "attempts");
    simdjson::dom::array gaps;
    if (object.at_key("gaps").get(gaps) == simdjson::SUCCESS) read_gaps(gaps, event);
    event.presence = text_field(object, "presence");
    bool is_final = false;
    if (object.at_key("final").get(is_final) == simdjson::SUCCESS) event.final = is_final;
    bool held = false;
    if (object.at_key("held").get(held) == simdjson::SUCCESS) event.held = held;
    double removed_at = 0;
    event.removed = object.at_key("removed_at").get(removed_at) == simdjson::SUCCESS;
    events.push_back(std::move(event));
  }
  return events;
}

Event Responder::wait_for(const std::string& alert, const std::function<bool(const Event&)>& enough,
                          std::chrono::seconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  Event last;
  while (std::chrono::steady_clock::now() < deadline) {
    for (const auto& event : events()) {
      if (event.alert != alert) continue;
      last = event;
      if (enough(event)) return event;
    }
    std::this_thread::sleep_for(20ms);
  }
  FAIL("alert " << alert << " stays " << last.state << ": " << last.reason << "\n" << log());
  return last;
}

Event Responder::wait_until_done(const std::string& alert) const {
  return wait_for(alert, [](const Event& event) { return event.state == "done"; });
}

Event Responder::wait_for_picture(const std::string& alert) const {
  auto event = wait_until_done(alert);
  const auto picture = (clips() / event.clip).replace_extension(".jpg");
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!fs::exists(picture) && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(10ms);
  CHECK(fs::exists(picture));
  return event;
}

std::string Responder::alert(const std::string& camera, std::int64_t at_ms, int duration_s,
                             const std::string& wanted_id) const {
  const auto id = wanted_id.empty() ? fake_rhombus::random_uuid() : wanted_id;
  const auto answer = fake_rhombus::send_webhook(
      url(), fake_rhombus::organization_body(id, camera, at_ms, duration_s), secret_, false);
  REQUIRE(answer.status == 200);
  // One that the stand-in lists already may have been found by the catch-up at the start.
  const bool may_be_known = !wanted_id.empty();
  const bool is_known = may_be_known && answer.body == R"({"status":"duplicate"})";
  if (!is_known) REQUIRE(answer.body == R"({"status":"accepted"})");
  return id;
}

}  // namespace responder::test
