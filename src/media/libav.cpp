#include "libav.hpp"

#include <array>
#include <cerrno>
#include <mutex>

#include <dlfcn.h>
#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/media/footage_libraries.hpp"

namespace responder::media {
namespace {

struct Library {
  const char* file;
  void* handle = nullptr;
};

// The versions that this program was compiled for. What libavformat needs, libavcodec and libavutil, is found through
// it.
#define RESPONDER_LIBAV_FILE(name, version) "lib" name ".so." AV_STRINGIFY(version)
std::array<Library, 2> libraries{{{RESPONDER_LIBAV_FILE("avformat", LIBAVFORMAT_VERSION_MAJOR)},
                                  {RESPONDER_LIBAV_FILE("swscale", LIBSWSCALE_VERSION_MAJOR)}}};
#undef RESPONDER_LIBAV_FILE

std::string last_problem() {
  const char* text = ::dlerror();
  return text != nullptr ? text : "no reason given";
}

// "Warning: using insecure memory!" comes from libgcrypt when a process starts it that may lock no memory. libssh
// does so as soon as it is loaded, and libavformat loads libssh, for addresses that we never open. Nothing of ours is
// in that memory, so nobody has to read about it.
void quiet_libgcrypt() {
  constexpr int disable_secmem_warn = 27;  // GCRYCTL_DISABLE_SECMEM_WARN of gcrypt.h
  void* const library = ::dlopen("libgcrypt.so.20", RTLD_LAZY | RTLD_LOCAL);
  void* const control = library != nullptr ? ::dlsym(library, "gcry_control") : nullptr;
  if (control != nullptr) reinterpret_cast<int (*)(int, ...)>(control)(disable_secmem_warn);
}

Result<void> open_libraries() {
  quiet_libgcrypt();
  for (auto& library : libraries) {
    if (library.handle == nullptr) library.handle = ::dlopen(library.file, RTLD_LAZY | RTLD_LOCAL);
    if (library.handle == nullptr)
      return Error{ErrorKind::transient, fmt::format("cannot load FFmpeg's {}: {}: install FFmpeg's libraries (the "
                                                     "Debian package of this program names them)",
                                                     library.file, last_problem())};
  }
  return {};
}

template <class Function>
Result<void> find_function(const char* name, Function& function) {
  for (const auto& library : libraries) {
    if (void* found = ::dlsym(library.handle, name); found != nullptr) {
      function = reinterpret_cast<Function>(found);
      return {};
    }
  }
  return Error{ErrorKind::transient,
               fmt::format("FFmpeg's libraries have no {}: install those that this program was made for ({}, {})",
                           name, libraries[0].file, libraries[1].file)};
}

Result<void> find_functions() {
#define RESPONDER_LIBAV_FIND(name) \
  if (auto found = find_function(#name, name); !found) return found;
  RESPONDER_LIBAV_FUNCTIONS(RESPONDER_LIBAV_FIND)
#undef RESPONDER_LIBAV_FIND
  return {};
}

}  // namespace

Result<void> load_libav() {
  constexpr std::size_t max_allocation = 192U << 20U;
  static std::mutex mutex;
  static bool is_loaded = false;
  const std::lock_guard lock(mutex);
  if (is_loaded) return {};
  auto loaded = open_libraries();
  if (loaded) loaded = find_functions();
  if (!loaded) return loaded;
  av_log_set_level(AV_LOG_FATAL);
  av_max_alloc(max_allocation);
  is_loaded = true;
  return {};
}

Result<void> load_footage_libraries() { return load_libav(); }

Error av_error(int code, std::string_view what) {
  if (code == AVERROR(ENOSPC) || code == AVERROR(EIO) || code == AVERROR(EDQUOT) || code == AVERROR(EROFS)) {
    return errno_error(AVUNERROR(code), what);
  }
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return Error{code == AVERROR(ENOMEM) ? ErrorKind::transient : ErrorKind::permanent,
               fmt::format("{}: {}", what, text.data())};
}

}  // namespace responder::media
