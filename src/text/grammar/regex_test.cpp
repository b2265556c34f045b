#include "text/grammar/test_support.h"

namespace mica::grammar_test {
namespace {

struct Case {
  const char* pattern;
  std::vector<std::string> good, bad;
};

TEST(GrammarRegex, Texts) {
  const std::vector<Case> cases{{"abc", {"abc"}, {"", "ab", "abcd"}},
                                {"", {""}, {"a"}},
                                {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
                                {"[a-c]+x?", {"a", "abcx"}, {"x", "axx"}},
                                {"[^a-c]", {"d", "é", "😀", "\n"}, {"a", "", "dd"}},
                                {"\\d{3}-\\w{2,}", {"123-ab", "000-a_9"}, {"12-ab", "123-a"}},
                                {"a{2}", {"aa"}, {"a", "aaa"}},
                                {"a{2,4}?", {"aa", "aaaa"}, {"a", "aaaaa"}},
                                {"(?:ab)*", {"", "abab"}, {"aba"}},
                                {"(?<year>\\d\\d)", {"24"}, {"2"}},
                                {".", {"a", "é"}, {"\n", "\r", "\xE2\x80\xA8"}},
                                {"^ab$", {"ab"}, {"^ab"}},
                                {"^a|b$", {"a", "b"}, {"ab"}},
                                {"\\s\\S", {" a", "\u00A0b"}, {"a "}},
                                {"\\u00e9\\x41\\u{1F600}", {"éA😀"}, {"eA"}},
                                {"\\ud83d\\ude00", {"😀"}, {"\xED\xA0\xBD"}},
                                {"[\\w.-]+@x\\.y", {"a.b-c@x.y"}, {"@x.y", "a@xzy"}},
                                {"[\\]\\\\-]", {"]", "\\", "-"}, {"a"}},
                                {"\\p{L}\\P{Lu}", {"éa", "Ωω"}, {"1a", "aA"}},
                                {"[一-龥]{1,2}", {"你好", "你"}, {"a", "你好你"}},
                                {"(a|b)*abb", {"abb", "babaabb"}, {"ab"}},
                                {"\\t\\n\\0", {std::string("\t\n\0", 3)}, {"tn0"}},
                                {"(((a)))?b{0}", {"", "a"}, {"b"}}};
  for (const Case& c : cases) {
    const auto grammar = compile(spec(Kind::kRegex, c.pattern));
    for (const auto& text : c.good)
      EXPECT_TRUE(matches(grammar, text)) << c.pattern << ": " << text;
    for (const auto& text : c.bad)
      EXPECT_FALSE(matches(grammar, text)) << c.pattern << ": " << text;
  }
}

TEST(GrammarRegex, Errors) {
  for (const char* pattern :
       {"(",      ")",     "[a",     "a**",   "*",      "(?=a)", "(?!a)",      "(?<=a)",
        "(a)\\1", "\\bx",  "a{3,2}", "[b-a]", "\\",     "\\u12", "\\p{Greek}", "a{1000000}",
        "a$b",    "(^a)+", "(?i)a",  "\xFF",  "\\k<a>", "\\y"})
    EXPECT_NE(error_of(Kind::kRegex, pattern), "") << pattern;
  EXPECT_NE(error_of(Kind::kRegex, "ab(?=c)").find("lookahead"), std::string::npos);
}

TEST(GrammarRegex, Bombs) {
  EXPECT_TRUE(matches(Kind::kRegex, "(a?){60}a{60}", std::string(60, 'a')));
  EXPECT_TRUE(matches(Kind::kRegex, "(a|b)*a(a|b){30}", "ba" + std::string(30, 'a')));
  EXPECT_TRUE(matches(Kind::kRegex, "(a*)*b", std::string(500, 'a') + "b"));
  EXPECT_TRUE(matches(Kind::kRegex, "[ab]{0,50000}", std::string(3000, 'a')));
  std::string nested = "a";
  for (int i = 0; i < 1000; i++) nested = "(" + nested + ")";
  EXPECT_NE(error_of(Kind::kRegex, nested), "");
  // Far too ambiguous: an error, at compiling or while it is followed.
  try {
    EXPECT_TRUE(matches(Kind::kRegex, "((a{1,300}){1,300}){1,300}", std::string(400, 'a')));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace mica::grammar_test
