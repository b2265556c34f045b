// Code points in UTF-8 text with the meaning that Python gives them. Malformed bytes count as one
// code point each (0xDC80 + low bits), so that every function is total.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/utf8.h"

namespace mica::jinja {

bool is_valid_utf8(std::string_view text);
bool is_ascii(std::string_view text);

// The code point that starts at `position`, which moves behind it.
char32_t next_code_point(std::string_view text, size_t& position);
// The length in bytes of the code point that starts at `position` (1 for a malformed byte).
size_t code_point_bytes(std::string_view text, size_t position);
// The start of the code point that ends at `position` > 0.
size_t previous_code_point(std::string_view text, size_t position);
size_t count_code_points(std::string_view text);

// Python's str.isspace, isalpha, isdigit, …, for one code point.
bool is_space(char32_t code);
bool is_alpha(char32_t code);
bool is_decimal(char32_t code);
bool is_digit(char32_t code);
bool is_numeric(char32_t code);
bool is_lower(char32_t code);
bool is_upper(char32_t code);
bool is_title(char32_t code);
bool is_cased(char32_t code);  // lower, upper or title
bool is_printable(char32_t code);
bool is_identifier_part(char32_t code);
bool is_identifier_start(char32_t code);

// Python's str.lower, upper, title-case of one code point (one to three code points).
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
void append_upper(std::string& out, char32_t code);
void append_lower(std::string& out, char32_t code);
void append_title(std::string& out, char32_t code);
// The lower case of the code point [begin, end) of `text`: a sigma's depends on its neighbours.
void append_lower_in(std::string& out, std::string_view text, size_t begin, size_t end,
                     char32_t code);
std::string fold_case(std::string_view text);  // str.casefold

// Python's str.strip family with white space (chars == nullptr) or the code points of `chars`.
std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right);

}  // namespace mica::jinja
