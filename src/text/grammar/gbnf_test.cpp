#include "text/grammar/test_support.h"

namespace mica::grammar_test {
namespace {

struct Case {
  const char* grammar;
  std::vector<std::string> good, bad;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto grammar = compile(spec(Kind::kGrammar, c.grammar));
    for (const auto& text : c.good)
      EXPECT_TRUE(matches(grammar, text)) << c.grammar << ": " << text;
    for (const auto& text : c.bad)
      EXPECT_FALSE(matches(grammar, text)) << c.grammar << ": " << text;
  }
}

TEST(Gbnf, Texts) {
  check({{"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "yesno"}},
         {"# comment\nroot ::= (\"a\" | \"b\")+ # more\n  \"c\"?", {"a", "abac"}, {"c", "acc"}},
         {"root ::= item{2,3} item-x{,1} [0-9]{1,}\nitem ::= \"i\"\nitem-x ::= [^\\n0-9]",
          {"ii7", "iii12", "iix7"},
          {"i7", "ii"}},
         {"root ::= \"\\x41\\u00e9\\U0001F600\\\"\\n\\t\\\\\"", {"Aé😀\"\n\t\\"}, {"A"}},
         {"root ::= [^a-c\\]] .", {"d\n", "éx"}, {"ax", "]x", "d"}},
         {"root ::= a\n  | b\na ::= 'x'\nb ::= \"y\";", {"x", "y"}, {"xy"}},
         {"root ::= \"(\" root \")\" | \"\"", {"", "()", "((()))"}, {"(", "())"}},
         {"root ::= %regex\"[a-f]{2}\" %json_object", {"ab{\"x\": 1}"}, {"ag{}", "ab[]"}},
         {"root ::= \"\" | \"a\" root", {"", "aaaa"}, {"b"}}});
}

// The example of the notation's documentation in its own words: moves of chess.
TEST(Gbnf, Chess) {
  check(
      {{"root ::= \"1. \" move \" \" move \"\\n\" ([1-9] [0-9]? \". \" move \" \" move \"\\n\")+\n"
        "move ::= (pawn | nonpawn | castle) [+#]?\n"
        "nonpawn ::= [NBKQR] [a-h]? [1-8]? \"x\"? [a-h] [1-8]\n"
        "pawn ::= ([a-h] \"x\")? [a-h] [1-8] (\"=\" [NBKQR])?\n"
        "castle ::= \"O-O\" \"-O\"?",
        {"1. e4 e5\n2. Nf3 Nc6\n", "1. e4 e5\n2. O-O-O exd8=Q+\n"},
        {"1. e4 e5\n", "1. e9 e5\n2. Nf3 Nc6\n"}}});
}

TEST(Gbnf, LeftRecursion) {
  check({{"root ::= root \"a\" | \"b\"", {"b", "baaa"}, {"", "a", "ab"}},
         {"root ::= expr\nexpr ::= expr [+-] term | term\nterm ::= term \"*\" f | f\n"
          "f ::= [0-9]+ | \"(\" expr \")\"",
          {"1", "1+2*3", "(1+2)*3-4"},
          {"+", "1+", "(1"}},
         {"root ::= x\nx ::= y \"b\" | \"x\"\ny ::= x \"a\" | \"y\"",
          {"x", "yb", "xab", "xabab", "ybab"},
          {"xa", "y"}},
         {"root ::= root root | \"a\"", {"a", "aaaaaa"}, {"", "b"}}});
  const std::string hidden =
      error_of(Kind::kGrammar, "root ::= ws root \"x\" | \"y\"\nws ::= \" \"?");
  EXPECT_NE(hidden.find("left recursion"), std::string::npos) << hidden;
  EXPECT_NE(hidden.find("root"), std::string::npos);
}

TEST(Gbnf, Errors) {
  const auto expect = [](const char* grammar, const char* part) {
    const std::string message = error_of(Kind::kGrammar, grammar);
    EXPECT_NE(message.find(part), std::string::npos) << grammar << " -> " << message;
  };
  expect("", "root");
  expect("other ::= \"a\"", "root");
  expect("root ::= missing", "'missing'");
  expect("root ::= \"a\"\nroot ::= \"b\"", "line 2");
  expect("root ::= \"a", "without its end");
  expect("root ::= (\"a\"", "')'");
  expect("root ::= [a", "without its end");
  expect("root ::= \"a\"{3,2}", "maximum");
  expect("root ::= \"a\"{1000000}", "100000");
  expect("root ::= \"\\q\"", "escape");
  expect("root ::= root", "no text");
  expect("root ::= \"a\" root", "no text");
  expect("root ::= *", "expected");
  expect("root = \"a\"", "::=");
  expect("root ::= <[99999]>", "no token");
  expect("root ::= !<call>", "negated");
  expect("root ::= %json_schema{\"type\": \"nothing\"}", "#/type");
  expect("root ::= %json_schema{\"type\"", "closing");
  std::string nested = "root ::= ";
  for (int i = 0; i < 5000; i++) nested += "(";
  expect(nested.c_str(), "nested");
}

TEST(Gbnf, SchemasAndSpecialTokens) {
  const auto tokens = standard_vocabulary();
  const int32_t call = tokens->size() - 3, close = tokens->size() - 2, end = tokens->size() - 1;
  const std::string text =
      "root ::= <call> " + gbnf_literal("{\"name\": \"f\\\", \"arguments\": ") +
      gbnf_json_schema(
          R"({"type":"object","properties":{"}{":{"enum":["}"]}},"required":["}{"]})") +
      " \"}\" " + gbnf_token("</call>");
  GrammarMatcher matcher(compile(spec(Kind::kGrammar, text)));
  EXPECT_EQ(allowed_tokens(matcher, *tokens), std::vector<int32_t>{call});
  EXPECT_FALSE(matcher.accept_text("<call>"));
  EXPECT_TRUE(matcher.accept(call));
  EXPECT_EQ(matcher.forced(), "{\"name\": \"f\\\", \"arguments\": {");
  EXPECT_TRUE(matcher.accept_text("{\"name\": \"f\\\", \"arguments\": {\"}{\":\"}\"}}"));
  EXPECT_EQ(allowed_tokens(matcher, *tokens), std::vector<int32_t>{close});
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(matcher.accept(close));
  EXPECT_TRUE(matcher.must_end());
  EXPECT_TRUE(matcher.accept(end));
  // A token that the vocabulary does not have as a special one is its text; by id it must be one.
  EXPECT_TRUE(matches(Kind::kGrammar, "root ::= <think> \"a\"", "<think>a"));
  GrammarMatcher by_id(compile(spec(Kind::kGrammar, "root ::= <[" + std::to_string(call) + "]>")));
  EXPECT_TRUE(by_id.accept(call));
  EXPECT_NE(error_of(Kind::kGrammar, "root ::= <[65]>"), "");
}

TEST(Gbnf, LiteralsOfAnyText) {
  const std::string odd = "\"quoted\" \\ \n\t\x01 é ' [x] 😀";
  EXPECT_TRUE(matches(Kind::kGrammar, "root ::= " + gbnf_literal(odd), odd));
  EXPECT_THROW(gbnf_json_schema("[]"), Error);
}

}  // namespace
}  // namespace mica::grammar_test
