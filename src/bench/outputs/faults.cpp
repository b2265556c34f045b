#include "bench/outputs/faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/error.h"
#include "bench/outputs/language.h"

namespace mica {
namespace {

// Of an answer, repeated at its end: from so many times on, over so much of it, is a loop. Lists
// and tables repeat less.
constexpr double kLoopCount = 4, kLoopShare = 0.3;
constexpr size_t kLoopBytes = 48;
constexpr double kGarbageShare = 0.02;
constexpr double kForeignShare = 0.5;
constexpr size_t kLettersToJudge = 40;

enum Script : size_t {
  kLatin,
  kGreek,
  kCyrillic,
  kHebrew,
  kArabic,
  kIndic,
  kThai,
  kHangul,
  kHan,
  kScripts
};
constexpr std::array<const char*, kScripts> kScriptNames = {
    "Latin", "Greek",  "Cyrillic",           "Hebrew", "Arabic", "Indic",
    "Thai",  "Hangul", "Chinese or Japanese"};

struct Range {
  uint32_t first, last;
  Script script;
};
// Blocks of the Unicode standard; kana count with Han, as Japanese has both.
constexpr Range kRanges[] = {
    {'A', 'Z', kLatin},        {'a', 'z', kLatin},        {0xC0, 0x24F, kLatin},
    {0x370, 0x3FF, kGreek},    {0x400, 0x52F, kCyrillic}, {0x590, 0x5FF, kHebrew},
    {0x600, 0x77F, kArabic},   {0x900, 0xDFF, kIndic},    {0xE00, 0xE7F, kThai},
    {0x1100, 0x11FF, kHangul}, {0x3040, 0x30FF, kHan},    {0x3400, 0x9FFF, kHan},
    {0xAC00, 0xD7AF, kHangul}, {0x20000, 0x323AF, kHan}};

// The next code point; U+FFFD for bytes that are none.
uint32_t next_code_point(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  const size_t length = first < 0x80       ? 1
                        : first >> 5 == 6  ? 2
                        : first >> 4 == 14 ? 3
                        : first >> 3 == 30 ? 4
                                           : 0;
  uint32_t point = length == 1 ? first : length ? first & (0x7F >> length) : 0xFFFD;
  size_t used = 1;
  for (; used < length; ++used) {
    if (used == text.size() || byte(used) >> 6 != 2) {
      point = 0xFFFD;
      break;
    }
    point = point << 6 | (byte(used) & 63);
  }
  text.remove_prefix(used);
  return point;
}

struct Letters {
  std::array<size_t, kScripts> of{};
  size_t letters = 0, points = 0, garbage = 0;
};

Letters count_letters(std::string_view text) {
  Letters counts;
  while (!text.empty()) {
    const uint32_t point = next_code_point(text);
    ++counts.points;
    const bool control = point < 0x20 && point != '\n' && point != '\t' && point != '\r';
    if (point == 0xFFFD || control) ++counts.garbage;
    for (const Range& range : kRanges)
      if (point >= range.first && point <= range.last) {
        ++counts.of[range.script];
        ++counts.letters;
        break;
      }
  }
  return counts;
}

std::string quoted(std::string_view unit) {
  std::string out;
  for (const char c : unit.substr(0, 40)) out += c == '\n' ? ' ' : c;
  return "'" + out + (unit.size() > 40 ? "…'" : "'");
}

void find_repetition(std::string_view answer, std::vector<OutputFinding>& found) {
  const Repetition end = repeated_end(answer);
  const double share =
      answer.empty() ? 0 : static_cast<double>(end.bytes) / static_cast<double>(answer.size());
  if (end.count < kLoopCount || end.bytes < kLoopBytes || share < kLoopShare) return;
  found.push_back({OutputFault::kRepeats, fmt::format("{} {:.0f} times, {:.0f} % of the answer",
                                                      quoted(end.unit), end.count, 100 * share)});
}

void find_foreign_script(const Letters& prompt, const Letters& answer,
                         std::vector<OutputFinding>& found) {
  if (prompt.letters == 0 || answer.letters < kLettersToJudge) return;
  for (size_t s = 0; s < kScripts; ++s) {
    const double share = static_cast<double>(answer.of[s]) / static_cast<double>(answer.letters);
    if (s != kLatin && prompt.of[s] == 0 && share > kForeignShare)  // Latin is everywhere: code
      found.push_back(
          {OutputFault::kScript, fmt::format("{:.0f} % of the letters are {}, the prompt has none",
                                             100 * share, kScriptNames[s])});
  }
}

// Of short answers, names alone, and code nothing is said.
void find_language(const OutputText& text, const Letters& letters,
                   std::vector<OutputFinding>& found) {
  if (text.language.empty() || letters.letters < kLettersToJudge) return;
  const auto language = detect_language(text.answer);
  if (language && *language != text.language)
    found.push_back(
        {OutputFault::kLanguage,
         fmt::format("the answer is in '{}', '{}' was to be expected", *language, text.language)});
}

}  // namespace

const char* name(OutputFault fault) {
  switch (fault) {
    case OutputFault::kEmpty: return "empty";
    case OutputFault::kRepeats: return "repeats";
    case OutputFault::kGarbage: return "garbage";
    case OutputFault::kScript: return "script";
    case OutputFault::kLanguage: return "language";
    case OutputFault::kNoAnswer: return "no_answer";
  }
  MICA_CHECK(false);
}

// With the borders of all prefixes of the reversed text (Knuth, Morris, Pratt 1977) the smallest
// period of every suffix is known; the longest suffix that holds its period often enough wins.
Repetition repeated_end(std::string_view text) {
  const size_t size = text.size();
  const auto at = [&](size_t i) { return text[size - 1 - i]; };
  std::vector<uint32_t> border(size + 1, 0);
  Repetition best;
  for (size_t i = 1, k = 0; i < size; ++i) {
    while (k > 0 && at(i) != at(k)) k = border[k];
    if (at(i) == at(k)) ++k;
    border[i + 1] = static_cast<uint32_t>(k);
    const size_t length = i + 1, period = length - k;
    if (2 * period <= length && length > best.bytes)
      best = {std::string(text.substr(size - period)),
              static_cast<double>(length) / static_cast<double>(period), length};
  }
  return best;
}

std::vector<OutputFinding> find_faults(const OutputText& text) {
  std::vector<OutputFinding> found;
  const bool blank = text.answer.find_first_not_of(" \t\r\n") == std::string_view::npos;
  if (blank && text.reasoning.empty()) {
    found.push_back({OutputFault::kEmpty, fmt::format("ended with '{}'", text.finish_reason)});
    return found;
  }
  if (blank)
    found.push_back(
        {OutputFault::kNoAnswer, fmt::format("{} bytes of reasoning, then '{}'",
                                             text.reasoning.size(), text.finish_reason)});
  const std::string_view judged = blank ? text.reasoning : text.answer;
  find_repetition(judged, found);
  const Letters letters = count_letters(judged);
  if (static_cast<double>(letters.garbage) > kGarbageShare * static_cast<double>(letters.points))
    found.push_back({OutputFault::kGarbage, fmt::format("{} of {} characters are no text",
                                                        letters.garbage, letters.points)});
  find_foreign_script(count_letters(text.prompt), letters, found);
  if (!blank) find_language(text, letters, found);
  return found;
}

}  // namespace mica
