// copy-footage: the command line of the Python script that this program replaces, word for word. It writes to the
// current directory, and remembers of each directory what it has taken there.
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "responder/base/text.hpp"

#include "alert_run.hpp"
#include "archive_marker.hpp"
#include "beside.hpp"
#include "capture_engine.hpp"
#include "commands.hpp"
#include "range_run.hpp"
#include "run_as.hpp"
#include "scope.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

Error wrong(std::string message) { return Error{ErrorKind::permanent, std::move(message)}; }

bool is_folder_of(uid_t uid, const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder, ignored) && owner_of(folder).uid == uid;
}

// The journal beside which it is remembered what was copied: that of the configuration where this user may write
// there, else one in the user's own folders. Root works as the owner of the current directory, who shall have the
// clips, if that user has a place for a journal.
fs::path journal_beside(const Config& config, const fs::path& directory) {
  const auto text_of = [](const char* name) { return process_environment(name).value_or(""); };
  const fs::path path = config.journal.path;
  std::error_code ignored;
  auto existing = fs::absolute(path, ignored).parent_path();
  while (!fs::exists(existing, ignored) && existing.has_relative_path()) existing = existing.parent_path();
  if (::geteuid() != 0)
    return ::access(existing.c_str(), W_OK) == 0 ? path
                                                 : per_user_journal(text_of("XDG_STATE_HOME"), text_of("HOME"));
  const auto owner = owner_of(directory);
  if (owner.uid == owner_of(existing).uid) return path;
  if (owner.uid != 0 && is_folder_of(owner.uid, owner.home)) return per_user_journal("", owner.home);
  return owner_of(existing).uid == 0 ? path : per_user_journal(text_of("XDG_STATE_HOME"), text_of("HOME"));
}

// Where the journal for clips in `directory` is: on this machine's disk, for the directory may be on a NAS.
fs::path journal_for(const fs::path& journal, const fs::path& directory) {
  const auto path = directory.string();
  std::array<unsigned char, 32> hash{};
  EVP_Digest(path.data(), path.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  constexpr std::size_t enough = 16;
  return journal.parent_path() / "copy-footage" / to_hex(hash).substr(0, enough) / "journal.db";
}

// Its clips would take the place of the service's: of the same alert, under the same names, and shorter.
Result<void> check_is_not_archive(const Config& config, const fs::path& directory) {
  const archive::Archive service(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  const auto marker = service.marker();
  if (!marker || !*marker) return {};
  std::error_code ignored;
  for (auto folder = directory; folder.has_relative_path(); folder = folder.parent_path()) {
    if (fs::equivalent(folder, service.directory(), ignored))
      return wrong(
          fmt::format("the current directory is in {}, the archive of serve (archive.directory): change to "
                      "another directory",
                      service.directory().string()));
  }
  return {};
}

Result<void> use_certificate(Config& config, const CopyFootageOptions& options) {
  if (options.cert.empty() != options.private_key.empty())
    return wrong("--cert and --private_key go together: give both or none");
  for (const auto& [option, file] :
       {std::pair{"--cert", &options.cert}, std::pair{"--private_key", &options.private_key}}) {
    if (!file->empty() && ::access(file->c_str(), R_OK) != 0)
      return wrong(fmt::format("{}: {} is not there or cannot be read", option, printable(*file)));
  }
  if (options.cert.empty()) return {};
  config.rhombus.client_cert = options.cert;
  config.rhombus.client_key = options.private_key;
  return {};
}

Result<std::optional<WallTime>> time_of(const std::optional<std::int64_t>& epoch, std::string_view option) {
  constexpr std::int64_t year_2200 = 7'258'118'400;
  if (!epoch) return std::optional<WallTime>{};
  if (*epoch < 0 || *epoch > year_2200)
    return wrong(fmt::format("{}: {} is no time in epoch seconds", option, *epoch));
  return std::optional(WallTime(seconds(*epoch)));
}

// The current directory is the archive, whatever became of it since the last time: who gives this command means it.
Result<void> take_directory(const Config& config) {
  auto journal = open_sound_journal(config);
  if (!journal) return journal.error();
  const archive::Archive directory(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (const auto known = check_is_archive(directory, *journal)) return {};
  const auto adopted = adopt_as_archive(directory, *journal);
  return adopted ? Result<void>{} : adopted.error();
}

int copy_alerts(const Config& config, const CopyFootageOptions& options, WallTime now, const Signals& signals) {
  ingest::PassScope scope;
  const auto after = time_of(options.after_time, "--after_time");
  if (!after) return complain(after.error().message);
  const auto before = time_of(options.before_time, "--before_time");
  if (!before) return complain(before.error().message);
  if (*after && **after > now) return complain("--after_time is in the future");
  if (*after && *before && **before <= **after) return complain("--before_time is not later than --after_time");
  if (options.max_alerts <= 0)
    return complain("--max_alerts is not above 0: give how many of the newest alerts to look at");
  scope.after = after->value_or(WallTime(seconds(1)));  // however old: --max_alerts bounds it
  scope.before = *before;
  scope.max_alerts = static_cast<std::size_t>(options.max_alerts);
  scope.webhooks_expected = false;
  std::optional<Complaint> wrong_name;
  const bool interrupted = run_beside(signals, [&](std::stop_token stop) {
    wrong_name = name_scope(config, {options.camera, options.location}, {"--camera_uuid", "--location_uuid"}, scope,
                            std::move(stop));
  });
  if (interrupted) return complain("interrupted while asking Rhombus", exit_failed);
  if (wrong_name) return complain(wrong_name->message, wrong_name->status);
  return take_alerts(
      config, scope,
      {.how_to_go_on = "to resume it, give the same command again", .tell_files = true, .again_what_is_lost = true},
      signals);
}

int copy_range(const Config& config, const CopyFootageOptions& options, WallTime now, const Signals& signals) {
  const auto start = time_of(options.start_time, "--start_time");
  if (!start) return complain(start.error().message);
  constexpr std::int64_t longest = 366LL * 86400;
  if (options.duration && (*options.duration <= 0 || *options.duration > longest))
    return complain(fmt::format("--duration: {} is not from 1 to {} seconds", *options.duration, longest));
  const auto duration = options.duration ? std::optional(seconds(*options.duration)) : std::nullopt;
  const auto request = read_range(*start, duration, now);
  if (!request) return complain("--start_time, --duration: " + request.error().message);
  if (!request->remark.empty()) complain(request->remark);
  return take_ranges(config,
                     {.parts = {request->range},
                      .choice = {options.camera, options.location},
                      .options = {"--camera_uuid", "--location_uuid"},
                      .same_again = fmt::format("the same command with --start_time {} --duration {}",
                                                request->range.start.time_since_epoch().count(),
                                                (request->range.end - request->range.start).count())},
                     signals);
}

}  // namespace

Result<void> adjust_for_copy_footage(Config& config, const CopyFootageOptions& options) {
  std::error_code failed;
  const auto directory = fs::current_path(failed);
  if (failed) return wrong("the current directory is not there any more: " + failed.message());
  if (auto another = check_is_not_archive(config, directory); !another) return another;
  if (!options.api_key.empty()) {
    config.rhombus.api_key = Secret(options.api_key);
    if (auto usable = check_api_key(config.rhombus.api_key); !usable)
      return with_context(usable.error(), "--api_key");
    complain(
        "an API key on the command line is visible to other users: better set RHOMBUS_API_KEY or "
        "rhombus.api_key_file");
  }
  if (auto used = use_certificate(config, options); !used) return used;
  constexpr std::int64_t longest_buffer = 86400;
  if (options.alert_buffer < 0 || options.alert_buffer > longest_buffer)
    return wrong(fmt::format("--alert_buffer: {} is not from 0 to {} seconds", options.alert_buffer, longest_buffer));
  config.capture.buffer_seconds = options.alert_buffer;
  if (options.use_wan) config.capture.connection = capture::ConnectionMode::wan;
  if (options.debug) {
    config.log.level = "debug";
    config.set_keys.insert("log.level");
  }
  config.journal.path = journal_for(journal_beside(config, directory), directory).string();
  if (!config.remarks.empty())
    config.remarks = {fmt::format("{} is not there: what was copied is remembered in {}",
                                  SystemPlaces{}.state.string(), config.journal.path)};
  config.capture.spool_directory.clear();  // beside that
  config.archive = {.directory = directory.string(),
                    .timezone = config.archive.timezone,
                    .thumbnails = false,
                    .min_free_bytes = config.archive.min_free_bytes};
  // What the daemon is told to take, and what to do with it, is not meant for this; which camera sees what is.
  config.filter = {};
  config.rules.clear();
  config.hooks.clear();
  config.offsite.remote.clear();
  return {};
}

int copy_footage(const Config& config, const CopyFootageOptions& options, const Signals& signals) {
  if (config.rhombus.api_key.empty())
    return complain("no API key: set RHOMBUS_API_KEY or rhombus.api_key_file, or give --api_key");
  const auto now = SystemClock().wall_now();
  set_process_up();
  if (auto taken = take_directory(config); !taken) return complain(taken.error().message);
  return options.alerts ? copy_alerts(config, options, now, signals) : copy_range(config, options, now, signals);
}

}  // namespace responder::app
