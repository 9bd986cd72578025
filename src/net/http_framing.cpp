#include "responder/net/http_framing.hpp"

#include <algorithm>
#include <charconv>

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

bool is_token_char(char c) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

// Of a name, an address or a port (RFC 3986, 3.2.2).
bool is_host_char(char c) {
  constexpr std::string_view others = "-._~!$&'()*+,;=%:[]";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

// Of a target that names scheme and authority before its path (RFC 9112, 3.2.2), how many bytes those are; 0: it does
// not, or in a way that another parser could see a path in. The authority is a name or an address, with a port or
// without: neither user information nor percent-encoding, where others may find an end of it that we do not.
std::size_t authority_end(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!iequals(target.substr(0, scheme.size()), scheme)) continue;
    const auto end = std::min(target.find_first_of("/?", scheme.size()), target.size());
    const auto authority = target.substr(scheme.size(), end - scheme.size());
    const auto plain = [](char c) { return c != '%' && is_host_char(c); };
    if (authority.empty() || !std::all_of(authority.begin(), authority.end(), plain)) return 0;
    return end;
  }
  return 0;
}

bool is_field_text(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7F);
}

// Blanks and tabs only: what else looks like white space is refused, as others may not take it for that.
std::string_view trim_field(std::string_view value) {
  const auto begin = value.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return value.substr(begin, value.find_last_not_of(" \t") - begin + 1);
}

bool has_list_item(std::string_view list, std::string_view item) {
  const auto items = split(list, ',');
  return std::any_of(items.begin(), items.end(), [&](const std::string& one) { return iequals(one, item); });
}

}  // namespace

RequestFramer::State RequestFramer::refuse(int status, std::string_view reason) {
  refusal_status_ = status;
  refusal_reason_ = reason;
  return State::refused;
}

RequestFramer::State RequestFramer::feed(std::string_view bytes) {
  if (refusal_status_ != 0) return State::refused;
  // Once for all that was taken since: a body of small chunks takes thousands of pieces off.
  buffer_.erase(0, taken_);
  taken_ = 0;
  buffer_ += bytes;
  return advance();
}

RequestFramer::State RequestFramer::next() {
  std::string buffer = std::move(buffer_);
  const auto taken = taken_;
  *this = RequestFramer(limits_);
  if (taken < buffer.size()) {
    buffer_ = std::move(buffer);
    taken_ = taken;
  }
  return rest().empty() ? State::need_more : advance();
}

RequestFramer::State RequestFramer::advance() {
  while (true) {
    const Stage before = stage_;
    State state = State::need_more;
    switch (stage_) {
      case Stage::head: state = take_head(); break;
      case Stage::sized_body: state = take_sized_body(); break;
      case Stage::chunk_size: state = take_chunk_size(); break;
      case Stage::chunk_data:
      case Stage::chunk_end: state = take_chunk_data(); break;
      case Stage::trailer: state = take_trailer(); break;
      case Stage::done: return State::complete;
    }
    if (state != State::need_more || stage_ == before) return state;
  }
}

bool RequestFramer::check_request_line(std::string_view line) {
  const auto method_end = line.find(' ');
  const auto target_end = line.rfind(' ');
  if (method_end == 0 || method_end == std::string_view::npos || target_end <= method_end + 1) return false;
  const auto method = line.substr(0, method_end);
  const auto target = line.substr(method_end + 1, target_end - method_end - 1);
  const auto version = line.substr(target_end + 1);
  if (!std::all_of(method.begin(), method.end(), is_token_char)) return false;
  if (target.front() != '/') {
    authority_size_ = authority_end(target);
    if (authority_size_ == 0 || target.find('#') != std::string_view::npos) return false;
  }
  const auto visible = [](char c) { return c > 0x20 && c < 0x7F; };
  if (!std::all_of(target.begin(), target.end(), visible)) return false;
  version_1_0_ = version == "HTTP/1.0";
  keep_alive_ = !version_1_0_;
  return version_1_0_ || version == "HTTP/1.1";
}

bool RequestFramer::check_field(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto name = line.substr(0, colon);
  const auto value = trim_field(line.substr(colon + 1));
  // A name followed by white space, and a line that continues the one before it, fail here too.
  if (!std::all_of(name.begin(), name.end(), is_token_char)) return false;
  if (!std::all_of(value.begin(), value.end(), is_field_text)) return false;

  if (iequals(name, "content-length")) {
    const bool digits = !value.empty() && value.size() <= 15 &&
                        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || has_length_) return false;
    has_length_ = true;
    remaining_ = static_cast<std::size_t>(*parse_int(value));
  } else if (iequals(name, "transfer-encoding")) {
    if (chunked_ || version_1_0_ || !iequals(value, "chunked")) return false;
    chunked_ = true;
  } else if (iequals(name, "connection")) {
    if (has_list_item(value, "close")) keep_alive_ = false;
    if (version_1_0_ && has_list_item(value, "keep-alive")) keep_alive_ = true;
  } else if (iequals(name, "expect")) {
    expects_continue_ = iequals(value, "100-continue");
  } else if (iequals(name, "host")) {
    if (has_host_ || !std::all_of(value.begin(), value.end(), is_host_char)) return false;
    has_host_ = true;
  }
  fields_.emplace_back(name, value);
  return !(has_length_ && chunked_);
}

// Some clients end a body with a line end that its length does not count (RFC 9112, 2.2).
bool RequestFramer::skip_empty_lines() {
  constexpr std::size_t most = 2;
  while (rest().starts_with("\r\n")) {
    if (++empty_lines_ > most) return false;
    taken_ += 2;
  }
  return rest() != "\r" || empty_lines_ < most;
}

// One form of target for all that follows: the path alone. What host it names changes nothing here.
void RequestFramer::drop_authority() {
  if (authority_size_ == 0) return;
  const auto target = head_.find(' ') + 1;
  const bool has_path = head_[target + authority_size_] == '/';
  head_.replace(target, authority_size_, has_path ? "" : "/");
}

RequestFramer::State RequestFramer::take_head() {
  if (!skip_empty_lines()) return refuse(400, "there are empty lines where a request line should be");
  if (rest() == "\r") return State::need_more;
  // TLS where there is none, say: no line end may ever come.
  if (!rest().empty() && !is_token_char(rest().front())) return refuse(400, "the request line is malformed");
  const auto end = rest().find("\r\n\r\n", searched_);
  if (end == std::string::npos) {
    searched_ = rest().size() < 3 ? 0 : rest().size() - 3;  // a drip does not search it all for each byte
    return rest().size() > limits_.max_head_bytes ? refuse(431, "the request head is too large") : State::need_more;
  }
  if (end + 4 > limits_.max_head_bytes) return refuse(431, "the request head is too large");

  head_ = rest().substr(0, end + 4);
  taken_ += end + 4;
  const std::string_view lines(head_.data(), end);
  std::size_t position = lines.find("\r\n");
  fields_.clear();
  if (!check_request_line(lines.substr(0, position))) return refuse(400, "the request line is malformed");
  std::size_t fields = 0;
  while (position != std::string_view::npos) {
    position += 2;
    const auto line_end = lines.find("\r\n", position);
    if (!check_field(lines.substr(position, line_end - position))) return refuse(400, "a header field is malformed");
    if (++fields > limits_.max_headers) return refuse(431, "there are too many header fields");
    position = line_end;
  }
  if (!has_host_ && !version_1_0_) return refuse(400, "the Host field is missing");
  drop_authority();

  if (remaining_ > limits_.max_body_bytes) return refuse(413, "the body is too large");
  if (!chunked_ && remaining_ == 0) {
    stage_ = Stage::done;
    return State::complete;
  }
  stage_ = chunked_ ? Stage::chunk_size : Stage::sized_body;
  return expects_continue_ && rest().empty() ? State::send_continue : State::need_more;
}

void RequestFramer::take_body(std::size_t most) {
  const auto part = rest().substr(0, most);
  body_ += part;
  taken_ += part.size();
  remaining_ -= part.size();
}

RequestFramer::State RequestFramer::take_sized_body() {
  take_body(remaining_);
  if (remaining_ > 0) return State::need_more;
  stage_ = Stage::done;
  return State::complete;
}

RequestFramer::State RequestFramer::take_chunk_size() {
  constexpr std::size_t max_line = 256;
  const auto end = rest().find("\r\n");
  if (end == std::string::npos || end > max_line) {
    const bool too_long = end != std::string::npos || rest().size() > max_line + 1;  // its line end may be cut in two
    return too_long ? refuse(400, "a chunk size is malformed") : State::need_more;
  }
  // Extensions after ';' are allowed and mean nothing here; a line end of another kind among them would to others.
  const auto line = rest().substr(0, end);
  const auto digits = line.substr(0, line.find(';'));
  std::size_t size = 0;
  if (digits.empty() || digits.size() > 8 || !std::all_of(line.begin(), line.end(), is_field_text))
    return refuse(400, "a chunk size is malformed");
  const auto* const end_of_digits = digits.data() + digits.size();
  constexpr int hexadecimal = 16;
  const auto parsed = std::from_chars(digits.data(), end_of_digits, size, hexadecimal);
  if (parsed.ec != std::errc() || parsed.ptr != end_of_digits) return refuse(400, "a chunk size is malformed");
  if (size > limits_.max_body_bytes - body_.size()) return refuse(413, "the body is too large");
  // What is round the chunks counts, too: some, but not several times what is in them.
  constexpr std::size_t enough = 64 * 1024;
  around_chunks_ += end + 4;
  if (around_chunks_ > enough + limits_.max_body_bytes / 8) return refuse(413, "the body is in too many chunks");
  taken_ += end + 2;
  remaining_ = size;
  stage_ = size == 0 ? Stage::trailer : Stage::chunk_data;
  return State::need_more;
}

RequestFramer::State RequestFramer::take_chunk_data() {
  if (stage_ == Stage::chunk_data) {
    take_body(remaining_);
    if (remaining_ > 0) return State::need_more;
    stage_ = Stage::chunk_end;
  }
  if (rest().size() < 2) return State::need_more;
  if (!rest().starts_with("\r\n")) return refuse(400, "a chunk is longer than its size");
  taken_ += 2;
  stage_ = Stage::chunk_size;
  return State::need_more;
}

RequestFramer::State RequestFramer::take_trailer() {
  while (true) {
    const auto end = rest().find("\r\n");
    if (end == std::string::npos) {
      const bool too_large = rest().size() > limits_.max_head_bytes;
      return too_large ? refuse(431, "the trailer is too large") : State::need_more;
    }
    trailer_bytes_ += end + 2;
    if (trailer_bytes_ > limits_.max_head_bytes) return refuse(431, "the trailer is too large");
    const auto line = rest().substr(0, end);
    taken_ += end + 2;
    if (line.empty()) break;
    const auto name = line.substr(0, line.find(':'));
    const bool is_field = !name.empty() && name.size() < line.size() &&
                          std::all_of(name.begin(), name.end(), is_token_char) &&
                          std::all_of(line.begin(), line.end(), is_field_text);
    if (!is_field) return refuse(400, "a trailer field is malformed");
  }
  stage_ = Stage::done;
  return State::complete;
}

}  // namespace responder::net
