#include "site.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <httplib.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace soak {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  if (!bound) throw std::runtime_error("no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

int exit_status(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// The exit status, or nothing when it still runs after that time.
std::optional<int> wait_for_end(pid_t pid, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) return std::nullopt;
    std::this_thread::sleep_for(20ms);
  }
  return exit_status(status);
}

bool accepts_connections(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool connected = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return connected;
}

// The text between the name's quotes in flat JSON.
std::string text_after(const std::string& json, const std::string& name) {
  const auto mark = "\"" + name + "\":\"";
  const auto at = json.find(mark);
  if (at == std::string::npos) return "";
  const auto begin = at + mark.size();
  return json.substr(begin, json.find('"', begin) - begin);
}

}  // namespace

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool sleep_unless_stopped(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

void Problems::add(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (texts_.size() < 100'000) texts_.push_back(text);
  fmt::print(stderr, "PROBLEM: {}\n", text);
}

std::vector<std::string> Problems::all() const {
  const std::lock_guard lock(mutex_);
  return texts_;
}

struct HookReceiver::Impl {
  httplib::Server server;
  std::jthread thread;
};

HookReceiver::HookReceiver() : impl_(std::make_unique<Impl>()) {
  impl_->server.Post("/hook", [this](const httplib::Request& request, httplib::Response& response) {
    response.status = fails_ ? 500 : 204;
    if (fails_) return;
    const std::lock_guard lock(mutex_);
    acknowledged_.insert(text_after(request.body, "alert"));
  });
  port_ = impl_->server.bind_to_any_port("127.0.0.1");
  impl_->thread = std::jthread([this] { impl_->server.listen_after_bind(); });
}

HookReceiver::~HookReceiver() { impl_->server.stop(); }

std::set<std::string> HookReceiver::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

Site::Site(Settings settings, Problems& problems) : settings_(std::move(settings)), problems_(problems) {
  fs::create_directories(state());
  fake_rhombus::Options options;
  options.directory = settings_.directory / "rhombus";
  options.requests_per_second = 60;
  options.burst = 200;
  rhombus_ = std::make_unique<fake_rhombus::FakeRhombus>(options);
  const fake_rhombus::VideoProfile small{.width = 64, .height = 64, .frames_per_second = 5};
  for (int i = 0; i < 8; ++i) {
    fake_rhombus::CameraSpec spec{.name = fmt::format("Camera {}", i), .video = small};
    spec.lan = i != 3;
    spec.absolute_times = i % 2 == 1;
    spec.clamp_to_now = i == 5;
    spec.form = i == 6 ? fake_rhombus::MpdForm::timeline : fake_rhombus::MpdForm::adaptation_set;
    cameras_.push_back({rhombus_->add_camera(spec), spec.name, ""});
  }
  cameras_[1].sound_from = rhombus_->add_gateway({.name = "Gateway", .cameras = {cameras_[1].uuid}});
  rhombus_->start();
  webhook_port_ = free_port();
  admin_port_ = free_port();
  // Shorter than the soak, so that captures become final in it, and longer than any fault.
  retry_for_seconds_ = std::clamp(settings_.minutes * 10, 120, 600);
  // A quarter of what is recorded: an average clip has about 60 kB here.
  archive_bytes_ = std::max<std::int64_t>(
      2'000'000, static_cast<std::int64_t>(settings_.minutes * settings_.alerts_per_minute / 4 * 60'000));
  write_config();
}

Site::~Site() {
  if (pid_ > 0) stop_serve(SIGKILL);
  rhombus_->stop();
}

const Camera* Site::camera(const std::string& uuid) const {
  const auto found =
      std::find_if(cameras_.begin(), cameras_.end(), [&](const auto& one) { return one.uuid == uuid; });
  return found == cameras_.end() ? nullptr : &*found;
}

std::string Site::url() const { return fmt::format("https://127.0.0.1:{}/webhook/rhombus", webhook_port_); }

void Site::write_config() const {
  const auto identity = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr);
  const auto in = [&](const char* name) { return (settings_.directory / name).string(); };
  std::ofstream(in("cert.pem")) << identity.certificate_pem();
  std::ofstream(in("key.pem")) << identity.key_pem();
  std::ofstream(in("hook-program")) << fmt::format("#!/bin/sh\ncat >/dev/null\n[ ! -e {} ]\n", in("hook-fails"));
  ::chmod(in("hook-program").c_str(), 0700);
  std::ofstream(in("config.toml")) << fmt::format(
      "[rhombus]\napi_url = \"{}\"\nmedia_url = \"{}\"\napi_key = \"{}\"\nca_file = \"{}\"\nrequests_per_second = "
      "50\n",
      rhombus_->api_url(), rhombus_->media_url(), rhombus_->api_key(), rhombus_->ca_file());
  std::ofstream(in("config.toml"), std::ios::app) << fmt::format(
      "[webhook]\nlisten = \"127.0.0.1:{}\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\nsecrets = [\"{}\"]\n"
      "[capture]\nbuffer_seconds = 2\ndefault_duration_seconds = 2\nretry_for_seconds = "
      "{}\n[catch_up]\ninterval_seconds = 20\n"
      "[archive]\ndirectory = \"{}\"\nlayout = \"by-camera\"\ntimezone = \"UTC\"\nmax_bytes = {}\n"
      "[journal]\npath = \"{}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n[log]\nformat = \"json\"\n",
      webhook_port_, in("cert.pem"), in("key.pem"), secret, retry_for_seconds_, clips().string(), archive_bytes_,
      (state() / "journal.db").string(), admin_port_);
  std::ofstream(in("config.toml"), std::ios::app) << fmt::format(
      "[[associate]]\ndevices = [\"{}\"]\ncameras = [\"{}\"]\n"
      "[[hook]]\nname = \"url\"\nurl = \"http://127.0.0.1:{}/hook\"\nsecret = \"a secret\"\ntimeout_seconds = 5\n"
      "[[hook]]\nname = \"program\"\ncommand = [\"{}\"]\ntimeout_seconds = 20\n",
      door, cameras_[0].uuid, hook_.port(), in("hook-program"));
}

pid_t Site::spawn(const std::vector<std::string>& arguments, const fs::path& out, const fs::path& err,
                  const std::map<std::string, std::string>& environment) const {
  std::vector<std::string> words{settings_.program, "--config", (settings_.directory / "config.toml").string()};
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
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, words[0].c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " + settings_.program);
  return pid;
}

bool Site::start_serve(const std::map<std::string, std::string>& environment) {
  pid_ = spawn({"serve"}, settings_.directory / "serve.out", log_file(), environment);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!accepts_connections(webhook_port_)) {
    if (const auto ended = wait_for_end(pid_, 0ms)) {
      problems_.add(fmt::format("serve ended at its start with status {}", *ended));
      pid_ = -1;
      return false;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      problems_.add("serve does not listen a minute after its start");
      return false;
    }
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

int Site::stop_serve(int signal) {
  const pid_t pid = pid_;
  if (pid <= 0) return -1;
  ::kill(pid, signal);
  auto status = wait_for_end(pid, 60s);
  if (!status) {
    problems_.add(fmt::format("serve does not end within a minute of signal {}", signal));
    ::kill(pid, SIGKILL);
    status = wait_for_end(pid, 60s);
  }
  pid_ = -1;
  return status.value_or(-1);
}

void Site::signal_serve(int signal) const {
  if (const pid_t pid = pid_; pid > 0) ::kill(pid, signal);
}

CommandResult Site::run(const std::vector<std::string>& arguments) {
  {
    std::unique_lock lock(mutex_);
    free_.wait(lock, [&] { return !reserved_; });
    ++commands_;
  }
  const auto base = settings_.directory / fmt::format("command-{}", ++command_number_);
  const fs::path out = base.string() + ".out";
  const fs::path err = base.string() + ".err";
  const pid_t pid = spawn(arguments, out, err, {});
  auto status = wait_for_end(pid, 300s);
  if (!status) {
    problems_.add(fmt::format("{} does not end within five minutes", fmt::join(arguments, " ")));
    ::kill(pid, SIGKILL);
    status = wait_for_end(pid, 60s);
  }
  CommandResult result{status.value_or(-1), slurp(out), slurp(err)};
  fs::remove(out);
  fs::remove(err);
  if (result.status != 0 && result.status != 1 && result.status != 3) {
    problems_.add(fmt::format("{} ended with status {}: {}", fmt::join(arguments, " "), result.status, result.err));
  }
  std::ofstream(settings_.directory / "commands.log", std::ios::app)
      << fmt::format("{} {} -> {}\n{}", now_ms(), fmt::join(arguments, " "), result.status, result.err);
  const std::lock_guard lock(mutex_);
  --commands_;
  free_.notify_all();
  return result;
}

void Site::reserve_journal() {
  std::unique_lock lock(mutex_);
  reserved_ = true;
  free_.wait(lock, [&] { return commands_ == 0; });
}

void Site::release_journal() {
  const std::lock_guard lock(mutex_);
  reserved_ = false;
  free_.notify_all();
}

std::map<std::string, std::string> Site::environment_of(const faulty_system::FaultySystem& system) const {
  auto environment = system.environment();
  if (!settings_.preload.empty()) environment["LD_PRELOAD"] = settings_.preload;
  return environment;
}

}  // namespace soak
