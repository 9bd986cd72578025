// A file system that cannot do all that ours can, as shares, sticks and encrypted folders are: calls of the C library
// answer for the files below a folder as told. For the test program that this is linked into.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <string>

namespace responder::test {

// One at a time; what it is told is over with it. Set it up before threads use files.
class OddStorage {
 public:
  explicit OddStorage(std::filesystem::path root);
  ~OddStorage();
  OddStorage(const OddStorage&) = delete;
  OddStorage& operator=(const OddStorage&) = delete;

  // errno values; 0: as ever.
  std::atomic<int> folder_sync_error{0};
  std::atomic<int> link_error{0};
  std::atomic<int> replace_error{0};   // of rename(), where there is a file already
  std::atomic<int> sidecar_error{0};   // of opening and looking at NAME.json
  std::atomic<int> figures_error{0};   // of statvfs()
  std::atomic<bool> no_blocks{false};  // statvfs() says that there are none
  std::atomic<bool> too_many_free{false};
  std::atomic<std::size_t> longest_name{0};  // bytes; 0: as ever
  std::atomic<bool> tells_longest_name{false};
  std::atomic<bool> folds_case{false};
  // Before a file is written to, with its path; before one is opened.
  std::function<void(const std::string&)> before_write = {};
  std::function<void(const std::string&)> before_open = {};

  std::set<std::string> synced_folders();  // wherever they are

  // For the calls themselves.
  static OddStorage* present();
  bool is_below(const std::string& path) const;
  std::string as_stored(const std::string& path) const;  // where case is folded
  bool is_too_long(const std::string& path) const;
  void note_folder_sync(const std::string& path);

 private:
  const std::string root_;
  std::mutex mutex_;
  std::set<std::string> synced_folders_;
};

}  // namespace responder::test
