// Size and SHA-256 of many files, one after the other, at the speed of the disk: a thread of its own reads ahead,
// from one file on to the next, while the caller hashes. What was read is not left in the system's cache: a pass over
// the whole archive would push out what others need.
//
// A BulkDigest belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"

namespace responder::archive {

struct FileDigest {
  std::uint64_t bytes = 0;
  std::string sha256;  // hex
};

class BulkDigest {
 public:
  // At most so many bytes a second are read; 0: as fast as it goes. The clock outlives the object.
  BulkDigest(std::uint64_t bytes_a_second, Clock& clock);
  // Joins the reader: after stop() alone may that take long.
  ~BulkDigest();
  BulkDigest(const BulkDigest&) = delete;
  BulkDigest& operator=(const BulkDigest&) = delete;

  // Puts a file in line. One that cannot be read is an Error of its own, and the next one follows: not_found when it
  // is not there.
  void add(std::filesystem::path file);

  // Hashes what has been read, for about as long as `patience`: the first file that is not finished yet, if it was
  // then; nullopt: ask again.
  std::optional<Result<FileDigest>> next(std::chrono::milliseconds patience);

  // Of all files so far.
  std::uint64_t bytes_hashed() const { return bytes_hashed_; }

  // Ends the reading. False when the disk holds it up for longer than `deadline`: the thread is left behind.
  bool stop(std::chrono::milliseconds deadline);

 private:
  struct Reader;
  struct Hasher;
  std::shared_ptr<Reader> reader_;
  std::unique_ptr<Hasher> hasher_;
  std::uint64_t bytes_hashed_ = 0;
};

}  // namespace responder::archive
