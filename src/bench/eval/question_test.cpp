#include "bench/eval/question.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/eval/examples.h"

namespace mica {
namespace {

std::string error_of(std::string_view text, const QuestionOptions& options = {}) {
  try {
    parse_questions(text, "file", options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "none";
}

const std::string& last_text(const Question& question) {
  return question.messages.back().parts[0].text;
}

TEST(Questions, Gsm8k) {
  const std::string text =
      "{\"question\": \"How many eggs?\", \"answer\": \"9 * 2 = <<9*2=18>>18\\n#### 1,018\"}\n\n"
      "{\"question\": \"And now?\", \"answer\": \"#### -3\"}\r\n";
  const QuestionSet set = parse_questions(text, "file");
  EXPECT_EQ(set.kind, QuestionKind::kGsm8k);
  ASSERT_EQ(set.questions.size(), 2u);
  EXPECT_EQ(set.questions[0].id, "1");
  EXPECT_EQ(set.questions[1].id, "3");
  EXPECT_EQ(set.questions[0].expected->number.text(), "1018");
  EXPECT_EQ(set.questions[1].expected->number.text(), "-3");
  ASSERT_EQ(set.questions[0].messages.size(), 1u);
  EXPECT_EQ(last_text(set.questions[0]), "How many eggs?\n\n" + std::string(kNumberRequest));

  const QuestionSet shots = parse_questions(text, "file", {.shots = 3});
  ASSERT_EQ(shots.questions[0].messages.size(), 7u);
  EXPECT_EQ(shots.questions[0].messages[1].role, "assistant");
  EXPECT_EQ(last_text(shots.questions[0]), last_text(set.questions[0]));
  EXPECT_NE(shots.hash, set.hash);
  EXPECT_NE(shots.questions[0].prompt_hash, set.questions[0].prompt_hash);
}

TEST(Questions, TheWorkedExamplesAreRight) {
  const char* const answers[] = {"936", "270", "20"};
  ASSERT_EQ(worked_examples().size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const auto found = find_answer_number(worked_examples()[i].answer);
    EXPECT_EQ(found->place, NumberPlace::kMarked);
    EXPECT_EQ(found->value.text(), answers[i]);
  }
}

TEST(Questions, Ifeval) {
  const QuestionSet set = parse_questions(
      R"({"key": 1000, "prompt": "Write.", "instruction_id_list": ["punctuation:no_comma",)"
      R"( "length_constraints:number_words"], "kwargs": [{"num_words": null},)"
      R"( {"relation": "less than", "num_words": 300.0}]})",
      "file");
  EXPECT_EQ(set.kind, QuestionKind::kIfeval);
  const Question& question = set.questions[0];
  EXPECT_EQ(question.id, "1000");
  ASSERT_EQ(question.instructions.size(), 2u);
  EXPECT_EQ(question.instructions[1].arguments.count, 300);
  EXPECT_FALSE(question.instructions[1].arguments.at_least);
  EXPECT_FALSE(question.expected);
}

TEST(Questions, Generic) {
  const QuestionSet set = parse_questions(
      R"({"id": "a", "prompt": "Capital of Norway?", "answer": ["Oslo", "oslo"], "group": "geo"}
{"prompt": "2 + 2?", "answer": 4.0, "match": "number", "tolerance": 0.5, "meta": {"x": 1}}
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}],)"
      R"( "choices": ["Rome", "Oslo"], "answer": "Oslo"}
{"prompt": "Say a date.", "answer": "^\\d{4}-\\d\\d", "match": "regex"}
{"id": 7, "prompt": "Which?", "choices": ["x", "y"], "answer": "B", "match": "choice"})",
      "file");
  ASSERT_EQ(set.questions.size(), 5u);
  EXPECT_EQ(set.questions[0].expected->match, MatchKind::kExact);
  EXPECT_EQ(set.questions[0].group, "geo");
  EXPECT_EQ(set.questions[1].expected->number.text(), "4");
  EXPECT_EQ(set.questions[2].messages[0].role, "system");
  EXPECT_EQ(set.questions[2].expected->choice, 1u);
  EXPECT_EQ(last_text(set.questions[2]),
            "Which?\n\nA. Rome\nB. Oslo\n\n" + std::string(kLetterRequest));
  EXPECT_EQ(set.questions[3].expected->pattern->search("2026-01-31"), Pattern::Result::kFound);
  EXPECT_EQ(set.questions[4].id, "7");
  EXPECT_EQ(set.questions[4].expected->choice, 1u);
}

TEST(Questions, ASystemMessageReplacesTheirs) {
  const QuestionSet set = parse_questions(
      R"({"messages": [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}],)"
      R"( "answer": "C"})",
      "file", {.system = "D"});
  ASSERT_EQ(set.questions[0].messages.size(), 2u);
  EXPECT_EQ(set.questions[0].messages[0].parts[0].text, "D");
}

TEST(Questions, TheHashIsOfWhatCounts) {
  const auto hash = [](const char* text) { return parse_questions(text, "file").hash; };
  const std::string before = hash(R"({"prompt": "A", "answer": "B"})");
  EXPECT_EQ(before, hash(R"( {"answer":"B", "meta": 1, "prompt":"A"} )"));
  EXPECT_NE(before, hash(R"({"prompt": "A", "answer": "C"})"));
  EXPECT_NE(before, hash(R"({"prompt": "A2", "answer": "B"})"));
  EXPECT_NE(before, hash(R"({"id": "x", "prompt": "A", "answer": "B"})"));
}

TEST(Questions, WhatIsWrongIsSaidWithItsPlace) {
  struct Case {
    const char* text;
    const char* part;  // of the message
  };
  const Case cases[] = {
      {"", "[eval] file: expected questions, found none"},
      {"{", "[eval] file:1: expected JSON"},
      {"[]", "[eval] file:1: expected an object"},
      {R"({"a": 1})", "[eval] file:1: expected 'question' and 'answer' (GSM8K)"},
      {"{\"prompt\": \"A\", \"answer\": \"B\"}\n{\"prompt\": \"A\"}",
       "[eval] file:2: expected a member 'answer'"},
      {R"({"question": "A", "answer": "18"})", "file:1.answer: expected a text that ends with"},
      {R"({"question": "A", "answer": "#### many"})", "file:1.answer: expected a text"},
      {R"({"question": " ", "answer": "#### 1"})", "file:1.question: expected a text that is not"},
      {R"({"prompt": "A", "anwser": "B"})", "unknown key 'anwser'; is answer meant?"},
      {R"({"prompt": "A", "messages": [], "answer": "B"})", "'prompt' or 'messages', one of them"},
      {R"({"messages": [{"role": "assistant", "content": "x"}], "answer": "B"})",
       "a list that ends with a user's"},
      {R"({"messages": [{"role": "boss", "content": "x"}], "answer": "B"})",
       "file:1.messages[0].role: expected 'system'"},
      {R"({"prompt": "A", "answer": "B", "match": "fuzzy"})", "file:1.match: expected 'exact'"},
      {R"({"prompt": "A", "answer": "B", "match": "choice"})", "'choices' beside 'choice'"},
      {R"({"prompt": "A", "answer": "x", "choices": ["x", "y"], "match": "exact"})",
       "'choice', as"},
      {R"({"prompt": "A", "answer": "z", "choices": ["x", "y"]})",
       "file:1.answer: expected a choice"},
      {R"({"prompt": "A", "answer": 2, "choices": ["x", "y"]})", "its place from 0 to 1"},
      {R"({"prompt": "A", "answer": "A", "choices": ["B", "A"]})", "letter of another choice"},
      {R"({"prompt": "A", "answer": "x", "choices": ["x"]})", "2 to 26 choices"},
      {R"({"prompt": "A", "answer": "x", "choices": ["x", "x"]})", "choices that differ"},
      {R"({"prompt": "A", "answer": "four", "match": "number"})",
       "file:1.answer: expected a number"},
      {R"({"prompt": "A", "answer": "(", "match": "regex"})", "expected a regular expression"},
      {R"({"prompt": "A", "answer": "B", "tolerance": 1})", "beside 'match': 'number'"},
      {R"({"prompt": "A", "answer": []})", "a text or a list of texts"},
      {"{\"id\": 1, \"prompt\": \"A\", \"answer\": \"B\"}\n{\"id\": \"1\", \"prompt\": \"A\", "
       "\"answer\": \"B\"}",
       "file:2: expected an id of its own, found '1' as in line 1"},
      {R"({"prompt": "A", "instruction_id_list": [], "kwargs": []})", "a list of instructions"},
      {R"({"prompt": "A", "instruction_id_list": ["punctuation:no_coma"], "kwargs": [{}]})",
       "is punctuation:no_comma meant?"},
      {R"({"prompt": "A", "instruction_id_list": ["punctuation:no_comma"], "kwargs": []})",
       "file:1.kwargs: expected 1 objects"},
      {R"({"prompt": "A", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"n": 1}]})",
       "unknown key 'n'"},
      {R"({"prompt": "A", "instruction_id_list": ["length_constraints:number_words"],)"
       R"( "kwargs": [{"num_words": 5, "relation": "about"}]})",
       "file:1.kwargs[0].relation: expected 'at least' or 'less than'"},
      {R"({"prompt": "A", "instruction_id_list": ["length_constraints:number_words"],)"
       R"( "kwargs": [{"num_words": -1, "relation": "at least"}]})",
       "a number from 0"},
      {R"({"prompt": "A", "instruction_id_list": ["language:response_language"],)"
       R"( "kwargs": [{"language": "xx"}]})",
       "file:1.kwargs[0].language: expected one of the languages"},
  };
  for (const Case& c : cases) {
    const std::string error = error_of(c.text);
    EXPECT_NE(error.find(c.part), std::string::npos) << c.text << "\n" << error;
  }
  EXPECT_NE(error_of(R"({"prompt": "A", "answer": "B"})", {.kind = QuestionKind::kGsm8k})
                .find("a member 'question'"),
            std::string::npos);
}

TEST(Questions, NestingHasALimit) {
  const std::string deep =
      "{\"meta\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_NE(error_of(deep).find("at most 64 levels"), std::string::npos);
}

TEST(Pattern, IsGivenUp) {
  const Pattern bomb("(a+)+$", false);
  EXPECT_EQ(bomb.search(std::string(100, 'a') + "b"), Pattern::Result::kTooLong);
  EXPECT_EQ(Pattern("É", true).search("é"), Pattern::Result::kFound);
  EXPECT_EQ(Pattern("a", false).search("\xff a"), Pattern::Result::kFound);
  EXPECT_EQ(Pattern("b", false).search("a"), Pattern::Result::kNotFound);
}

}  // namespace
}  // namespace mica
