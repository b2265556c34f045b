// SentencePiece's precompiled character map: a double-array trie from text to an offset into a
// block of replacement strings.
#include <utf8proc.h>

#include <cstring>
#include <optional>

#include "base/error.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

constexpr size_t kMaxGrapheme = 6;  // bytes; longer ones are mapped character by character only

class Precompiled : public Normalizer {
 public:
  explicit Precompiled(std::string charsmap) {
    uint32_t size = 0;
    if (charsmap.size() >= sizeof size) std::memcpy(&size, charsmap.data(), sizeof size);
    if (charsmap.size() < sizeof size || size > charsmap.size() - sizeof size || size % 4 != 0)
      throw Error(
          ErrorKind::kCheckpoint,
          "[tokenizer] normalizer.precompiled_charsmap: expected a trie of {} bytes behind its "
          "size, found {} bytes in all; is the file cut off?",
          size, charsmap.size());
    units_.resize(size / 4);
    std::memcpy(units_.data(), charsmap.data() + sizeof size, size);
    strings_ = charsmap.substr(sizeof size + size);
  }

  void apply(NormalText& t) const override {
    std::string out;
    out.reserve(t.text.size());
    size_t zero = 0;
    for (size_t at = 0; at < t.text.size();) {
      const size_t end = grapheme_end(t.text, at);
      const size_t before = out.size();
      map_grapheme(std::string_view(t.text).substr(at, end - at), out);
      if (at < t.zero_length) {
        // Of a grapheme only the first character counts, unless it was the only one.
        const bool single = utf8_length(t.text[at]) == end - at;
        const size_t first = out.size() > before ? utf8_length(out[before]) : 0;
        zero = single || first == 0 ? out.size() : before + first;
      }
      at = end;
    }
    // What moves up when the first character vanishes takes its place.
    if (zero == 0 && t.zero_length > 0 && !out.empty()) zero = utf8_length(out[0]);
    t = {std::move(out), zero};
  }

 private:
  static size_t grapheme_end(const std::string& text, size_t at) {
    uint32_t length;
    char32_t left = decode_utf8(text.data() + at, length);
    utf8proc_int32_t state = 0;
    for (at += length; at < text.size(); at += length) {
      const char32_t right = decode_utf8(text.data() + at, length);
      if (left < 0x80 && right < 0x80) {
        if (left != '\r' || right != '\n') break;
      } else if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(left),
                                                  static_cast<utf8proc_int32_t>(right), &state)) {
        break;
      }
      left = right;
    }
    return at;
  }

  void map_grapheme(std::string_view grapheme, std::string& out) const {
    if (grapheme.size() < kMaxGrapheme) {
      if (std::optional<std::string_view> mapped = find(grapheme)) {
        out.append(*mapped);
        return;
      }
    }
    for (size_t at = 0; at < grapheme.size();) {
      const std::string_view c = grapheme.substr(at, utf8_length(grapheme[at]));
      out.append(find(c).value_or(c));
      at += c.size();
    }
  }

  // The replacement of the shortest key that `text` begins with.
  std::optional<std::string_view> find(std::string_view text) const {
    if (units_.empty()) return std::nullopt;
    const auto offset = [](uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); };
    size_t node = offset(units_[0]);
    for (char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      if (byte == 0) break;
      node ^= byte;
      if (node >= units_.size()) break;
      const uint32_t unit = units_[node];
      if ((unit & 0x800000FF) != byte) break;
      node ^= offset(unit);
      if (!(unit >> 8 & 1)) continue;
      if (node >= units_.size()) break;
      const size_t begin = units_[node] & 0x7FFFFFFF;
      if (begin >= strings_.size()) return std::string_view();
      const size_t end = std::min(strings_.find('\0', begin), strings_.size());
      const std::string_view found = std::string_view(strings_).substr(begin, end - begin);
      return is_valid_utf8(found) ? std::optional(found) : std::nullopt;
    }
    return std::nullopt;
  }

  std::vector<uint32_t> units_;
  std::string strings_;
};

}  // namespace

NormalizerPtr make_precompiled(std::string charsmap) {
  return std::make_unique<Precompiled>(std::move(charsmap));
}

}  // namespace mica::tok
