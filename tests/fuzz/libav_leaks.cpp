// libavformat 5.1 forgets a table when it writes the index of very little Opus (mov_preroll_write_stbl_atoms). What
// av_write_trailer allocates is not held against us.
#include <dlfcn.h>
#include <sanitizer/lsan_interface.h>

struct AVFormatContext;

extern "C" int av_write_trailer(AVFormatContext* context) {
  static const auto original = reinterpret_cast<int (*)(AVFormatContext*)>(::dlsym(RTLD_NEXT, "av_write_trailer"));
  const __lsan::ScopedDisabler not_ours;
  return original(context);
}
