// Python's textwrap.wrap of one line and pprint.pformat.
#include <algorithm>

#include "text/template/arguments.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

constexpr size_t kPrettyWidth = 80;

bool is_ascii_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == ' ';
}
bool is_letter(char32_t code) {
  return is_alpha(code);
}

std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> out;
  for (size_t i = 0; i < text.size();) out.push_back(next_code_point(text, i));
  return out;
}

std::string encode(const char32_t* begin, const char32_t* end) {
  std::string out;
  for (; begin < end; ++begin) append_utf8(out, *begin);
  return out;
}

using Chunk = std::vector<char32_t>;

// Runs of white space and of other characters; words are cut behind hyphens between letters.
std::vector<Chunk> chunks_of(const std::vector<char32_t>& text, bool break_on_hyphens) {
  std::vector<Chunk> chunks;
  Chunk chunk;
  auto flush = [&] {
    if (!chunk.empty()) chunks.push_back(std::exchange(chunk, {}));
  };
  for (size_t i = 0; i < text.size(); ++i) {
    bool space = is_ascii_space(text[i]);
    if (!chunk.empty() && space != is_ascii_space(chunk.back())) flush();
    chunk.push_back(text[i]);
    bool cuts = break_on_hyphens && text[i] == '-' && i >= 2 && i + 2 < text.size() &&
                is_letter(text[i - 1]) && (is_letter(text[i - 2]) || text[i - 2] == '-') &&
                is_letter(text[i + 1]) && (is_letter(text[i + 2]) || text[i + 2] == '-');
    if (cuts) flush();
  }
  flush();
  return chunks;
}

class Pretty {
 public:
  std::string run(const Value& value) {
    write(value, 0, 0, 0);
    return std::move(out_);
  }

 private:
  // repr with dicts sorted by key, as pprint shows them.
  std::string flat(const Value& value) { return to_repr(sorted(value)); }

  static Value sorted(const Value& value) {
    if (value.is_sequence()) {
      std::vector<Value> items;
      for (const Value& item : value.items()) items.push_back(sorted(item));
      return value.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
    }
    if (!value.is(Kind::kDict)) return value;
    std::vector<DictObject::Entry> entries;
    for (const auto& [key, item] : value.dict_object().entries()) {
      entries.emplace_back(key, sorted(item));
    }
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      bool comparable = (a.first.is_string() && b.first.is_string()) ||
                        (a.first.is_number() && b.first.is_number());
      if (comparable) return compare(a.first, b.first, Order::kLess);
      return type_name(a.first) < type_name(b.first);
    });
    return Value::dict(std::make_shared<DictObject>(std::move(entries)));
  }

  void write(const Value& value, size_t indent, size_t allowance, int depth) {
    std::string text = flat(value);
    if (out_.size() > kMaxStringBytes) raise(ErrorType::kLimit, "the text is too long");
    if (count_code_points(text) + indent + allowance <= kPrettyWidth || depth > 100) {
      out_ += text;
    } else if (value.is(Kind::kDict) && !value.dict_object().entries().empty()) {
      write_dict(sorted(value), indent, allowance, depth);
    } else if (value.is_sequence() && !value.items().empty()) {
      write_items(value, indent, allowance, depth);
    } else if (value.is_string()) {
      write_string(value.text(), indent, allowance, depth);
    } else {
      out_ += text;
    }
  }

  void write_dict(const Value& value, size_t indent, size_t allowance, int depth) {
    out_ += '{';
    const auto& entries = value.dict_object().entries();
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i) out_ += ",\n" + std::string(indent + 1, ' ');
      std::string key = flat(entries[i].first);
      out_ += key + ": ";
      bool is_last = i + 1 == entries.size();
      write(entries[i].second, indent + 1 + count_code_points(key) + 2, is_last ? allowance + 1 : 1,
            depth + 1);
    }
    out_ += '}';
  }

  void write_items(const Value& value, size_t indent, size_t allowance, int depth) {
    bool is_list = value.is(Kind::kList);
    std::string end = is_list ? "]" : value.items().size() == 1 ? ",)" : ")";
    out_ += is_list ? '[' : '(';
    for (size_t i = 0; i < value.items().size(); ++i) {
      if (i) out_ += ",\n" + std::string(indent + 1, ' ');
      bool is_last = i + 1 == value.items().size();
      write(value.items()[i], indent + 1, is_last ? allowance + end.size() : 1, depth + 1);
    }
    out_ += end;
  }

  // A long string is shown as several literals: one a line, cut between words.
  void write_string(const std::string& text, size_t indent, size_t allowance, int depth) {
    std::vector<std::string> lines = split_lines(text, true);
    std::vector<std::string> shown;
    if (depth == 0) ++indent, ++allowance;
    size_t widest = kPrettyWidth - std::min(indent, kPrettyWidth);
    for (size_t i = 0; i < lines.size(); ++i) {
      std::string whole = string_repr(lines[i]);
      size_t width = i + 1 == lines.size() ? widest - std::min(allowance, widest) : widest;
      if (count_code_points(whole) <= width) {
        shown.push_back(whole);
        continue;
      }
      append_words(lines[i], widest, width, shown);
    }
    if (shown.size() == 1) {
      out_ += shown[0];
      return;
    }
    if (depth == 0) out_ += '(';
    for (size_t i = 0; i < shown.size(); ++i) {
      if (i) out_ += "\n" + std::string(indent, ' ');
      out_ += shown[i];
    }
    if (depth == 0) out_ += ')';
  }

  static void append_words(const std::string& line, size_t widest, size_t last_width,
                           std::vector<std::string>& shown) {
    std::vector<std::string> words;  // non-spaces with the spaces behind
    bool in_space = false;
    for (size_t i = 0; i < line.size();) {
      size_t begin = i;
      bool space = is_space(next_code_point(line, i));
      if (words.empty() || (in_space && !space)) words.emplace_back();
      words.back().append(line, begin, i - begin);
      in_space = space;
    }
    std::string current;
    for (size_t i = 0; i < words.size(); ++i) {
      size_t width = i + 1 == words.size() ? last_width : widest;
      std::string candidate = current + words[i];
      if (count_code_points(string_repr(candidate)) > width) {
        if (!current.empty()) shown.push_back(string_repr(current));
        current = words[i];
      } else {
        current = candidate;
      }
    }
    if (!current.empty()) shown.push_back(string_repr(current));
  }

  std::string out_;
};

}  // namespace

std::vector<std::string> wrap_line(const std::string& line, size_t width, bool break_long_words,
                                   bool break_on_hyphens) {
  std::vector<Chunk> chunks = chunks_of(code_points(line), break_on_hyphens);
  std::reverse(chunks.begin(), chunks.end());
  std::vector<std::string> lines;
  auto is_blank = [](const Chunk& chunk) { return chunk.empty() || is_ascii_space(chunk[0]); };
  while (!chunks.empty()) {
    std::vector<Chunk> current;
    size_t length = 0;
    if (is_blank(chunks.back()) && !lines.empty()) chunks.pop_back();
    while (!chunks.empty() && length + chunks.back().size() <= width) {
      length += chunks.back().size();
      current.push_back(std::move(chunks.back()));
      chunks.pop_back();
    }
    if (!chunks.empty() && chunks.back().size() > width) {
      Chunk& word = chunks.back();
      if (break_long_words) {
        size_t space = width - length;
        size_t end = space;
        if (break_on_hyphens && word.size() > space) {
          auto stop = word.begin() + static_cast<std::ptrdiff_t>(space);
          auto hyphen = std::find(std::make_reverse_iterator(stop), word.rend(), U'-');
          size_t at = hyphen == word.rend() ? 0 : static_cast<size_t>(word.rend() - hyphen);
          bool has_other =
              std::any_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(at ? at - 1 : 0),
                          [](char32_t c) { return c != '-'; });
          if (at > 1 && has_other) end = at;
        }
        current.emplace_back(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(end));
        word.erase(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(end));
      } else if (current.empty()) {
        current.push_back(std::move(word));
        chunks.pop_back();
      }
    }
    if (!current.empty() && is_blank(current.back())) current.pop_back();
    if (current.empty()) continue;
    std::string text;
    for (const Chunk& chunk : current) text += encode(chunk.data(), chunk.data() + chunk.size());
    lines.push_back(std::move(text));
  }
  return lines;
}

std::string pretty(const Value& value) {
  return Pretty().run(value);
}

}  // namespace mica::jinja
