#include "run_as.hpp"

#include <cerrno>
#include <cstdlib>
#include <vector>

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace responder::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* service_user = "rhombus-responder";
constexpr std::size_t max_passwd_bytes = 16 * 1024;

template <class Lookup>
std::optional<Account> find_account(Lookup lookup) {
  std::vector<char> buffer(max_passwd_bytes);
  passwd entry{};
  passwd* found = nullptr;
  if (lookup(&entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return Account{entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir};
}

fs::path journal_folder(const Config& config) {
  std::error_code ignored;
  return fs::absolute(config.journal.path, ignored).parent_path();
}

bool is_of_the_system(const Config& config) { return config.file == SystemPlaces{}.config; }

Error cannot_become(const Account& account) {
  return errno_error(errno, fmt::format("cannot become the user {}", account.name));
}

}  // namespace

Account Account::of(uid_t uid, gid_t gid) {
  const auto known = find_account([uid](passwd* entry, char* buffer, std::size_t size, passwd** found) {
    return ::getpwuid_r(uid, entry, buffer, size, found);
  });
  return known ? *known : Account{uid, gid, fmt::format("#{}", uid), {}};
}

Account owner_of(const fs::path& path) {
  std::error_code ignored;
  for (auto existing = fs::absolute(path, ignored); existing.has_relative_path(); existing = existing.parent_path()) {
    struct stat info {};
    if (::stat(existing.c_str(), &info) == 0) return Account::of(info.st_uid, info.st_gid);
  }
  return Account::of(0, 0);
}

std::optional<Account> account_for(RunsAs runs_as, const Config& config) {
  if (::geteuid() != 0 || runs_as == RunsAs::root_beside_journal) return std::nullopt;
  std::error_code ignored;
  const auto folder = journal_folder(config);
  auto owner = owner_of(folder);
  if (owner.uid == 0 && is_of_the_system(config) && !fs::exists(folder, ignored)) {
    const auto service = find_account([](passwd* entry, char* buffer, std::size_t size, passwd** found) {
      return ::getpwnam_r(service_user, entry, buffer, size, found);
    });
    if (service) return service;
  }
  return owner.uid == 0 ? std::nullopt : std::optional(std::move(owner));
}

Result<void> become(const Account& account) {
  const bool has_name = !account.name.starts_with('#');
  const int groups_set = has_name ? ::initgroups(account.name.c_str(), account.gid) : ::setgroups(1, &account.gid);
  if (groups_set != 0 || ::setresgid(account.gid, account.gid, account.gid) != 0 ||
      ::setresuid(account.uid, account.uid, account.uid) != 0)
    return cannot_become(account);
  // Programs that we start, rclone for one, look for their files there.
  for (const char* variable : {"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"})
    ::unsetenv(variable);
  ::setenv("HOME", account.home.empty() ? "/" : account.home.c_str(), 1);
  ::setenv("USER", account.name.c_str(), 1);
  ::setenv("LOGNAME", account.name.c_str(), 1);
  return {};
}

std::string command_as_owner(const fs::path& folder, const std::string& command) {
  const auto name = owner_of(folder).name;
  return fmt::format("sudo -u {} rhombus-responder {}", name.starts_with('#') ? fmt::format("'{}'", name) : name,
                     command);
}

Result<void> check_may_use_journal(const Config& config, bool writes, const std::string& command) {
  const auto folder = journal_folder(config);
  const int needed = R_OK | X_OK | (writes ? W_OK : 0);
  if (::access(folder.c_str(), needed) == 0 || errno != EACCES) return {};
  return Error{ErrorKind::permanent,
               fmt::format("journal.path: {} belongs to {}, and {} may not use it: run it as that user: {}",
                           folder.string(), owner_of(folder).name, Account::of(::geteuid(), ::getegid()).name,
                           command_as_owner(folder, command))};
}

Result<void> with_rights_of_owner(const Config& config, const std::function<Result<void>()>& work) {
  const auto owner = account_for(RunsAs::owner_of_journal, config);
  if (!owner) return work();
  const auto own_group = ::getegid();
  if (::setegid(owner->gid) != 0 || ::seteuid(owner->uid) != 0) return cannot_become(*owner);
  auto done = work();
  if (::seteuid(0) != 0 || ::setegid(own_group) != 0) return errno_error(errno, "cannot become root again");
  return done;
}

}  // namespace responder::app
