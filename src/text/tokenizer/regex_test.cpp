// The set engine against PCRE2 and against known results of Oniguruma.
#include "text/tokenizer/regex.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

std::string matches(const Regex& regex, std::string_view text) {
  std::string out;
  regex.each_match(text, [&](size_t begin, size_t end) {
    out += "[" + std::string(text.substr(begin, end - begin)) + "]";
  });
  return out;
}

std::string matches(std::string_view pattern, std::string_view text) {
  return matches(Regex(pattern), text);
}

// The patterns of the known tokenizers, and shapes that they might have.
constexpr const char* kPatterns[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s+(?!\S)|\s+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+)",
    R"([\p{Han}]+|[\p{Lu}\p{Lo}&&[^\p{Han}]]*[\p{Ll}\p{Lo}&&[^\p{Han}]]+(?i:'s|'t)?)",
    R"( ?[^(\s|[.,!?…。，、।۔،])]+)",
    R"([^(\s|x)]|\d{2,3}?|a*?b|^.|.$|\bя\w|\A\S|\S\z)",
    R"(a{,2}b|(?:ab|a){1,3}|(?>a+|b)c?|(?=\p{Lu})..)"};

std::string random_text(std::mt19937& rng) {
  static constexpr std::string_view kParts[] = {
      "a",  "b",    "ab", "Hello",  "WORLD",  "'s",     "'LL", "'t", " ",  "  ",
      "\n", "\r\n", "\t", "12",     "12345",  "é",      "ß",   "я",  "Яз", "世界",
      "の", "カ",   "👍",  "\u0301", "…",      "،",      ".",   ",",  "(",  "!!",
      "/",  "|",    "½",  "٣",      "\u3000", "\u180e", "ǅ",   "ʰ"};
  std::string text;
  for (size_t i = rng() % 16; i > 0; i--) text += kParts[rng() % std::size(kParts)];
  return text;
}

TEST(Regex, EnginesAgree) {
  std::mt19937 rng(7);
  for (const char* pattern : kPatterns) {
    const Regex fast(pattern), slow(pattern, RegexChoice::kPcre2);
    ASSERT_FALSE(fast.is_pcre2()) << pattern;
    ASSERT_TRUE(slow.is_pcre2());
    for (int i = 0; i < 3000; i++) {
      const std::string text = random_text(rng);
      ASSERT_EQ(matches(fast, text), matches(slow, text)) << pattern << "\n" << text;
    }
  }
}

TEST(Regex, OnigurumaRules) {
  EXPECT_EQ(matches(R"(\p{N}{1,3}+)", "12345"), "[12345]");  // + behind an interval repeats it
  EXPECT_EQ(matches(R"(x{2}?)", "xxx"), "[xx][]");           // ? behind {n} makes it optional
  EXPECT_EQ(matches(R"(a{,2})", "aaa"), "[aa][a]");
  EXPECT_EQ(matches("(?i:'s)", "'s 'S 'ſ"), "['s]['S]['ſ]");
  EXPECT_EQ(matches("(?i:k)", "kK\u212A"), "[k][K][\u212A]");
  EXPECT_EQ(matches("^a|b$", "a\nab\nb"), "[a][a][b][b]");  // lines, always
  EXPECT_EQ(matches(".+", "a\r\nb"), "[a\r][b]");
  EXPECT_EQ(matches("(?m:a.b)", "a\nb"), "[a\nb]");    // m: the dot takes line ends
  EXPECT_EQ(matches(R"(\h+)", "beef xyz"), "[beef]");  // hexadecimal digits
  EXPECT_EQ(matches(R"(\s)", "\u180e\u0085\u3000"), "[\u0085][\u3000]");
  EXPECT_EQ(matches(R"([a-c&&[^b]]+)", "abc"), "[a][c]");
  EXPECT_EQ(matches(R"([]a]+)", "]a]"), "[]a]]");
  EXPECT_EQ(matches(R"([[:alpha:]]+|[[:^alpha:]])", "ab1"), "[ab][1]");
  EXPECT_EQ(matches("(?x: a b # note\n c)", "abc"), "[abc]");
  EXPECT_EQ(matches("a(?i)b|c", "aB aC c"), "[aB][aC]");
  EXPECT_EQ(matches(R"(\u4e00\x41\x{e9}\t)", "一Aé\t"), "[一Aé\t]");
}

TEST(Regex, EmptyMatches) {
  EXPECT_EQ(matches("", "aé"), "[][][]");
  EXPECT_EQ(matches("a*", "baac"), "[][aa][]");
  EXPECT_EQ(matches("a*", ""), "[]");
}

TEST(Regex, Pcre2TakesTheRest) {
  EXPECT_TRUE(Regex("(?<=a)b").is_pcre2());
  EXPECT_EQ(matches("(?<=a)b|(?<!a)c", "abcac"), "[b][c]");
  EXPECT_EQ(matches(R"((a|b)\1)", "aabab bb"), "[aa][bb]");
  EXPECT_EQ(matches("(?:ab)*c", "ababc"), "[ababc]");
  EXPECT_EQ(matches(R"(\X)", "e\u0301x"), "[e\u0301][x]");
}

TEST(Regex, BadPatternsAreErrors) {
  for (const char* bad : {"(", "[a", "*a", R"(\p{Nonsense})", "a{1001}{1001}(", "(?<n", "[z-a]"}) {
    try {
      Regex regex(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kCheckpoint);
      EXPECT_NE(std::string(e.what()).find(bad), std::string::npos);
    }
  }
  EXPECT_THROW(Regex(std::string(5000, '(')), Error);
  EXPECT_THROW(Regex(std::string(5000, '[')), Error);
}

TEST(RangeSet, Algebra) {
  const RangeSet a({{5, 9}, {1, 3}, {4, 4}}), b({{3, 6}, {20, kMaxCodePoint}});
  EXPECT_EQ(a.ranges().size(), 1u);
  EXPECT_EQ((a & b).ranges(), (std::vector<RangeSet::Range>{{3, 6}}));
  EXPECT_EQ((a | b).ranges(), (std::vector<RangeSet::Range>{{1, 9}, {20, kMaxCodePoint}}));
  EXPECT_EQ(~~b, b);
  EXPECT_EQ((b - a).ranges(), (std::vector<RangeSet::Range>{{20, kMaxCodePoint}}));
  const CharSet compiled(b);
  for (char32_t c = 0; c < 400; c++) EXPECT_EQ(compiled.contains(c), b.contains(c));
}

TEST(Unicode, SetsCoverTheCodePoints) {
  RangeSet all;
  for (const char* name : {"L", "M", "N", "P", "S", "Z", "C"}) {
    EXPECT_TRUE((all & *property_set(name)).empty()) << name;
    all = all | *property_set(name);
  }
  EXPECT_EQ(all, RangeSet::all());
  EXPECT_TRUE(property_set("Script=Han")->contains(0x4E00));
  EXPECT_TRUE(property_set("Uppercase_Letter")->contains('A'));
  EXPECT_EQ(property_set("Klingon"), nullptr);
}

// The examples of the Unicode standard, table 3-8 to 3-10.
TEST(Unicode, MaximalSubparts) {
  const auto lossy = [](std::string_view bytes) {
    std::string out;
    append_lossy(out, bytes, false);
    return out;
  };
  EXPECT_EQ(lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), "��������A");
  EXPECT_EQ(lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), "��������A");
  EXPECT_EQ(lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), "�����A��B");
  EXPECT_EQ(lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "����A");
}

}  // namespace
}  // namespace mica::tok
