#include "faulty_system.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <stdexcept>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.hpp"

namespace faulty_system {
namespace {

namespace fs = std::filesystem;

struct Entry {
  EntryHeader header;
  std::string a, b, before, after;
  bool survives = false;

  bool is_data() const { return header.op == Op::write || header.op == Op::truncate; }
  bool is_sync() const {
    return header.op == Op::sync_file || header.op == Op::sync_folder || header.op == Op::failed_sync;
  }
  // The folder whose sync makes it last.
  fs::path folder() const { return fs::path(b.empty() ? a : b).parent_path(); }
};

void read_record(const fs::path& file, std::vector<Entry>& entries) {
  std::ifstream in(file, std::ios::binary);
  while (true) {
    Entry entry{};
    if (!in.read(reinterpret_cast<char*>(&entry.header), sizeof entry.header)) return;
    const auto read = [&](std::string& into, std::size_t size) {
      into.resize(size);
      in.read(into.data(), static_cast<std::streamsize>(size));
    };
    read(entry.a, entry.header.a_size);
    read(entry.b, entry.header.b_size);
    read(entry.before, entry.header.before_size);
    read(entry.after, entry.header.after_size);
    if (!in) return;  // the kill came in the middle of it: it was not done
    entries.push_back(std::move(entry));
  }
}

// Marks what the syncs in the record have made to last.
void mark_synced(std::vector<Entry>& entries) {
  std::map<std::uint64_t, std::vector<Entry*>> unsynced_data;
  std::map<fs::path, std::vector<Entry*>> unsynced_names;
  for (auto& entry : entries) {
    switch (entry.header.op) {
      case Op::sync_file:
        for (auto* one : unsynced_data[entry.header.inode]) one->survives = true;
        unsynced_data[entry.header.inode].clear();
        break;
      case Op::failed_sync: unsynced_data[entry.header.inode].clear(); break;  // lost for good
      case Op::sync_folder:
        for (auto* one : unsynced_names[entry.a]) one->survives = true;
        unsynced_names[entry.a].clear();
        break;
      case Op::write:
      case Op::truncate: unsynced_data[entry.header.inode].push_back(&entry); break;
      default: unsynced_names[entry.folder()].push_back(&entry);
    }
  }
}

// Of each file and each folder, what came before some moment reached the disk although nobody had asked for it.
void spare_some(std::vector<Entry>& entries, std::minstd_rand& random) {
  std::map<std::string, std::vector<Entry*>> by_object;
  for (auto& entry : entries) {
    if (entry.survives || entry.is_sync()) continue;
    by_object[entry.is_data() ? std::to_string(entry.header.inode) : entry.folder().string()].push_back(&entry);
  }
  for (auto& [object, lost] : by_object) {
    const auto spared = std::uniform_int_distribution<std::size_t>(0, lost.size())(random);
    for (std::size_t i = 0; i < spared; ++i) lost[i]->survives = true;
  }
}

std::map<std::uint64_t, fs::path> files_by_inode(const fs::path& root, const fs::path& graves) {
  std::map<std::uint64_t, fs::path> files;
  for (const auto& folder : {graves, root}) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      struct stat info {};
      if (entry.is_regular_file() && ::lstat(entry.path().c_str(), &info) == 0) files[info.st_ino] = entry.path();
    }
  }
  return files;
}

void undo_data(int fd, const Entry& entry) {
  const auto& header = entry.header;
  if (!entry.before.empty() && ::pwrite(fd, entry.before.data(), entry.before.size(), header.offset) !=
                                   static_cast<ssize_t>(entry.before.size()))
    throw std::runtime_error("cannot undo a write");
  if (::ftruncate(fd, header.old_size) != 0) throw std::runtime_error("cannot undo a size");
}

void redo_data(int fd, const Entry& entry) {
  const auto& header = entry.header;
  const bool done = header.op == Op::truncate ? ::ftruncate(fd, header.offset) == 0
                                              : ::pwrite(fd, entry.after.data(), entry.after.size(), header.offset) ==
                                                    static_cast<ssize_t>(entry.after.size());
  if (!done) throw std::runtime_error("cannot redo a write");
}

// Back to before the first write that is lost, then on with those that are not.
void take_back_data(const fs::path& file, const std::vector<Entry*>& entries) {
  const auto first_lost =
      std::find_if(entries.begin(), entries.end(), [](const Entry* one) { return !one->survives; });
  if (first_lost == entries.end()) return;
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("cannot open " + file.string());
  for (auto one = entries.end(); one != first_lost;) undo_data(fd, **--one);
  for (auto one = first_lost; one != entries.end(); ++one) {
    if ((*one)->survives) redo_data(fd, **one);
  }
  ::close(fd);
}

std::uint64_t inode_of(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

void take_back_name(const Entry& entry, const std::vector<fs::path>& graves_of) {
  std::error_code ignored;
  const auto from_grave = [&](const std::string& path) {
    if (entry.header.grave == 0) return;
    for (const auto& grave : graves_of) fs::create_hard_link(grave, path, ignored);
  };
  switch (entry.header.op) {
    case Op::create:
      if (inode_of(entry.a) == entry.header.inode) fs::remove(entry.a, ignored);
      break;
    case Op::link:
      if (inode_of(entry.b) == entry.header.inode) fs::remove(entry.b, ignored);
      break;
    case Op::rename:
      if (inode_of(entry.b) != entry.header.inode) break;
      fs::rename(entry.b, entry.a, ignored);
      from_grave(entry.b);
      break;
    case Op::unlink: from_grave(entry.a); break;
    case Op::make_folder: fs::remove_all(entry.a, ignored); break;
    case Op::remove_folder: fs::create_directory(entry.a, ignored); break;
    default: break;
  }
}

}  // namespace

FaultySystem::FaultySystem(const fs::path& root) : root_(root), beside_(root.string() + ".faulty") {
  fs::create_directories(root_);
  fs::create_directories(beside_ / "graves");
  const int fd = ::open((beside_ / "controls").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(Controls)) != 0) throw std::runtime_error("no controls");
  void* mapped = ::mmap(nullptr, sizeof(Controls), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (mapped == MAP_FAILED) throw std::runtime_error("no controls");
  controls_ = static_cast<Controls*>(mapped);
}

FaultySystem::~FaultySystem() {
  ::munmap(controls_, sizeof(Controls));
  std::error_code ignored;
  fs::remove_all(beside_, ignored);
}

std::map<std::string, std::string> FaultySystem::environment() const {
  return {{"LD_PRELOAD", FAULTY_SYSTEM_LIBRARY},
          {"FAULTY_SYSTEM_ROOT", root_.string()},
          {"FAULTY_SYSTEM_BESIDE", beside_.string()},
          // A program that was built with the sanitizer minds who was loaded before its runtime.
          {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
}

std::size_t FaultySystem::cut_power(std::minstd_rand* random) {
  std::set<fs::path> records;
  for (const auto& file : fs::directory_iterator(beside_)) {
    if (file.path().filename().string().starts_with("record-")) records.insert(file.path());
  }
  std::vector<Entry> entries;
  for (const auto& record : records) read_record(record, entries);
  mark_synced(entries);
  if (random != nullptr) spare_some(entries, *random);

  const auto files = files_by_inode(root_, beside_ / "graves");
  std::map<std::uint64_t, std::vector<Entry*>> data;
  std::size_t taken_back = 0;
  for (auto& entry : entries) {
    if (entry.is_data()) data[entry.header.inode].push_back(&entry);
    if (!entry.survives && !entry.is_sync()) ++taken_back;
  }
  for (const auto& [inode, writes] : data) {
    if (const auto file = files.find(inode); file != files.end()) take_back_data(file->second, writes);
  }
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->survives || entry->is_data() || entry->is_sync()) continue;
    std::vector<fs::path> graves;
    if (entry->header.grave != 0) {
      for (const auto& grave : fs::directory_iterator(beside_ / "graves")) {
        if (grave.path().filename().string().ends_with("-" + std::to_string(entry->header.grave)))
          graves.push_back(grave.path());
      }
    }
    take_back_name(*entry, graves);
  }
  for (const auto& grave : fs::directory_iterator(beside_ / "graves")) fs::remove(grave.path());
  for (const auto& record : records) fs::remove(record);
  return taken_back;
}

}  // namespace faulty_system
