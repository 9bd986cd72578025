// Work in progress, one folder for each capture, on a local disk. Nothing in it is promised to anybody: what is found
// there is checked before it is used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "responder/base/error.hpp"

namespace responder::archive {

class Spool {
 public:
  explicit Spool(std::filesystem::path directory) : directory_(std::move(directory)) {}

  Result<std::filesystem::path> folder_of(std::int64_t capture) const;  // created if need be
  void remove(std::int64_t capture) const;

  // Removes the folders of captures that `still_wanted` denies.
  void sweep(const std::function<bool(std::int64_t)>& still_wanted) const;

 private:
  std::filesystem::path directory_;
};

}  // namespace responder::archive
