#include "bench/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mica {
namespace {

// Columns of a terminal: bytes that begin a character of UTF-8.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](unsigned char byte) { return (byte & 0xc0) != 0x80; }));
}

std::string line_of(const Table& table, const std::vector<std::string>& cells,
                    const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string blanks(widths[i] - std::min(widths[i], width(cells[i])), ' ');
    if (i > 0) line += "  ";
    line += table.columns[i].right ? blanks + cells[i] : cells[i] + blanks;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::vector<std::string> titles(const Table& table) {
  std::vector<std::string> out;
  for (const Table::Column& column : table.columns) out.push_back(column.title);
  return out;
}

std::string markdown_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::string to_text(const Table& table) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    size_t most = width(table.columns[i].title);
    for (const auto& row : table.rows) most = std::max(most, width(row[i]));
    widths.push_back(most);
  }
  std::string out = line_of(table, titles(table), widths);
  for (const auto& row : table.rows) out += line_of(table, row, widths);
  return out;
}

std::string to_markdown(const Table& table) {
  std::string out, rule;
  for (const Table::Column& column : table.columns) {
    out += "| " + markdown_cell(column.title) + " ";
    rule += column.right ? "|---:" : "|---";
  }
  out += "|\n" + rule + "|\n";
  for (const auto& row : table.rows) {
    for (const std::string& cell : row) out += "| " + markdown_cell(cell) + " ";
    out += "|\n";
  }
  return out;
}

std::string to_csv(const Table& table) {
  std::string out;
  const auto add = [&](const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) out += (i > 0 ? "," : "") + csv_cell(cells[i]);
    out += "\n";
  };
  add(titles(table));
  for (const auto& row : table.rows) add(row);
  return out;
}

std::string number_text(double value) {
  const double size = std::abs(value);
  if (!std::isfinite(value)) return "–";
  if (size >= 999.5) {
    std::string digits = fmt::format("{:.0f}", size);
    for (size_t i = digits.size(); i > 3;) digits.insert(i -= 3, ",");
    return (value < 0 ? "-" : "") + digits;
  }
  if (size >= 99.95 || value == 0) return fmt::format("{:.0f}", value);
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  return size >= 0.9995 ? fmt::format("{:.2f}", value) : fmt::format("{:.3g}", value);
}

std::string milliseconds_text(double seconds) {
  return number_text(1e3 * seconds);
}

std::string duration_text(double seconds) {
  const double size = std::abs(seconds);
  if (size >= 0.9995) return number_text(seconds) + " s";
  if (size >= 0.0009995 || size == 0) return number_text(1e3 * seconds) + " ms";
  return number_text(1e6 * seconds) + " µs";
}

std::string percent_text(double share) {
  return fmt::format("{:+.1f} %", 100 * share);
}

}  // namespace mica
