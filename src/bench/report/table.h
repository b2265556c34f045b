// Tables as people and spreadsheets read them.
#pragma once

#include <string>
#include <vector>

namespace mica {

struct Table {
  struct Column {
    std::string title;
    bool right = false;  // numbers
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as wide as columns
};

std::string to_text(const Table& table);      // aligned by blanks, for a terminal
std::string to_markdown(const Table& table);  // '|' of cells escaped
std::string to_csv(const Table& table);       // RFC 4180, lines end with \n

// "12.3 ms", "1.23 s", "450 µs": three digits; and without the unit.
std::string duration_text(double seconds);
std::string milliseconds_text(double seconds);
// "1,234", "56.7", "0.123": three digits or whole thousands.
std::string number_text(double value);
std::string percent_text(double share);  // "+3.1 %"

}  // namespace mica
