#include "odd_storage.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace responder::test {
namespace {

std::atomic<OddStorage*> the_present{nullptr};

}  // namespace

OddStorage::OddStorage(std::filesystem::path root) : root_(root.string() + "/") { the_present = this; }
OddStorage::~OddStorage() { the_present = nullptr; }
OddStorage* OddStorage::present() { return the_present; }

bool OddStorage::is_below(const std::string& path) const { return (path + "/").starts_with(root_); }

std::string OddStorage::as_stored(const std::string& path) const {
  if (!folds_case || !is_below(path) || path.size() < root_.size()) return path;
  auto stored = path;
  std::transform(stored.begin() + static_cast<std::ptrdiff_t>(root_.size()), stored.end(),
                 stored.begin() + static_cast<std::ptrdiff_t>(root_.size()),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return stored;
}

bool OddStorage::is_too_long(const std::string& path) const {
  const auto limit = longest_name.load();
  return limit > 0 && is_below(path) && std::filesystem::path(path).filename().string().size() > limit;
}

void OddStorage::note_folder_sync(const std::string& path) {
  const std::lock_guard lock(mutex_);
  synced_folders_.insert(path);
}

std::set<std::string> OddStorage::synced_folders() {
  const std::lock_guard lock(mutex_);
  return std::exchange(synced_folders_, {});
}

namespace {

// The call that this one stands in front of.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::string path_of(int fd) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char path[PATH_MAX];
  const ssize_t size = ::readlink(link, path, sizeof path);
  return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : std::string();
}

int fail(int error) {
  errno = error;
  return -1;
}

// What keeps a path from being looked at; 0: nothing.
int trouble_with(const OddStorage& storage, const std::string& path) {
  if (storage.is_too_long(path)) return ENAMETOOLONG;
  return path.ends_with(".json") && storage.is_below(path) ? storage.sidecar_error.load() : 0;
}

int do_open(const char* path, int flags, mode_t mode) {
  static auto* const real = next<int(const char*, int, ...)>("open");
  auto* storage = OddStorage::present();
  if (storage == nullptr) return real(path, flags, mode);
  if (storage->before_open) storage->before_open(path);
  if (const int trouble = trouble_with(*storage, path); trouble != 0) return fail(trouble);
  return real(storage->as_stored(path).c_str(), flags, mode);
}

template <class Stat>
int do_stat(const char* call, const char* path, Stat* info) {
  auto* const real = next<int(const char*, Stat*)>(call);
  auto* storage = OddStorage::present();
  if (storage == nullptr) return real(path, info);
  if (const int trouble = trouble_with(*storage, path); trouble != 0) return fail(trouble);
  return real(storage->as_stored(path).c_str(), info);
}

int do_remove(const char* call, const char* path) {
  auto* const real = next<int(const char*)>(call);
  auto* storage = OddStorage::present();
  return real(storage == nullptr ? path : storage->as_stored(path).c_str());
}

}  // namespace
}  // namespace responder::test

using responder::test::OddStorage;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return responder::test::do_open(path, flags, mode);
}

ssize_t write(int fd, const void* data, size_t size) {
  static auto* const real = responder::test::next<ssize_t(int, const void*, size_t)>("write");
  auto* storage = OddStorage::present();
  if (storage != nullptr && storage->before_write) storage->before_write(responder::test::path_of(fd));
  return real(fd, data, size);
}

int fsync(int fd) {
  static auto* const real = responder::test::next<int(int)>("fsync");
  auto* storage = OddStorage::present();
  struct stat info {};
  if (storage == nullptr || ::fstat(fd, &info) != 0 || !S_ISDIR(info.st_mode)) return real(fd);
  const auto path = responder::test::path_of(fd);
  storage->note_folder_sync(path);
  const int error = storage->is_below(path) ? storage->folder_sync_error.load() : 0;
  return error == 0 ? real(fd) : responder::test::fail(error);
}

int link(const char* from, const char* to) noexcept {
  static auto* const real = responder::test::next<int(const char*, const char*)>("link");
  auto* storage = OddStorage::present();
  if (storage == nullptr) return real(from, to);
  if (storage->is_below(to) && storage->link_error != 0) return responder::test::fail(storage->link_error);
  return real(storage->as_stored(from).c_str(), storage->as_stored(to).c_str());
}

int rename(const char* from, const char* to) noexcept {
  static auto* const real = responder::test::next<int(const char*, const char*)>("rename");
  auto* storage = OddStorage::present();
  if (storage == nullptr) return real(from, to);
  const auto target = storage->as_stored(to);
  if (storage->is_too_long(target)) return responder::test::fail(ENAMETOOLONG);
  const bool replaces = storage->is_below(target) && ::access(target.c_str(), F_OK) == 0;
  if (replaces && storage->replace_error != 0) return responder::test::fail(storage->replace_error);
  return real(storage->as_stored(from).c_str(), target.c_str());
}

int remove(const char* path) noexcept { return responder::test::do_remove("remove", path); }
int unlink(const char* path) noexcept { return responder::test::do_remove("unlink", path); }
int stat(const char* path, struct stat* info) noexcept { return responder::test::do_stat("stat", path, info); }
int lstat(const char* path, struct stat* info) noexcept { return responder::test::do_stat("lstat", path, info); }

int statvfs(const char* path, struct statvfs* info) noexcept {
  static auto* const real = responder::test::next<int(const char*, struct statvfs*)>("statvfs");
  auto* storage = OddStorage::present();
  if (storage == nullptr || !storage->is_below(path)) return real(path, info);
  if (storage->figures_error != 0) return responder::test::fail(storage->figures_error);
  const int result = real(path, info);
  if (storage->no_blocks) info->f_blocks = info->f_bfree = info->f_bavail = 0;
  if (storage->too_many_free) info->f_bavail = static_cast<fsblkcnt_t>(-5);
  return result;
}

long pathconf(const char* path, int name) noexcept {
  static auto* const real = responder::test::next<long(const char*, int)>("pathconf");
  auto* storage = OddStorage::present();
  const bool tells = storage != nullptr && storage->tells_longest_name && storage->is_below(path);
  return tells && name == _PC_NAME_MAX ? static_cast<long>(storage->longest_name.load()) : real(path, name);
}

}  // extern "C"
