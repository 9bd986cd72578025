// The head of an answer, line by line, within bounds.
#pragma once

#include <cstddef>
#include <string_view>

#include "responder/net/http_client.hpp"

namespace responder::net {

class AnswerHead {
 public:
  enum class Step { more, complete, too_large };

  // One line as it came, its end included: status lines, fields, the empty line, and trailers after the body. Interim
  // answers (1xx) and trailers count towards the bounds and are left out. `complete` is returned once.
  Step add(std::string_view line);

  bool is_complete() const { return complete_; }
  bool is_empty() const { return bytes_ == 0; }
  Response& response() { return response_; }

 private:
  void start(std::string_view status_line);

  Response response_;
  bool complete_ = false;
  std::size_t bytes_ = 0;
  std::size_t lines_ = 0;
};

}  // namespace responder::net
