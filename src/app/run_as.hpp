// The user that a command works as. Files in the service's folders have to belong to the service, whoever runs the
// command: root becomes the owner of the journal's folder before anything is created or opened for writing.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <sys/types.h>

#include "config.hpp"

namespace responder::app {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;            // of the user; "#UID" for a number that has no name
  std::filesystem::path home;  // empty: none is known

  // From the system's list of users. `gid` is for a number that is not in it.
  static Account of(uid_t uid, gid_t gid);
};

// Whose rights a command has when root runs it.
enum class RunsAs {
  owner_of_journal,     // for all that it does
  root_beside_journal,  // the journal is opened as its owner; the files it writes elsewhere are root's
};

// The owner of `path`, or where that is not there, of the nearest folder above it that is.
Account owner_of(const std::filesystem::path& path);

// Returns the user that root has to become for a command; nullopt: it stays who it is, because it is not root, or
// because the folder is root's. A journal's folder that is not there yet is the service's where the configuration is
// the system's. Requires what the command's options say of the configuration to be applied.
std::optional<Account> account_for(RunsAs runs_as, const Config& config);

// Becomes `account` for good: groups, user, $HOME. For root, before the first thread. An Error where the system does
// not let us; then nothing more may be done.
Result<void> become(const Account& account);

// An Error when the journal's folder is there and this user may not use it: look into it, or with `writes` write
// there as well. `command`: its words, for the advice.
Result<void> check_may_use_journal(const Config& config, bool writes, const std::string& command);

// Calls `work` with the rights of the owner of the journal's folder, if we are root and it is not root's, and gets
// root's rights back.
Result<void> with_rights_of_owner(const Config& config, const std::function<Result<void>()>& work);

// The command to type for running `command` as the owner of `folder`.
std::string command_as_owner(const std::filesystem::path& folder, const std::string& command);

}  // namespace responder::app
