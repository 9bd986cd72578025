#include "files.hpp"

#include <cerrno>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/file.hpp"

namespace responder::archive {

namespace fs = std::filesystem;

Result<std::uint64_t> each_chunk(const fs::path& path,
                                 const std::function<Result<void>(std::span<const unsigned char>)>& take) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error(errno, fmt::format("cannot read {}", path.string()));
  std::vector<unsigned char> buffer(256 * 1024);
  std::uint64_t total = 0;
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, fmt::format("cannot read {}", path.string()));
    if (got == 0) return total;
    if (auto taken = take(std::span(buffer).first(static_cast<std::size_t>(got))); !taken) return taken.error();
    total += static_cast<std::uint64_t>(got);
  }
}

Result<void> write_synced(const fs::path& path, std::string_view text) {
  remove_quietly(path);  // of an attempt that was cut off
  auto output = OutputFile::create(path, OutputFile::Mode::exclusive);
  if (!output) return output.error();
  if (auto written = output->write(text); !written) return written.error();
  if (auto synced = output->sync(); !synced) return synced.error();
  return output->close();
}

Result<void> rename_file(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot name {}", to.string()));
  return {};
}

Result<void> replace_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  const int why = errno;
  struct stat there {};
  const bool refuses_to_replace =
      (why == EEXIST || why == EPERM) && ::lstat(to.c_str(), &there) == 0 && S_ISREG(there.st_mode);
  if (!refuses_to_replace) return errno_error(why, fmt::format("cannot name {}", to.string()));
  const auto aside = to.parent_path() / ("." + to.filename().string() + ".old");
  remove_quietly(aside);  // of an attempt that was cut off
  if (auto moved = rename_file(to, aside); !moved) return moved;
  if (auto named = rename_file(from, to); !named) {
    std::error_code ignored;
    fs::rename(aside, to, ignored);
    return named;
  }
  remove_quietly(aside);
  return {};
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

fs::path temporary(const fs::path& final_path) {
  // A folder that takes the final name must take this one, too.
  constexpr std::size_t fits_everywhere = 137;
  const auto name = final_path.filename().string();
  return final_path.parent_path() / (name.size() <= fits_everywhere
                                         ? "." + name + ".part"
                                         : fmt::format(".{:016x}.part", std::hash<std::string>{}(name)));
}

}  // namespace responder::archive
