#include <algorithm>
#include <thread>

#include "text/grammar/test_support.h"

namespace mica::grammar_test {
namespace {

constexpr const char* kGrammars[] = {
    "root ::= \"a\" root \"b\" | \"c\"",
    "root ::= root root | \"a\" | \"ab\" | \"b\"",
    "root ::= x y? \"z\"\nx ::= [a-m]+ | \"[\" x \"]\"\ny ::= x | \", \" x",
    "root ::= %json_object",
    "root ::= (\"ab\" | \"abc\" | \"c\" [0-9]{1,3})* \"x1\"?",
    "root ::= w (\" \" w)*\nw ::= [a-zé-ü你😀]{1,5}",
    "root ::= s{0,300}\ns ::= \"a\" | \"b\" t\nt ::= \"\" | [c-e] t",
    "root ::= <call> [^x]* </call> | [a-c]{5,9}",
    "root ::= a b\na ::= \"a\"* b?\nb ::= \"b\"? \"a\"?",
    "root ::= "
    "%json_schema{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":7},"
    "\"b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}}",
    "root ::= "
    "%json_schema{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":"
    "{\"value\":{\"type\":[\"number\",\"null\"]},\"id\":{\"$ref\":\"#/$defs/"
    "n\"}},\"required\":[\"value\"]}}}"};

// Every token, one by one on a copy, is what the mask says.
void compare_with_trying(GrammarMatcher& matcher, const TokenVocabulary& tokens,
                         const std::string& text) {
  std::vector<int32_t> tried;
  for (int32_t t = 0; t < tokens.size(); t++) {
    GrammarMatcher copy(matcher);
    if (copy.accept(t)) tried.push_back(t);
  }
  ASSERT_EQ(allowed_tokens(matcher, tokens), tried) << "behind '" << text << "'";
}

// Up to `steps` tokens that `choose` takes of the masks, each mask compared with trying.
template <typename Choose>
void follow_comparing(GrammarMatcher& matcher, const TokenVocabulary& tokens,
                      const std::string& grammar, int steps, Choose choose) {
  std::string so_far;
  for (int i = 0; i < steps && !matcher.ended(); i++) {
    compare_with_trying(matcher, tokens, grammar + " :: " + so_far);
    if (testing::Test::HasFatalFailure()) return;
    const int32_t token = choose(allowed_tokens(matcher, tokens));
    ASSERT_TRUE(matcher.accept(token));
    so_far += tokens.bytes(token);
  }
}

auto any_of_them(std::mt19937& random) {
  return
      [&random](const std::vector<int32_t>& allowed) { return allowed[random() % allowed.size()]; };
}

TEST(GrammarMatcher, MaskIsWhatAcceptSays) {
  std::mt19937 random(7);
  const auto tokens = standard_vocabulary();
  for (const char* text : kGrammars) {
    const auto grammar = compile(spec(Kind::kGrammar, text));
    for (int round = 0; round < 6; round++) {
      GrammarMatcher matcher(grammar);
      follow_comparing(matcher, *tokens, text, 40, any_of_them(random));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// Random rules over a few letters, with random vocabularies over the same letters.
TEST(GrammarMatcher, MaskIsWhatAcceptSaysOfRandomGrammars) {
  std::mt19937 random(11);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto sequence = [&] {
    std::string out;
    for (int i = 0, n = 1 + pick(3); i < n; i++) {
      switch (pick(6)) {
        case 0: out += " r" + std::to_string(pick(3)); break;
        case 1: out += std::string(" [ab]") + "?*+ "[pick(4)]; break;
        case 2: out += std::string(" \"") + "abc"[pick(3)] + "abc"[pick(3)] + "\"{0,3}"; break;
        default: out += std::string(" \"") + "abc"[pick(3)] + "\""; break;
      }
    }
    return out;
  };
  int followed = 0;
  for (int round = 0; round < 300; round++) {
    std::string text = "root ::=" + sequence() + " |" + sequence() + "\n";
    for (int r = 0; r < 3; r++)
      text += "r" + std::to_string(r) + " ::=" + sequence() + " |" + sequence() + "\n";
    std::vector<std::string> pieces;
    for (int i = 0; i < 30; i++) {
      pieces.emplace_back();
      for (int n = 1 + pick(5); n > 0; n--) pieces.back() += "abc"[pick(3)];
    }
    const auto tokens = vocabulary(pieces);
    std::shared_ptr<const CompiledGrammar> grammar;
    try {
      grammar = GrammarCompiler(tokens).compile(spec(Kind::kGrammar, text));
    } catch (const Error&) {  // left recursion, no text
      continue;
    }
    followed++;
    GrammarMatcher matcher(grammar);
    follow_comparing(matcher, *tokens, text, 8, any_of_them(random));
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(followed, 100);
}

// States that share what they say of short tokens still differ in long ones, at the end of the
// count and behind it.
TEST(GrammarMatcher, MaskIsWhatAcceptSaysInCountedRepetitions) {
  std::mt19937 random(13);
  std::vector<std::string> pieces;
  for (int length = 1; length < 40; length++) {
    const std::string run(static_cast<size_t>(length), 'a');
    for (const char* end : {"", ".", ". B", ".B", "\"", "\\"}) pieces.push_back(run + end);
  }
  const auto tokens = vocabulary(pieces);
  for (const char* text :
       {"root ::= ([a-z]{10,90} \".\" \" \"? \"B\"){1,3}",
        "root ::= \"\\\"\" [^\"]{20,70} \"\\\"\" \"a\"*",
        "root ::= %json_schema{\"type\":\"string\",\"minLength\":18,\"maxLength\":60}",
        "root ::= (w \".\"){2} [A-Z]?\nw ::= [a-y]{0,50} | \"z\" w"}) {
    const auto grammar = GrammarCompiler(tokens).compile(spec(Kind::kGrammar, text));
    for (int round = 0; round < 4; round++) {
      GrammarMatcher matcher(grammar);
      follow_comparing(matcher, *tokens, text, 60, [&](const std::vector<int32_t>& allowed) {
        const bool letter = random() % 2 && std::ranges::find(allowed, 'a') != allowed.end();
        return letter ? 'a' : allowed[random() % allowed.size()];
      });
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(GrammarMatcher, RollbackAndCopies) {
  std::mt19937 random(3);
  const auto tokens = standard_vocabulary();
  for (const char* text : kGrammars) {
    GrammarMatcher matcher(compile(spec(Kind::kGrammar, text)));
    std::vector<std::vector<int32_t>> masks{allowed_tokens(matcher, *tokens)};
    std::vector<GrammarMatcher> copies{matcher};
    for (int i = 0; i < 200; i++) {
      if (random() % 3 == 0 && matcher.tokens_accepted() > 0) {
        const auto back =
            static_cast<int32_t>(random() % static_cast<unsigned>(matcher.tokens_accepted() + 1));
        matcher.rollback(back);
        masks.resize(masks.size() - static_cast<size_t>(back));
        copies.erase(copies.end() - back, copies.end());
      } else if (!matcher.ended()) {
        ASSERT_TRUE(matcher.accept(masks.back()[random() % masks.back().size()]));
        masks.push_back(allowed_tokens(matcher, *tokens));
        copies.push_back(matcher);
      }
      ASSERT_EQ(allowed_tokens(matcher, *tokens), masks.back()) << text;
      ASSERT_EQ(matcher.tokens_accepted() + 1, static_cast<int32_t>(masks.size()));
      const size_t any = random() % copies.size();
      ASSERT_EQ(allowed_tokens(copies[any], *tokens), masks[any]) << text;
    }
  }
}

TEST(GrammarMatcher, Ends) {
  const auto tokens = standard_vocabulary();
  const int32_t end = tokens->end_ids()[0];
  GrammarSpec choice;
  choice.kind = Kind::kChoice;
  choice.choices = {"yes", "yes please", "no", "\xC3\xA9"};
  GrammarMatcher matcher(compile(choice));
  EXPECT_FALSE(matcher.can_end());
  EXPECT_FALSE(matcher.accept(end));
  EXPECT_FALSE(matcher.accept(-1));
  EXPECT_FALSE(matcher.accept(tokens->size()));
  EXPECT_FALSE(matcher.accept(end - 1));  // a special token
  EXPECT_TRUE(matcher.accept('y'));
  EXPECT_EQ(matcher.forced(), "es");
  EXPECT_TRUE(matcher.accept_text("es"));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_FALSE(matcher.must_end());
  EXPECT_EQ(matcher.forced(), "");
  EXPECT_TRUE(matcher.accept_text(" please"));
  EXPECT_TRUE(matcher.must_end());
  EXPECT_EQ(allowed_tokens(matcher, *tokens), std::vector<int32_t>{end});
  EXPECT_TRUE(matcher.accept(end));
  EXPECT_TRUE(matcher.ended());
  EXPECT_FALSE(matcher.accept(end));
  matcher.rollback(4);
  EXPECT_TRUE(matcher.accept(0xC3));  // half a character is a state like any other
  EXPECT_EQ(matcher.forced(), "");
  EXPECT_TRUE(matcher.accept(0xA9));
  EXPECT_TRUE(matcher.can_end());
}

TEST(GrammarMatcher, VocabularyWithoutTheBytes) {
  const auto tokens =
      std::make_shared<TokenVocabulary>(std::vector<std::string>{"a", "b", "", "<end>"},
                                        std::vector<int32_t>{3}, std::vector<bool>());
  GrammarCompiler compiler(tokens);
  GrammarMatcher matcher(compiler.compile(spec(Kind::kRegex, "abX")));
  std::vector<uint32_t> mask(tokens->mask_words());
  EXPECT_NO_THROW(matcher.mask(mask));
  EXPECT_EQ(mask[0], 1u);
  EXPECT_FALSE(matcher.accept(2));  // no bytes
  EXPECT_TRUE(matcher.accept(0) && matcher.accept(1));
  EXPECT_THROW(matcher.mask(mask), Error);
}

TEST(GrammarMatcher, LongTextsAndDeepNesting) {
  GrammarMatcher matcher(compile(spec(Kind::kGrammar, "root ::= \"[\" root \"]\" | [a-z]*")));
  const auto tokens = standard_vocabulary();
  int depth = 0;
  while (matcher.accept('[')) depth++;
  EXPECT_GT(depth, 500);
  EXPECT_LT(depth, 2000);
  // At the limit the mask still is what accept says.
  for (const int back : {0, 1, 2, 3, 40}) {
    matcher.rollback(back);
    compare_with_trying(matcher, *tokens, "deep");
  }
  GrammarMatcher letters(compile(spec(Kind::kGrammar, "root ::= \"\" | [a-z] root")));
  for (int i = 0; i < 20000; i++) ASSERT_TRUE(letters.accept('a'));
  EXPECT_TRUE(letters.can_end());
}

TEST(GrammarMatcher, AmbiguityEndsInAnError) {
  // Every split of the text, nested: the number of parallel parses grows with its length.
  GrammarMatcher matcher(compile(spec(Kind::kGrammar,
                                      "root ::= s\ns ::= \"a\" s \"b\"? s | \"a\" | \"a\" t\n"
                                      "t ::= \"a\" s t | \"a\"")));
  int length = 0;
  try {
    for (; length < 3000; length++) ASSERT_TRUE(matcher.accept('a'));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("ambiguous"), std::string::npos);
    EXPECT_EQ(matcher.tokens_accepted(), length);
  }
  EXPECT_GT(length, 50);
}

TEST(GrammarCompiler, CacheAndThreads) {
  GrammarCompiler compiler(standard_vocabulary(), size_t{64} << 10);
  const GrammarSpec first = spec(Kind::kRegex, "[a-z]{1,20}");
  const auto a = compiler.compile(first);
  EXPECT_EQ(a, compiler.compile(first));
  EXPECT_NE(a, compiler.compile(spec(Kind::kGrammar, "root ::= [a-z]{1,20}")));
  for (int i = 0; i < 200; i++)
    compiler.compile(spec(Kind::kRegex, "x{" + std::to_string(i) + "}"));
  EXPECT_LT(compiler.cached_grammars(), 200u);
  EXPECT_GE(compiler.cached_grammars(), 1u);

  const auto tokens = standard_vocabulary();
  const auto grammar = compiler.compile(spec(Kind::kJsonObject, ""));
  std::vector<std::thread> threads;
  std::vector<int> good(4, 0);
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 10; i++) {
        const auto other = compiler.compile(spec(Kind::kRegex, "y{" + std::to_string(i) + "}"));
        GrammarMatcher matcher(i % 2 ? grammar : other);
        for (int step = 0; step < 30 && !matcher.ended(); step++) {
          const auto allowed = allowed_tokens(matcher, *tokens);
          if (!matcher.accept(allowed[random() % allowed.size()])) return;
        }
        good[static_cast<size_t>(t)]++;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, std::vector<int>(4, 10));
}

}  // namespace
}  // namespace mica::grammar_test
