// A folder in which files are handed over: each whole, synced and listed in SHA256SUMS, which `sha256sum -c` checks.
// What already stands there under a name is never replaced by something else. Belongs to one thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "responder/archive/bulk_digest.hpp"
#include "responder/base/error.hpp"

namespace responder::archive {

class HandOver {
 public:
  // Told of the bytes that were read; false ends it with an Error of kind cancelled.
  using Progress = std::function<bool(std::size_t)>;

  // Creates the folder if need be, and tries to write in it. The SHA256SUMS that it has is added to.
  static Result<HandOver> open(std::filesystem::path directory);

  // A copy that has not got its name yet; gone with the object, unless it is kept.
  class Copy {
   public:
    Copy(Copy&& other) noexcept;
    Copy& operator=(Copy&&) = delete;
    ~Copy();
    const FileDigest& digest() const { return digest_; }

   private:
    friend class HandOver;
    explicit Copy(std::filesystem::path part, std::string name) : part_(std::move(part)), name_(std::move(name)) {}

    std::filesystem::path part_;
    std::string name_;
    FileDigest digest_;
  };

  // Copies a file, to be kept as `name`, which is no path.
  Result<Copy> copy(const std::filesystem::path& from, const std::string& name, const Progress& progress) const;
  Result<Copy> write(std::string_view content, const std::string& name) const;
  // Gives it its name and lists it. A file of that name with the same content is as good; another one is an Error.
  Result<void> keep(Copy copy, const Progress& progress);
  // Whether a file of that name and content is there already; then it is listed.
  Result<bool> has(const std::string& name, const std::string& sha256, const Progress& progress);

  // Writes SHA256SUMS, synced, over all that was kept; none when there is nothing to list.
  Result<void> write_sums() const;

 private:
  // Fills a copy; `fill` is given what writes to it.
  using Take = std::function<Result<void>(std::span<const unsigned char>)>;
  explicit HandOver(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Result<Copy> make(const std::string& name, const std::function<Result<FileDigest>(const Take&)>& fill) const;

  std::filesystem::path directory_;
  std::map<std::string, std::string> sums_;  // by name
};

}  // namespace responder::archive
