#include "tls_records.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace responder::net {
namespace {

struct Ends {
  TlsRecords& records;
  int fd;
};

Ends& ends_of(BIO* bio) { return *static_cast<Ends*>(BIO_get_data(bio)); }

int read_record(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  const auto got = ends_of(bio).records.read(std::span(out, static_cast<std::size_t>(std::max(size, 0))));
  if (got > 0) return static_cast<int>(got);
  BIO_set_retry_read(bio);
  return -1;
}

int write_socket(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(ends_of(bio).fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int free_ends(BIO* bio) {
  delete static_cast<Ends*>(BIO_get_data(bio));
  return 1;
}

const BIO_METHOD* record_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "TLS records");
    BIO_meth_set_read(made, read_record);
    BIO_meth_set_write(made, write_socket);
    BIO_meth_set_ctrl(made, control);
    BIO_meth_set_destroy(made, free_ends);
    return made;
  }();
  return method;
}

}  // namespace

void TlsRecords::add(std::string_view bytes) {
  // Once for all that was read since: a client of tiny records takes hundreds of pieces off.
  buffer_.erase(0, taken_);
  released_ -= std::min(taken_, released_);
  taken_ = 0;
  buffer_ += bytes;
}

std::optional<std::size_t> TlsRecords::first_size() const {
  if (buffer_.size() - taken_ < header_size) return std::nullopt;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(buffer_[taken_ + at]); };
  return header_size + byte(3) * 256U + byte(4);
}

bool TlsRecords::is_first_complete() const {
  if (released_ > taken_) return true;  // OpenSSL has left some of it: it could not write what it had to first
  const auto size = first_size();
  return size && buffer_.size() - taken_ >= *size;
}

std::size_t TlsRecords::release_first() {
  if (released_ > taken_) return 0;
  released_ = taken_ + first_size().value_or(0);
  return released_ - taken_;
}

std::size_t TlsRecords::read(std::span<char> out) {
  const auto count = std::min(out.size(), std::max(released_, taken_) - taken_);
  if (count == 0) starved_ = true;
  std::memcpy(out.data(), buffer_.data() + taken_, count);
  taken_ += count;
  if (taken_ == buffer_.size()) {
    std::string().swap(buffer_);  // an assignment would keep the memory
    taken_ = 0;
    released_ = 0;
  }
  return count;
}

BIO* make_record_bio(TlsRecords& records, int fd) {
  BIO* bio = BIO_new(record_method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, new Ends{records, fd});
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace responder::net
