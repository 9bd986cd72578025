// The library that is preloaded. It takes the place of the C library's calls on files; each records what it is about
// to change and then does it. One lock: a program under test may be slower, and its record must be in order.

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "faulty_system.hpp"
#include "record.hpp"

namespace {

using faulty_system::Controls;
using faulty_system::EntryHeader;
using faulty_system::Op;

// The call that this library stands in front of.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

ssize_t raw_write(int fd, const void* data, size_t size) { return ::syscall(SYS_write, fd, data, size); }
int raw_open(const char* path, int flags, mode_t mode = 0) {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode));
}

class Recorder {
 public:
  Recorder() {
    const char* root = std::getenv("FAULTY_SYSTEM_ROOT");
    const char* beside = std::getenv("FAULTY_SYSTEM_BESIDE");
    if (root == nullptr || beside == nullptr) return;
    root_ = root;
    beside_ = beside;
    // One for each process, named so that they sort: the last entry of one that was killed may be torn.
    timespec now{};
    ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    char name[64];
    std::snprintf(name, sizeof name, "/record-%010ld%09ld", static_cast<long>(now.tv_sec), now.tv_nsec);
    record_ = raw_open((beside_ + name).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int fd = raw_open((beside_ + "/controls").c_str(), O_RDWR);
    void* mapped = ::mmap(nullptr, sizeof(Controls), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) controls_ = static_cast<Controls*>(mapped);
    ::syscall(SYS_close, fd);
  }

  Controls* controls() { return controls_; }

  // Watched: below the root, and not SQLite's shared memory, which nobody expects to outlive a power cut.
  bool watches(std::string_view path) const {
    return controls_ != nullptr && path.starts_with(root_) && !path.ends_with("-shm");
  }

  // What is free on the disk of the controls.
  std::uint64_t free_bytes() {
    std::uint64_t used = 0;
    std::error_code failed;
    for (auto entry = std::filesystem::recursive_directory_iterator(root_, failed);
         !failed && entry != std::filesystem::recursive_directory_iterator(); entry.increment(failed)) {
      std::error_code gone;
      const auto size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
      if (!gone) used += size;
    }
    most_used_ = std::max(most_used_, used);
    if (controls_->disk_keeps_what_is_removed != 0) used = most_used_;
    const auto size = static_cast<std::uint64_t>(controls_->disk_bytes.load());
    return size - std::min(size, used);
  }

  static bool is_journal(std::string_view path) { return path.find("journal.db") != std::string_view::npos; }
  bool is_full(std::string_view path) const { return controls_->journal_disk_full != 0 && is_journal(path); }

  void add(EntryHeader header, std::string_view a = {}, std::string_view b = {}, std::string_view before = {},
           std::string_view after = {}) {
    header.a_size = static_cast<std::uint32_t>(a.size());
    header.b_size = static_cast<std::uint32_t>(b.size());
    header.before_size = before.size();
    header.after_size = after.size();
    std::string entry(reinterpret_cast<const char*>(&header), sizeof header);
    entry.append(a).append(b).append(before).append(after);
    if (raw_write(record_, entry.data(), entry.size()) != static_cast<ssize_t>(entry.size())) std::abort();
  }

  // A second name for a file that is about to lose its only one.
  std::uint32_t bury(const std::string& path) {
    const auto grave = ++graves_;
    const auto name = beside_ + "/graves/" + std::to_string(::getpid()) + "-" + std::to_string(grave);
    return ::syscall(SYS_linkat, AT_FDCWD, path.c_str(), AT_FDCWD, name.c_str(), 0) == 0 ? grave : 0;
  }

  std::recursive_mutex mutex;

 private:
  std::string root_;
  std::string beside_;
  int record_ = -1;
  Controls* controls_ = nullptr;
  std::uint32_t graves_ = 0;
  std::uint64_t most_used_ = 0;
};

Recorder& recorder() {
  static auto* const made = new Recorder;  // outlives every thread
  return *made;
}

bool is_in_archive(const std::string& path) {
  return recorder().watches(path) && (path + "/").find("/clips/") != std::string::npos;
}

// Under which name the archive has it.
std::string as_stored(std::string path) {
  if (!is_in_archive(path) || recorder().controls()->archive_folds_case == 0) return path;
  const auto at = static_cast<std::ptrdiff_t>((path + "/").find("/clips/") + 7);
  if (at >= static_cast<std::ptrdiff_t>(path.size())) return path;
  std::transform(path.begin() + at, path.end(), path.begin() + at,
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return path;
}

bool is_too_long(const std::string& path) {
  if (!is_in_archive(path)) return false;
  const auto longest = static_cast<size_t>(recorder().controls()->archive_longest_name.load());
  return longest > 0 && path.size() - path.rfind('/') - 1 > longest;
}

std::string path_of(int fd) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char path[PATH_MAX];
  const ssize_t size = ::readlink(link, path, sizeof path);
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : std::string();
}

std::string absolute(int folder, const char* path) {
  if (path[0] == '/') return path;
  if (folder != AT_FDCWD) return path_of(folder) + "/" + path;
  char here[PATH_MAX];
  return std::string(::getcwd(here, sizeof here) != nullptr ? here : "") + "/" + path;
}

std::uint64_t inode_of(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

std::string content(int fd, std::int64_t offset, std::int64_t size) {
  std::string bytes(static_cast<size_t>(std::max<std::int64_t>(size, 0)), '\0');
  if (bytes.empty()) return bytes;
  ssize_t got = ::syscall(SYS_pread64, fd, bytes.data(), bytes.size(), offset);
  if (got < 0) {
    // It is open for writing only. Not so SQLite's, whose locks a second opening and closing would lose.
    const auto other = raw_open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY);
    got = ::syscall(SYS_pread64, other, bytes.data(), bytes.size(), offset);
    ::syscall(SYS_close, other);
  }
  if (got != size) std::abort();
  return bytes;
}

// Before bytes are written. False: there is no room, and errno says so.
bool about_to_write(int fd, const void* data, size_t size, std::int64_t offset) {
  const auto path = path_of(fd);
  if (!recorder().watches(path)) return true;
  if (recorder().is_full(path)) {
    errno = ENOSPC;
    return false;
  }
  struct stat info {};
  ::fstat(fd, &info);
  EntryHeader header{.op = Op::write, .inode = info.st_ino, .offset = offset, .old_size = info.st_size};
  const auto end = std::min<std::int64_t>(info.st_size, offset + static_cast<std::int64_t>(size));
  recorder().add(header, {}, {}, content(fd, offset, end - offset), {static_cast<const char*>(data), size});
  return true;
}

void about_to_truncate(int fd, std::int64_t size) {
  struct stat info {};
  ::fstat(fd, &info);
  if (info.st_size == size) return;
  recorder().add({.op = Op::truncate, .inode = info.st_ino, .offset = size, .old_size = info.st_size}, {}, {},
                 content(fd, size, info.st_size - size));
}

void wait_while(const std::atomic<std::int32_t>& holds) {
  if (holds == 0) return;
  auto& waiting = recorder().controls()->waiting;
  ++waiting;
  while (holds != 0) ::usleep(20'000);
  --waiting;
}

// To be called without the lock.
void wait_for_archive(const std::string& path) {
  if (is_in_archive(path)) wait_while(recorder().controls()->archive_hangs);
}

int do_open(int folder, const char* given, int flags, mode_t mode) {
  static auto* const real = next<int(int, const char*, int, ...)>("openat");
  const auto path = as_stored(absolute(folder, given));
  if (is_too_long(path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  wait_for_archive(path);
  if (is_in_archive(path)) given = path.c_str();
  if (!recorder().watches(path) || (flags & (O_CREAT | O_TRUNC)) == 0) return real(folder, given, flags, mode);
  const std::lock_guard lock(recorder().mutex);
  const bool was_there = inode_of(path) != 0;
  if (!was_there && recorder().is_full(path)) {
    errno = ENOSPC;
    return -1;
  }
  if (was_there && (flags & O_TRUNC) != 0 && (flags & O_EXCL) == 0) {
    const int fd = raw_open(path.c_str(), O_RDWR);
    if (fd >= 0) about_to_truncate(fd, 0);
    ::syscall(SYS_close, fd);
  }
  const int fd = real(folder, given, flags, mode);
  if (fd >= 0 && !was_there) recorder().add({.op = Op::create, .inode = inode_of(path)}, path);
  return fd;
}

int do_sync(int fd, int (*real)(int)) {
  const auto path = path_of(fd);
  if (!recorder().watches(path)) return real(fd);
  const std::lock_guard lock(recorder().mutex);
  struct stat info {};
  ::fstat(fd, &info);
  const auto folder_error = recorder().controls()->archive_folder_sync_error.load();
  if (folder_error != 0 && S_ISDIR(info.st_mode) && is_in_archive(path)) {
    errno = folder_error;
    return -1;
  }
  auto& failing = recorder().controls()->failing_journal_syncs;
  if (failing > 0 && Recorder::is_journal(path)) {
    --failing;
    recorder().add({.op = Op::failed_sync, .inode = info.st_ino});
    errno = EIO;
    return -1;
  }
  // The kill is the power cut's stand-in: nothing has to reach the real disk.
  recorder().add({.op = S_ISDIR(info.st_mode) ? Op::sync_folder : Op::sync_file, .inode = info.st_ino}, path);
  return 0;
}

int do_unlink(int folder, const char* given, int flags) {
  static auto* const real = next<int(int, const char*, int)>("unlinkat");
  const auto path = as_stored(absolute(folder, given));
  if (is_in_archive(path)) given = path.c_str();
  if (!recorder().watches(path)) return real(folder, given, flags);
  const std::lock_guard lock(recorder().mutex);
  const bool is_folder = (flags & AT_REMOVEDIR) != 0;
  const auto inode = inode_of(path);
  const auto grave = is_folder || inode == 0 ? 0 : recorder().bury(path);
  const int result = real(folder, given, flags);
  const int error = errno;
  if (result == 0)
    recorder().add({.op = is_folder ? Op::remove_folder : Op::unlink, .grave = grave, .inode = inode}, path);
  errno = error;
  return result;
}

// Whether this call on a socket is the one that the controls want to fail.
bool is_reset(int fd, std::atomic<std::int32_t> Controls::*countdown) {
  Controls* controls = recorder().controls();
  if (controls == nullptr || controls->*countdown == 0) return false;
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  const bool is_ours = address.ss_family == AF_INET &&
                       ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port) == controls->listener_port;
  return is_ours && --(controls->*countdown) == 0;
}

}  // namespace

extern "C" {

int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  static auto* const real = next<int(int, sockaddr*, socklen_t*, int)>("accept4");
  if (Controls* controls = recorder().controls(); controls != nullptr) {
    ++controls->accept_calls;
    if (controls->failing_accepts > 0) {
      --controls->failing_accepts;
      errno = controls->accept_errno;
      return -1;
    }
  }
  return real(fd, address, length, flags);
}

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  static auto* const real = next<ssize_t(int, void*, size_t, int)>("recv");
  if (!is_reset(fd, &Controls::reset_at_receive)) return real(fd, buffer, size, flags);
  errno = ECONNRESET;
  return -1;
}

ssize_t send(int fd, const void* data, size_t size, int flags) {
  static auto* const real = next<ssize_t(int, const void*, size_t, int)>("send");
  if (!is_reset(fd, &Controls::reset_at_send)) return real(fd, data, size, flags);
  errno = ECONNRESET;
  return -1;
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return do_open(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return do_open(AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void* data, size_t size) {
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return raw_write(fd, data, size);
  const std::lock_guard lock(recorder().mutex);
  const auto at = ::lseek(fd, 0, (::fcntl(fd, F_GETFL) & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
  return about_to_write(fd, data, size, at) ? raw_write(fd, data, size) : -1;
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  const std::lock_guard lock(recorder().mutex);
  if (!about_to_write(fd, data, size, offset)) return -1;
  return ::syscall(SYS_pwrite64, fd, data, size, offset);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

int ftruncate64(int fd, off64_t size) noexcept {
  const std::lock_guard lock(recorder().mutex);
  if (recorder().watches(path_of(fd))) about_to_truncate(fd, size);
  return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}
int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }

int fsync(int fd) { return do_sync(fd, next<int(int)>("fsync")); }
int fdatasync(int fd) { return do_sync(fd, next<int(int)>("fdatasync")); }

int unlink(const char* path) noexcept { return do_unlink(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char* path, int flags) noexcept { return do_unlink(folder, path, flags); }
int rmdir(const char* path) noexcept { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* given) noexcept {
  struct stat info {};
  const auto stored = as_stored(absolute(AT_FDCWD, given));
  const char* path = stored.c_str();
  const bool is_folder = ::lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
  return do_unlink(AT_FDCWD, path, is_folder ? AT_REMOVEDIR : 0);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("rename");
  const auto target = as_stored(absolute(AT_FDCWD, to));
  if (!recorder().watches(target)) return real(from, to);
  if (is_too_long(target)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const std::lock_guard lock(recorder().mutex);
  const auto source = as_stored(absolute(AT_FDCWD, from));
  from = source.c_str();
  to = target.c_str();
  const auto inode = inode_of(source);
  // Two names of one file: rename() does nothing then.
  if (inode == inode_of(target)) return real(from, to);
  const auto grave = inode_of(target) != 0 ? recorder().bury(target) : 0;
  recorder().add({.op = Op::rename, .grave = grave, .inode = inode}, source, target);
  return real(from, to);
}

int link(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("link");
  const std::lock_guard lock(recorder().mutex);
  const auto target = as_stored(absolute(AT_FDCWD, to));
  if (is_in_archive(target) && recorder().controls()->archive_link_error != 0) {
    errno = recorder().controls()->archive_link_error;
    return -1;
  }
  const int result = real(from, is_in_archive(target) ? target.c_str() : to);
  const int error = errno;
  if (result == 0 && recorder().watches(target))
    recorder().add({.op = Op::link, .inode = inode_of(target)}, absolute(AT_FDCWD, from), target);
  errno = error;
  return result;
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const real = next<int(const char*, mode_t)>("mkdir");
  const std::lock_guard lock(recorder().mutex);
  const int result = real(path, mode);
  const int error = errno;
  const auto made = absolute(AT_FDCWD, path);
  if (result == 0 && recorder().watches(made)) recorder().add({.op = Op::make_folder}, made);
  errno = error;
  return result;
}

// What looks at a file.
int stat(const char* path, struct stat* info) noexcept {
  static auto* const real = next<int(const char*, struct stat*)>("stat");
  const auto stored = as_stored(absolute(AT_FDCWD, path));
  return real(is_in_archive(stored) ? stored.c_str() : path, info);
}
int lstat(const char* path, struct stat* info) noexcept {
  static auto* const real = next<int(const char*, struct stat*)>("lstat");
  const auto stored = as_stored(absolute(AT_FDCWD, path));
  return real(is_in_archive(stored) ? stored.c_str() : path, info);
}

int statvfs(const char* path, struct statvfs* info) noexcept {
  wait_for_archive(absolute(AT_FDCWD, path));
  static auto* const real = next<int(const char*, struct statvfs*)>("statvfs");
  const int result = real(path, info);
  const std::lock_guard lock(recorder().mutex);
  const auto whole = absolute(AT_FDCWD, path);
  if (result == 0 && is_in_archive(whole) && recorder().controls()->archive_has_no_figures != 0)
    info->f_blocks = info->f_bfree = info->f_bavail = 0;
  if (result != 0 || !recorder().watches(whole) || recorder().controls()->disk_bytes == 0) return result;
  info->f_frsize = info->f_bsize = 1;
  info->f_blocks = static_cast<fsblkcnt_t>(recorder().controls()->disk_bytes.load());
  info->f_bfree = info->f_bavail = recorder().free_bytes();
  return result;
}

int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** result) {
  static auto* const real = next<int(const char*, const char*, const addrinfo*, addrinfo**)>("getaddrinfo");
  in6_addr address{};
  const bool is_address =
      name == nullptr || ::inet_pton(AF_INET, name, &address) == 1 || ::inet_pton(AF_INET6, name, &address) == 1;
  if (!is_address && recorder().controls() != nullptr) wait_while(recorder().controls()->names_hang);
  return real(name, service, hints, result);
}

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  // Of the other clocks nothing is changed. AddressSanitizer asks for one while it allocates, and looking for the real
  // function, or for the controls, allocates.
  if (clock != CLOCK_REALTIME) return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  static auto* const real = next<int(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, time);
  Controls* controls = recorder().controls();
  if (controls != nullptr) {
    const auto offset = controls->clock_offset_ms.load();
    time->tv_sec += offset / 1000;
    time->tv_nsec += offset % 1000 * 1'000'000;
    if (time->tv_nsec >= 1'000'000'000) {
      time->tv_nsec -= 1'000'000'000;
      ++time->tv_sec;
    } else if (time->tv_nsec < 0) {
      time->tv_nsec += 1'000'000'000;
      --time->tv_sec;
    }
  }
  return result;
}

}  // extern "C"
