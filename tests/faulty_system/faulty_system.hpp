// A system that misbehaves, for a program under test: a library that is preloaded into it. It writes a record of
// everything the program does to files below a folder, so that a power cut can be made of a kill: whatever was not
// synced is taken back. And it can be told, while the program runs, to have a full disk, to fail syncs, to set the
// clock, to have a disk of another size, or to fail calls on its listener's sockets.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <string>

namespace faulty_system {

// Shared with the program through a mapped file.
struct Controls {
  std::atomic<std::int64_t> clock_offset_ms;
  // Of the files whose names contain "journal.db".
  std::atomic<std::int32_t> journal_disk_full;
  // So many of the next syncs of the journal fail, and what they should have written never reaches the disk, whatever
  // later syncs say: what Linux does.
  std::atomic<std::int32_t> failing_journal_syncs;
  // The size of the disk on which the root is, which holds nothing but what is below the root; 0: as it is.
  std::atomic<std::int64_t> disk_bytes;
  // That disk has snapshots: what was written takes its place even when it is removed.
  std::atomic<std::int32_t> disk_keeps_what_is_removed;
  // Of what is below a folder named "clips", as a share, a stick or an encrypted folder is. Errors are errno values.
  std::atomic<std::int32_t> archive_folder_sync_error;
  std::atomic<std::int32_t> archive_link_error;
  std::atomic<std::int32_t> archive_has_no_figures;  // it does not tell its size
  std::atomic<std::int32_t> archive_longest_name;    // bytes; 0: as it is
  std::atomic<std::int32_t> archive_folds_case;      // "Lobby" and "lobby" are one file; ASCII alone
  std::atomic<std::int32_t> archive_hangs;           // who opens a file of it, or asks for its room, waits
  // Names are not resolved: who asks waits.
  std::atomic<std::int32_t> names_hang;
  // How many wait for either just now.
  std::atomic<std::int32_t> waiting;
  // So many of the next calls of accept4() fail, with this errno; and how many calls there were.
  std::atomic<std::int32_t> failing_accepts;
  std::atomic<std::int32_t> accept_errno;
  std::atomic<std::int32_t> accept_calls;
  // On connections to this port of the program, the n-th next recv() or send() fails with ECONNRESET; 0: none does.
  std::atomic<std::int32_t> listener_port;
  std::atomic<std::int32_t> reset_at_receive;
  std::atomic<std::int32_t> reset_at_send;
};

class FaultySystem {
 public:
  // `root`: the folder that is watched. The record and a graveyard for removed files are made beside it.
  explicit FaultySystem(const std::filesystem::path& root);
  ~FaultySystem();
  FaultySystem(const FaultySystem&) = delete;
  FaultySystem& operator=(const FaultySystem&) = delete;

  std::map<std::string, std::string> environment() const;
  Controls& controls() { return *controls_; }

  // After the program was killed: takes back what was not synced. All of it, or with `random` for each file and each
  // folder what came after some moment. Returns how many operations were taken back. A new record begins.
  std::size_t cut_power(std::minstd_rand* random);

 private:
  const std::filesystem::path root_;
  const std::filesystem::path beside_;
  Controls* controls_ = nullptr;
};

}  // namespace faulty_system
