// "Warning: using insecure memory!" comes from libgcrypt at the start of every process that may lock no memory.
// libssh starts libgcrypt as soon as it is loaded, and libavformat loads libssh, for addresses that we never open.
// Nothing of ours is in that memory, so nobody has to read about it. Only code that runs before the libraries' own
// can prevent it.
#include <dlfcn.h>

// The sanitizers' own code has to be the first.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && !__has_feature(memory_sanitizer)

namespace {

void disable_warning(int, char**, char**) {
  constexpr int disable_secmem_warn = 27;  // GCRYCTL_DISABLE_SECMEM_WARN of gcrypt.h
  void* const found = ::dlsym(RTLD_DEFAULT, "gcry_control");
  if (found != nullptr) reinterpret_cast<int (*)(int, ...)>(found)(disable_secmem_warn);
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**, char**) = disable_warning;

}  // namespace

#endif
#endif
