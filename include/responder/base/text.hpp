// Small text helpers shared by several rooms.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace responder {

std::string to_hex(std::span<const unsigned char> bytes);               // lower case
std::string_view trim(std::string_view text);                           // ASCII white space off both ends
std::vector<std::string> split(std::string_view text, char separator);  // trimmed parts, empty ones left out
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string ascii_lower(std::string_view text);
bool iequals(std::string_view a, std::string_view b);       // ASCII, as HTTP header names compare
std::optional<long long> parse_int(std::string_view text);  // decimal, the whole of it

// Whether a character, in UTF-8, ends a line, changes the direction of the text around it, or steers a terminal:
// U+0000 to U+001F, U+007F to U+009F, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069.
bool is_control(std::string_view character);

// Text from outside made fit for one log line: control characters and broken UTF-8 become '?', at most `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 200);

// The text after the mark that some editors put in front of UTF-8.
std::string_view without_byte_order_mark(std::string_view text);

bool is_valid_utf8(std::string_view text);

// The length of the UTF-8 sequence at the start of `text`, which is not empty; 0 when there is none (overlong forms
// and surrogates are none).
std::size_t utf8_length(std::string_view text);

// The candidate nearest to `word` by edit distance, if near enough to be what was meant.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace responder
