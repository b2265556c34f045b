// Python's format specifications ('{:>8.3f}') and the conversions they share with '%8.3f'.
#pragma once

#include <string>

#include "text/template/value.h"

namespace mica::jinja {

constexpr int kMaxFormatWidth = 1 << 20;

struct FormatSpec {
  std::string fill = " ";
  char align = 0;  // < > = ^
  char sign = 0;   // + - or a blank
  bool alternate = false;
  bool no_negative_zero = false;
  int width = 0;
  char grouping = 0;
  int precision = -1;
  char type = 0;
};

// Python's format(value, spec).
std::string format_value(const Value& value, const std::string& spec);

std::string format_float(double value, const FormatSpec& spec);
std::string digits_of(Int magnitude, int base, bool upper);
std::string pad(const std::string& text, const FormatSpec& spec, char align);
// The sign and the prefix, padding for '=', the digits.
std::string pad_number(bool negative, const std::string& prefix, const std::string& digits,
                       const FormatSpec& spec);
std::string cut(const std::string& text, int code_points);  // all of it when negative
// The decimal number at `i`, which moves behind it.
int read_number(const std::string& text, size_t& i, int limit);

}  // namespace mica::jinja
