#include "responder/archive/bulk_digest.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/synchronized.hpp"

#include "sha256.hpp"

namespace responder::archive {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::size_t chunk_bytes = 1U << 20U;
constexpr std::size_t chunks_ahead = 8;
constexpr off_t forget_every = 16 << 20;  // bytes of a file

// Keeps a rate. What was not used of it is gone, but for a moment's worth.
class Pace {
 public:
  explicit Pace(std::uint64_t bytes_a_second) : bytes_a_second_(bytes_a_second) {}

  // What to read at once, so that it comes evenly.
  std::size_t chunk() const {
    constexpr std::uint64_t least = 4096;
    if (bytes_a_second_ == 0) return chunk_bytes;
    return static_cast<std::size_t>(std::clamp<std::uint64_t>(bytes_a_second_ / 8, least, chunk_bytes));
  }
  // How long to wait after so many bytes.
  milliseconds after(std::size_t bytes, SteadyTime now) {
    if (bytes_a_second_ == 0) return milliseconds(0);
    const std::chrono::duration<double> takes(static_cast<double>(bytes) / static_cast<double>(bytes_a_second_));
    paid_until_ =
        std::max(paid_until_, now - milliseconds(100)) + std::chrono::duration_cast<SteadyTime::duration>(takes);
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(paid_until_ - now));
  }

 private:
  const std::uint64_t bytes_a_second_;
  SteadyTime paid_until_{};
};

}  // namespace

// Shared with its thread, which may be left behind.
struct BulkDigest::Reader {
  // What the thread hands over: bytes, or the end of a file.
  struct Piece {
    std::vector<unsigned char> buffer;
    std::size_t size = 0;
    std::optional<Result<void>> end;
  };
  struct State {
    std::deque<fs::path> files;
    std::deque<Piece> pieces;
    std::vector<std::vector<unsigned char>> spare;
    bool over = false;
  };

  Reader(std::uint64_t bytes_a_second, Clock& clock_) : pace(bytes_a_second), clock(clock_) {}

  void run();
  Result<void> read(const fs::path& file);
  bool hand_over(Piece piece);
  std::vector<unsigned char> spare_buffer();

  Pace pace;
  Clock& clock;
  Synchronized<State> state;
  std::stop_source stopping;
  std::thread thread;
};

struct BulkDigest::Hasher {
  Sha256 hash;
  std::uint64_t bytes = 0;
};

std::vector<unsigned char> BulkDigest::Reader::spare_buffer() {
  auto held = state.lock();
  if (held->spare.empty()) return std::vector<unsigned char>(chunk_bytes);
  auto buffer = std::move(held->spare.back());
  held->spare.pop_back();
  return buffer;
}

// False when it is to stop.
bool BulkDigest::Reader::hand_over(Piece piece) {
  {
    auto held = state.lock();
    if (!held.wait(stopping.get_token(), [&] { return held->pieces.size() < chunks_ahead; })) return false;
    held->pieces.push_back(std::move(piece));
  }
  state.notify_all();
  return true;
}

Result<void> BulkDigest::Reader::read(const fs::path& path) {
  const Error stopped{ErrorKind::cancelled, "interrupted"};
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error(errno, fmt::format("cannot read {}", path.string()));
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  off_t done = 0;
  off_t forgotten = 0;
  while (true) {
    Piece piece{.buffer = spare_buffer(), .size = 0, .end = {}};
    const ssize_t got = ::read(file.get(), piece.buffer.data(), pace.chunk());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, fmt::format("cannot read {}", path.string()));
    done += got;
    if (got == 0 || done - forgotten >= forget_every) {
      ::posix_fadvise(file.get(), forgotten, done - forgotten, POSIX_FADV_DONTNEED);
      forgotten = done;
    }
    if (got == 0) return {};
    piece.size = static_cast<std::size_t>(got);
    const auto pause = pace.after(piece.size, clock.steady_now());
    if (!hand_over(std::move(piece))) return stopped;
    if (pause > milliseconds(0) && !clock.sleep(pause, stopping.get_token())) return stopped;
  }
}

void BulkDigest::Reader::run() {
  const auto stop = stopping.get_token();
  while (true) {
    fs::path file;
    {
      auto held = state.lock();
      if (!held.wait(stop, [&] { return !held->files.empty(); })) break;
      file = std::move(held->files.front());
      held->files.pop_front();
    }
    if (!hand_over({.buffer = {}, .size = 0, .end = read(file)})) break;
  }
  state.lock()->over = true;
  state.notify_all();
}

BulkDigest::BulkDigest(std::uint64_t bytes_a_second, Clock& clock)
    : reader_(std::make_shared<Reader>(bytes_a_second, clock)), hasher_(std::make_unique<Hasher>()) {
  reader_->thread = std::thread([reader = reader_] { reader->run(); });
}

BulkDigest::~BulkDigest() {
  reader_->stopping.request_stop();
  if (reader_->thread.joinable()) reader_->thread.join();
}

void BulkDigest::add(fs::path file) {
  reader_->state.lock()->files.push_back(std::move(file));
  reader_->state.notify_all();
}

std::optional<Result<FileDigest>> BulkDigest::next(milliseconds patience) {
  const auto deadline = reader_->clock.steady_now() + patience;
  while (true) {
    Reader::Piece piece;
    {
      auto held = reader_->state.lock();
      if (!held.wait_for({}, patience, [&] { return !held->pieces.empty(); })) return std::nullopt;
      piece = std::move(held->pieces.front());
      held->pieces.pop_front();
    }
    reader_->state.notify_all();
    if (piece.end) {
      const FileDigest digest{std::exchange(hasher_->bytes, 0), hasher_->hash.hex()};
      return *piece.end ? Result<FileDigest>(digest) : piece.end->error();
    }
    hasher_->hash.update(std::span(piece.buffer).first(piece.size));
    hasher_->bytes += piece.size;
    bytes_hashed_ += piece.size;
    reader_->state.lock()->spare.push_back(std::move(piece.buffer));
    if (reader_->clock.steady_now() >= deadline) return std::nullopt;
  }
}

bool BulkDigest::stop(milliseconds deadline) {
  reader_->stopping.request_stop();
  {
    auto held = reader_->state.lock();
    if (!held.wait_for({}, deadline, [&] { return held->over; })) {
      reader_->thread.detach();
      return false;
    }
  }
  reader_->thread.join();
  return true;
}

}  // namespace responder::archive
