#include <fmt/color.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "doctor/report.h"

namespace mica::doctor {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kLevelWidth = 9;

// Characters of UTF-8 text.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// Broken at spaces into lines of at most `columns`; longer words stay whole.
std::vector<std::string> wrapped(std::string_view text, size_t columns) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!lines.back().empty() && width(lines.back()) + 1 + width(word) > columns)
      lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

std::string painted(const std::string& text, Level level, bool colour) {
  if (!colour) return text;
  const fmt::terminal_color colours[] = {fmt::terminal_color::green, fmt::terminal_color::cyan,
                                         fmt::terminal_color::yellow, fmt::terminal_color::red};
  return fmt::format(fmt::fg(colours[static_cast<size_t>(level)]), "{}", text);
}

std::string line_text(const Line& line, size_t id_width, bool colour) {
  const size_t indent = kLevelWidth + id_width;
  const size_t room = kColumns - indent;
  const std::string level = name(line.level);
  std::string text = painted(level, line.level, colour) +
                     std::string(kLevelWidth - level.size(), ' ') + line.id +
                     std::string(id_width - line.id.size(), ' ');
  const std::string margin(indent, ' '), arrow = "-> ";
  std::string before;
  for (const std::string& part : wrapped(line.found, room)) {
    text += before + part + "\n";
    before = margin;
  }
  if (line.remedy.empty()) return text;
  before = margin + arrow;
  const std::string end = line.command.empty() ? "." : ":";
  for (const std::string& part : wrapped(line.remedy + end, room - arrow.size())) {
    text += before + part + "\n";
    before = margin + std::string(arrow.size(), ' ');
  }
  if (line.command.empty()) return text;
  // Not broken, so that it can be copied; further to the left where it is long.
  const std::string command = "$ " + line.command;
  const size_t left =
      std::min(indent + arrow.size(), kColumns - std::min(width(command), kColumns));
  return text + std::string(left, ' ') + command + "\n";
}

}  // namespace

std::string to_text(const Report& report, bool colour) {
  size_t id_width = 0;
  std::array<size_t, 4> counts{};
  for (const Line& line : report.lines) {
    id_width = std::max(id_width, line.id.size() + 2);
    ++counts[static_cast<size_t>(line.level)];
  }
  std::string text;
  for (const Line& line : report.lines) text += line_text(line, id_width, colour);
  const auto count = [&](Level level, const char* what) {
    const size_t number = counts[static_cast<size_t>(level)];
    return painted(fmt::format("{} {}{}", number, what, number == 1 ? "" : "s"),
                   number == 0 ? Level::kOk : level, colour);
  };
  return text + "\n" + count(Level::kFault, "fault") + ", " + count(Level::kWarning, "warning") +
         ".\n";
}

}  // namespace mica::doctor
