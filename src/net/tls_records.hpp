// The bytes of a TLS client, handed to OpenSSL one record at a time. OpenSSL reads on by itself behind a record that
// holds no data for us (a key update, a refused renegotiation, an empty record, a warning), for as long as there is
// input. Given one record it stops after that one, so no call into it works on more than 18 KiB, whatever the client
// sends. Of one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <openssl/bio.h>

namespace responder::net {

class TlsRecords {
 public:
  // What OpenSSL refuses as too long, in TLS 1.2 and 1.3.
  static constexpr std::size_t header_size = 5;
  static constexpr std::size_t max_record = header_size + 16 * 1024 + 2048;

  // Bytes from the socket, in their order.
  void add(std::string_view bytes);

  // The size of the first record with its header, once the header is there.
  std::optional<std::size_t> first_size() const;
  bool is_first_complete() const;
  bool is_too_long() const { return first_size().value_or(0) > max_record; }
  bool empty() const { return taken_ == buffer_.size(); }
  // Of the first byte; requires !empty().
  unsigned char type() const { return static_cast<unsigned char>(buffer_[taken_]); }

  // Makes the first record readable; requires is_first_complete(). Returns its size, 0 when it was readable already.
  std::size_t release_first();
  // Takes up to `out.size()` of the bytes that were released; 0: there are none left.
  std::size_t read(std::span<char> out);

  // Whether read() was called in vain since forget_starved(): the reader has worked off all that it was given.
  bool starved() const { return starved_; }
  void forget_starved() { starved_ = false; }

  std::size_t memory() const { return buffer_.capacity(); }  // bytes

 private:
  std::string buffer_;
  std::size_t taken_ = 0;  // bytes at its begin that were read
  bool starved_ = false;
  std::size_t released_ = 0;  // end of what may be read; at or before taken_: nothing
};

// A BIO that reads what `records` has released, asks to be tried again when that is all, and writes to the socket
// `fd`. `records` must outlive it; the socket stays the caller's. nullptr: no memory.
BIO* make_record_bio(TlsRecords& records, int fd);

}  // namespace responder::net
