// Finds where one HTTP/1.1 request ends in a stream of bytes, under caps, before anything else looks at it. Pure: no
// sockets, no clock. What two parsers could read in two ways (request smuggling) is refused, not guessed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace responder::net {

struct FrameLimits {
  std::size_t max_head_bytes = 16 * 1024;
  std::size_t max_headers = 100;
  std::size_t max_body_bytes = 256 * 1024;
};

using HeaderFields = std::vector<std::pair<std::string, std::string>>;

class RequestFramer {
 public:
  enum class State {
    need_more,      // give it more bytes
    send_continue,  // the client waits for "100 Continue"; then give it more bytes
    complete,       // head() and body() are one request
    refused,        // refusal_status() and refusal_reason(); the connection cannot be used further
  };

  explicit RequestFramer(FrameLimits limits) : limits_(limits) {}

  State feed(std::string_view bytes);

  bool started() const { return !rest().empty() || stage_ != Stage::head; }
  std::size_t memory() const { return buffer_.capacity() + body_.capacity(); }  // bytes, without the head
  // Request line and fields, with the blank line. A target that named scheme and host is its path and query alone.
  const std::string& head() const { return head_; }
  // As they stand in the head: neither decoded nor joined.
  const HeaderFields& fields() const { return fields_; }
  std::string& body() { return body_; }  // chunks already joined; may be moved away
  bool keep_alive() const { return keep_alive_; }
  int refusal_status() const { return refusal_status_; }
  std::string_view refusal_reason() const { return refusal_reason_; }

  // Ready for the next request; bytes that came after this one are kept.
  State next();

 private:
  enum class Stage { head, sized_body, chunk_size, chunk_data, chunk_end, trailer, done };

  std::string_view rest() const { return std::string_view(buffer_).substr(taken_); }
  void take_body(std::size_t most);
  State advance();
  bool skip_empty_lines();
  void drop_authority();
  State take_head();
  State take_sized_body();
  State take_chunk_size();
  State take_chunk_data();
  State take_trailer();
  bool check_request_line(std::string_view line);
  bool check_field(std::string_view line);
  State refuse(int status, std::string_view reason);

  FrameLimits limits_;
  Stage stage_ = Stage::head;
  std::string buffer_;
  std::size_t taken_ = 0;           // so much of it is done with
  std::size_t searched_ = 0;        // so much of the rest holds no end of a head
  std::size_t empty_lines_ = 0;     // before the request line
  std::size_t authority_size_ = 0;  // of the target's scheme and authority
  std::string head_;
  HeaderFields fields_;
  std::string body_;
  std::size_t remaining_ = 0;      // of the sized body or of the chunk
  std::size_t around_chunks_ = 0;  // bytes of their sizes and line ends
  std::size_t trailer_bytes_ = 0;
  bool has_host_ = false;
  bool has_length_ = false;
  bool chunked_ = false;
  bool expects_continue_ = false;
  bool keep_alive_ = true;
  bool version_1_0_ = false;
  int refusal_status_ = 0;
  std::string_view refusal_reason_;
};

}  // namespace responder::net
