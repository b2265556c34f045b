#include "checkpoint/hub/names.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/error.h"
#include "base/spelling.h"
#include "checkpoint/hub/hub.h"

namespace mica::hub {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

bool is_name(std::string_view text) {
  const auto edge = [](char c) { return c == '-' || c == '.'; };
  return !text.empty() && !edge(text.front()) && !edge(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

bool is_relative_path(std::string_view text, size_t max_size, size_t max_parts) {
  if (text.empty() || text.size() > max_size) return false;
  for (unsigned char c : text)
    if (c < ' ' || c == 127 || c == '\\') return false;
  size_t parts = 0;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    if (++parts > max_parts) return false;
    begin = end + 1;
  }
  return true;
}

// Matches one character against pattern[at...]; sets `next` behind the element that matched.
bool match_one(std::string_view pattern, size_t at, char c, size_t& next) {
  next = at + 1;
  if (pattern[at] == '?') return true;
  if (pattern[at] != '[') return pattern[at] == c;
  size_t i = at + 1;
  const bool negated = i < pattern.size() && pattern[i] == '!';
  if (negated) ++i;
  const size_t close = pattern.find(']', i + 1);  // a ']' that comes first is a member
  if (i >= pattern.size() || close == std::string_view::npos) return c == '[';
  bool found = false;
  for (; i < close; ++i) {
    if (i + 2 < close && pattern[i + 1] == '-') {
      found |= pattern[i] <= c && c <= pattern[i + 2];
      i += 2;
    } else {
      found |= pattern[i] == c;
    }
  }
  next = close + 1;
  return found != negated;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

const std::vector<std::string>& default_include() {
  static const std::vector<std::string> patterns = {
      "*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "*.txt", "*.spm", "*.jsonl"};
  return patterns;
}

// Copies of the weights that Mica doesn't read, some of them larger than the model itself.
const std::vector<std::string>& default_exclude() {
  static const std::vector<std::string> patterns = {
      "*.bin",      "*.pth",  "*.pt",     "*.gguf",  "*.h5",
      "original/*", "onnx/*", "coreml/*", "metal/*", "consolidated*.safetensors"};
  return patterns;
}

bool any_match(std::string_view file, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return glob_match(pattern, file); });
}

}  // namespace

bool is_repo_id(std::string_view text) {
  if (text.size() > 96 || text.find("--") != text.npos || text.find("..") != text.npos)
    return false;
  const size_t slash = text.find('/');
  if (slash == text.npos) return is_name(text);
  return is_name(text.substr(0, slash)) && is_name(text.substr(slash + 1));
}

bool is_revision(std::string_view text) {
  return is_relative_path(text, 255, 16);
}

bool is_commit(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c));
  });
}

bool is_full_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_file_name(std::string_view text) {
  return is_relative_path(text, 1024, 32);
}

bool is_etag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

std::string printable(std::string_view text, size_t limit) {
  std::string out;
  for (char c : text.substr(0, std::min(limit, text.size())))
    out += static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c;
  if (text.size() > limit) {
    // No half of a UTF-8 character at the end.
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.pop_back();
    out += "…";
  }
  return out;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  std::string below;
  if (pattern.ends_with('/')) pattern = below = std::string(pattern) + "*";
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, star_text = 0;  // where the last '*' may take one more
  while (t < text.size()) {
    size_t next = 0;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && match_one(pattern, p, text[t], next)) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_wanted(std::string_view file, const std::vector<std::string>& include,
               const std::vector<std::string>& exclude) {
  if (any_match(file, exclude)) return false;
  if (!include.empty()) return any_match(file, include);
  return any_match(file, default_include()) && !any_match(file, default_exclude());
}

std::vector<std::string> nearest_names(const std::string& name,
                                       const std::vector<std::string>& known) {
  const std::string wanted = lower(name);
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& candidate : known) {
    const std::string other = lower(candidate);
    const bool part = wanted.size() >= 3 && other.find(wanted) != std::string::npos;
    const size_t distance = part ? 0 : edit_distance(wanted, other);
    if (distance <= std::max<size_t>(3, wanted.size() / 3))
      ranked.emplace_back(distance, candidate);
  }
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > 3) ranked.resize(3);
  std::vector<std::string> out;
  for (auto& entry : ranked) out.push_back(std::move(entry.second));
  return out;
}

}  // namespace mica::hub

namespace mica {

ModelId parse_model_id(const std::string& text) {
  ModelId id;
  const size_t at = text.find('@');
  id.repo = text.substr(0, at);
  if (at != std::string::npos) id.revision = text.substr(at + 1);
  if (!hub::is_repo_id(id.repo))
    throw Error(ErrorKind::kUsage,
                "[hub] '{}': expected a model's name such as org/name or org/name@revision: "
                "letters, digits, '-', '_' and '.', at most one '/'",
                hub::printable(text));
  if (!hub::is_revision(id.revision))
    throw Error(ErrorKind::kUsage, "[hub] '{}': expected a branch, tag or commit, found '{}'",
                hub::printable(text), hub::printable(id.revision));
  return id;
}

}  // namespace mica
