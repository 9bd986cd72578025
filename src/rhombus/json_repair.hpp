// Text that is JSON but for a few characters or numbers, made fit for a strict parser.
#pragma once

#include <string>
#include <string_view>

namespace responder::rhombus::json {

// `text` with replacements for what makes a strict parser refuse a whole document, so that one odd value does not
// cost all the others:
//   in a string: a byte that is not UTF-8, and an escape that is half of a surrogate pair, become U+FFFD; a control
//   character becomes a space;
//   a number that fits into neither 64 bits nor a double becomes null.
// Everything else that is wrong stays as it is, for the parser to refuse. Text that is valid JSON keeps its meaning.
// Pure. The result is at most three times as long.
std::string repair(std::string_view text);

// Whether a string of a repaired text holds what repair() puts in: it may have been another one before.
bool may_be_repaired(std::string_view string);

}  // namespace responder::rhombus::json
