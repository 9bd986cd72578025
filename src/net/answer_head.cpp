#include "answer_head.hpp"

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

constexpr std::size_t max_bytes = 256 * 1024;
constexpr std::size_t max_lines = 1000;
constexpr int switching_protocols = 101;  // nothing follows it
constexpr int first_final_status = 200;

}  // namespace

AnswerHead::Step AnswerHead::add(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > max_bytes || ++lines_ > max_lines) return Step::too_large;
  if (complete_) return Step::more;
  const auto text = trim(line);
  if (line.starts_with("HTTP/")) {
    start(text);
  } else if (text.empty()) {
    complete_ = response_.status >= first_final_status || response_.status == switching_protocols;
    if (complete_) return Step::complete;
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    response_.headers.emplace_back(text.substr(0, colon), trim(text.substr(colon + 1)));
  }
  return Step::more;
}

void AnswerHead::start(std::string_view status_line) {
  constexpr std::size_t digits = 3;
  response_ = {};
  const auto space = status_line.find(' ');
  if (space == std::string_view::npos) return;
  // As libcurl reads it, which does not mind how many spaces there are.
  response_.status = static_cast<int>(parse_int(trim(status_line.substr(space)).substr(0, digits)).value_or(0));
}

}  // namespace responder::net
