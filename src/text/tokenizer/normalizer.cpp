#include "text/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <optional>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

// Rewrites character by character: emit(c, out) appends what stands for c.
template <typename Emit>
void rewrite(NormalText& t, Emit emit) {
  std::string out;
  out.reserve(t.text.size());
  size_t zero = 0;
  for (size_t at = 0; at < t.text.size();) {
    uint32_t length;
    emit(decode_utf8(t.text.data() + at, length), out);
    if (at < t.zero_length) zero = out.size();
    at += length;
  }
  t = {std::move(out), zero};
}

void lower(char32_t c, std::string& out) {
  append_utf8(out, c == 0x130 ? U'i' : to_lower(c));
  if (c == 0x130) append_utf8(out, 0x307);
}

class Lowercase : public Normalizer {
 public:
  void apply(NormalText& t) const override { rewrite(t, lower); }
};

class NormalFormNormalizer : public Normalizer {
 public:
  explicit NormalFormNormalizer(NormalForm form) : form_(form) {}

  // Only the stretches around characters that can change go through utf8proc; the stretch begins
  // with the character before, which may compose with what follows.
  void apply(NormalText& t) const override {
    const std::string& in = t.text;
    const uint8_t bit = static_cast<uint8_t>(1 << static_cast<int>(form_));
    std::string out;
    size_t done = 0, previous = 0, zero = t.zero_length;
    for (size_t at = 0; at < in.size();) {
      if (static_cast<uint8_t>(in[at]) < 0x80) {
        previous = at++;
        continue;
      }
      uint32_t length;
      if (!(normal_form_flags(decode_utf8(in.data() + at, length)) & bit)) {
        previous = at;
        at += length;
        continue;
      }
      size_t begin = std::max(previous, done), end = at + length;
      while (end < in.size() && normal_form_flags(decode_utf8(in.data() + end, length)) & bit)
        end += length;
      out.append(in, done, begin - done);
      append_form(std::string_view(in).substr(begin, end - begin), out);
      if (begin == 0 && zero > 0) zero = first_size(in, out);
      done = at = end;
    }
    if (done == 0) return;
    out.append(in, done);
    t = {std::move(out), zero};
  }

 private:
  // Bytes of `out` that stem from the first character of `in`.
  size_t first_size(const std::string& in, const std::string& out) const {
    std::string first;
    append_form(std::string_view(in).substr(0, utf8_length(in[0])), first);
    return std::max<size_t>(std::min(first.size(), out.size()),
                            out.empty() ? 0 : utf8_length(out[0]));
  }

  void append_form(std::string_view part, std::string& out) const {
    const bool compose = form_ == NormalForm::kNfc || form_ == NormalForm::kNfkc;
    int options = UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
    if (form_ == NormalForm::kNfkc || form_ == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
    utf8proc_uint8_t* result = nullptr;
    const utf8proc_ssize_t size =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(part.data()),
                     static_cast<utf8proc_ssize_t>(part.size()), &result,
                     static_cast<utf8proc_option_t>(options));
    if (size >= 0)
      out.append(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
    else
      out.append(part);
    std::free(result);
  }
  NormalForm form_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(NormalText& t) const override {
    if (t.text.empty()) return;
    t.text.insert(0, prefix_);
    if (t.zero_length > 0) t.zero_length += prefix_.size();
  }

 private:
  std::string prefix_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalText& t) const override {
    size_t begin = 0, end = t.text.size();
    uint32_t length;
    while (left_ && begin < end && is_whitespace(decode_utf8(t.text.data() + begin, length)))
      begin += length;
    while (right_ && end > begin) {
      const size_t last = previous_char(t.text, end);
      if (!is_whitespace(decode_utf8(t.text.data() + last, length))) break;
      end = last;
    }
    t.text.erase(end);
    t.text.erase(0, begin);
    t.zero_length = t.zero_length > begin ? std::min(t.zero_length - begin, t.text.size()) : 0;
  }

 private:
  bool left_, right_;
};

class StripAccents : public Normalizer {
 public:
  void apply(NormalText& t) const override {
    rewrite(t, [](char32_t c, std::string& out) {
      if (!is_combining_mark(c)) append_utf8(out, c);
    });
  }
};

bool is_nmt_removed(char32_t c) {
  return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
         c == 0x9F;
}

bool is_nmt_space(char32_t c) {
  return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
         c == 0xFFFD;
}

class Nmt : public Normalizer {
 public:
  void apply(NormalText& t) const override {
    rewrite(t, [](char32_t c, std::string& out) {
      if (!is_nmt_removed(c)) append_utf8(out, is_nmt_space(c) ? U' ' : c);
    });
  }
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void apply(NormalText& t) const override {
    std::string out;
    size_t zero = 0;
    for (size_t i = 0; i < t.text.size(); i++) {
      append_utf8(out, ByteAlphabet::get().to_char(static_cast<uint8_t>(t.text[i])));
      if (i < t.zero_length) zero = out.size();
    }
    t = {std::move(out), zero};
  }
};

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(BertNormalizerOptions options) : options_(options) {}
  void apply(NormalText& t) const override {
    if (options_.clean_text)
      rewrite(t, [](char32_t c, std::string& out) {
        if (!is_bert_removed(c)) append_utf8(out, is_whitespace(c) ? U' ' : c);
      });
    if (options_.handle_chinese_chars)
      rewrite(t, [](char32_t c, std::string& out) {
        const bool chinese = is_chinese(c);
        if (chinese) out += ' ';
        append_utf8(out, c);
        if (chinese) out += ' ';
      });
    if (options_.strip_accents) {
      nfd_.apply(t);
      rewrite(t, [](char32_t c, std::string& out) {
        if (!is_bert_accent(c)) append_utf8(out, c);
      });
    }
    if (options_.lowercase) rewrite(t, lower);
  }

 private:
  BertNormalizerOptions options_;
  NormalFormNormalizer nfd_{NormalForm::kNfd};
};

class Replace : public Normalizer {
 public:
  Replace(std::string pattern, bool is_regex, std::string content) : content_(std::move(content)) {
    if (is_regex || pattern.empty())
      regex_.emplace(pattern);
    else
      literal_ = std::move(pattern);
  }

  void apply(NormalText& t) const override {
    if (t.text.empty()) return;  // where the reference finds no match at all
    const std::string& in = t.text;
    std::string out;
    size_t done = 0, zero = 0;
    bool at_front = t.zero_length > 0;  // everything written so far stems from the first character
    const auto copy = [&](size_t end) {
      out.append(in, done, end - done);
      if (at_front) zero = out.size() - (end - std::min(end, std::max(done, t.zero_length)));
      at_front &= end <= t.zero_length;
      done = end;
    };
    const auto replace = [&](size_t begin, size_t end) {
      copy(begin);
      out += content_;
      at_front &= end == 0 || end - 1 < t.zero_length;
      if (at_front) zero = out.size();
      done = end;
    };
    if (regex_) {
      regex_->each_match(in, replace);
    } else {
      for (size_t at = 0; (at = in.find(literal_, at)) != std::string::npos; at += literal_.size())
        replace(at, at + literal_.size());
    }
    if (done == 0 && out.empty()) return;
    copy(in.size());
    t = {std::move(out), zero};
  }

 private:
  std::string literal_, content_;
  std::optional<Regex> regex_;
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPtr> parts) : parts_(std::move(parts)) {}
  void apply(NormalText& t) const override {
    for (const NormalizerPtr& part : parts_) part->apply(t);
  }

 private:
  std::vector<NormalizerPtr> parts_;
};

}  // namespace

NormalizerPtr make_normal_form(NormalForm form) {
  return std::make_unique<NormalFormNormalizer>(form);
}
NormalizerPtr make_lowercase() {
  return std::make_unique<Lowercase>();
}
NormalizerPtr make_prepend(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}
NormalizerPtr make_strip_normalizer(bool left, bool right) {
  return std::make_unique<StripNormalizer>(left, right);
}
NormalizerPtr make_strip_accents() {
  return std::make_unique<StripAccents>();
}
NormalizerPtr make_nmt() {
  return std::make_unique<Nmt>();
}
NormalizerPtr make_byte_level_normalizer() {
  return std::make_unique<ByteLevelNormalizer>();
}
NormalizerPtr make_bert_normalizer(BertNormalizerOptions options) {
  return std::make_unique<BertNormalizer>(options);
}
NormalizerPtr make_replace_normalizer(std::string pattern, bool is_regex, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), is_regex, std::move(content));
}
NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> parts) {
  return std::make_unique<NormalizerSequence>(std::move(parts));
}

}  // namespace mica::tok
