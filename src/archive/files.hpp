// How the archive's files are read, written and named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "responder/base/error.hpp"

namespace responder::archive {

// Reads the whole file through `take`, in order.
Result<std::uint64_t> each_chunk(const std::filesystem::path& path,
                                 const std::function<Result<void>(std::span<const unsigned char>)>& take);

// In the place of what stands there.
Result<void> write_synced(const std::filesystem::path& path, std::string_view text);
Result<void> rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
// Where a share refuses to put a file in the place of another, the other is first moved out of the way: back where
// the new one does not come.
Result<void> replace_file(const std::filesystem::path& from, const std::filesystem::path& to);
void remove_quietly(const std::filesystem::path& path);

// The name of a file while it is written: hidden, so that nobody takes it for a clip.
std::filesystem::path temporary(const std::filesystem::path& final_path);

}  // namespace responder::archive
