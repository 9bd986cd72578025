// The record's form: entries one after another, each a header, two paths and two runs of bytes.
#pragma once

#include <cstdint>

namespace faulty_system {

enum class Op : std::uint32_t {
  write,          // before: what was there; after: what was written
  truncate,       // before: what was cut off
  create,         // a
  unlink,         // a; `grave` has the file
  rename,         // a to b; `grave` has what b was, if anything
  link,           // a to b
  make_folder,    // a
  remove_folder,  // a
  sync_file,
  sync_folder,  // a
  failed_sync,  // what was written to the file so far is lost, unless it was synced before
};

struct EntryHeader {
  Op op;
  std::uint32_t grave = 0;  // the number of a file in the graveyard; 0: none
  std::uint64_t inode = 0;
  std::int64_t offset = 0;
  std::int64_t old_size = 0;
  std::uint32_t a_size = 0;
  std::uint32_t b_size = 0;
  std::uint64_t before_size = 0;
  std::uint64_t after_size = 0;
};

}  // namespace faulty_system
