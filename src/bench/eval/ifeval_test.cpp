#include "bench/eval/ifeval.h"

#include <gtest/gtest.h>

#include <set>

namespace mica {
namespace {

struct Case {
  const char* id;
  InstructionArguments arguments;
  const char* right;  // answers that follow, and that don't
  const char* wrong;
};

InstructionArguments texts(std::vector<std::string> texts) {
  return {.texts = std::move(texts)};
}
InstructionArguments at_least(int64_t count, std::vector<std::string> texts = {}) {
  return {.texts = std::move(texts), .count = count};
}
InstructionArguments less_than(int64_t count, std::vector<std::string> texts = {}) {
  return {.texts = std::move(texts), .count = count, .at_least = false};
}
InstructionArguments paragraph(int64_t count, int64_t nth, const char* word) {
  return {.texts = {word}, .count = count, .nth = nth};
}

constexpr const char* kEnglish = "The cat sat on the mat and it was happy with all of its friends.";

std::vector<Case> cases() {
  return {
      {"keywords:existence", texts({"Cat", "mat"}), "The cat is on the MAT.", "The cat is here."},
      {"keywords:frequency", at_least(2, {"cat"}), "Cat and cats", "One cat"},
      {"keywords:frequency", less_than(2, {"cat"}), "One cat", "A cat, a cat"},
      {"keywords:frequency", less_than(1, {"cat"}), "A dog", "A cat"},
      {"keywords:forbidden_words", texts({"can", "rock"}), "A candle on rocks", "You CAN."},
      {"keywords:forbidden_words", texts({"can"}), "toucan", "can"},
      {"keywords:forbidden_words", texts({"wait-and"}), "wait and see", "A wait-and see."},
      {"keywords:letter_frequency", at_least(3, {"a"}), "A banana", "An apple"},
      {"keywords:letter_frequency", less_than(2, {"q"}), "Quiet", "Quiet queue"},
      {"keywords:letter_frequency", at_least(2, {"!"}), "Oh! Ah!", "Oh!"},
      {"language:response_language", texts({"de"}),
       "Das ist ein Haus, und die Katze sitzt auf der Bank vor dem Haus.", kEnglish},
      {"language:response_language", texts({"hi"}), "यह एक घर है और बिल्ली घर के सामने बैठी है।",
       "हे एक घर आहे आणि मांजर घरासमोर बसली आहे."},
      {"length_constraints:number_sentences", at_least(3), "One. Two! Three?", "One. Two."},
      {"length_constraints:number_sentences", less_than(3), "Dr. Ada left. So did I.",
       "One. Two. Three."},
      {"length_constraints:number_paragraphs", {.count = 3}, "A\n***\nB\n\nC\n***\nD", "A\n***\nB"},
      {"length_constraints:number_paragraphs",
       {.count = 2},
       "***\nA\n***\nB\n***",
       "A\n***\n***\nB"},
      {"length_constraints:number_words", at_least(4), "One two, three-four", "One two three"},
      {"length_constraints:number_words", less_than(4), "One two three", "One two three four"},
      {"length_constraints:nth_paragraph_first_word", paragraph(2, 2, "Booster"),
       "First.\n\n\"booster, it is", "First.\n\nSecond booster"},
      {"length_constraints:nth_paragraph_first_word", paragraph(2, 1, "it"), "It is.\n\nB",
       "It is.\n\nB\n\nC"},
      {"detectable_content:number_placeholders", at_least(2), "[name] lives at [address].",
       "[name] lives."},
      {"detectable_content:postscript", texts({"P.S."}), "Bye.\n\np. s. And more", "Bye. PS more"},
      {"detectable_content:postscript", texts({"P.P.S"}), "Bye. P.S. one\nP.P.S two",
       "Bye. P.S. one"},
      {"detectable_format:number_bullet_lists",
       {.count = 2},
       "List:\n* one\n  - two\n---\n**no**",
       "* one\n* two\n* three"},
      {"detectable_format:constrained_response", {}, "Well. My answer is maybe.", "Maybe."},
      {"detectable_format:number_highlighted_sections", at_least(2), "*one* and **two**",
       "*one* and * not two*"},
      {"detectable_format:number_highlighted_sections", at_least(2), "* *one* and *two*",
       "** and *one*"},
      {"detectable_format:multiple_sections", at_least(2, {"Section"}),
       "Section 1\nText\nSection 2\nText", "Section 1\nSection two"},
      {"detectable_format:json_format", {}, "```JSON\n{\"a\": [1, 2]}\n```", "Here: {\"a\": 1}"},
      {"detectable_format:title", {}, "<<The Cat>>\nIt sat.", "<< >>\nIt sat."},
      {"combination:two_responses", {}, "One\n******\nTwo", "One\n******\nOne"},
      {"combination:two_responses", {}, "One\n******\nTwo\n******", "One\n******\nTwo\n******\n3"},
      {"combination:repeat_prompt", texts({"Write a poem."}), " write a poem.\nRoses", "Roses"},
      {"startend:end_checker", texts({"Peace!"}), "All is well. \"peace!\"\n", "Peace! Bye."},
      {"startend:quotation", {}, "\n\"All is well.\" ", "\"All\" is well"},
      {"change_case:capital_word_frequency", at_least(3), "NASA is X-RAY and I", "NASA is Big"},
      {"change_case:capital_word_frequency", less_than(2), "NASA is 24 Big", "NASA and ESA"},
      {"change_case:english_capital", {}, "THE CAT SAT ON THE MAT. 24!", "THE CAT SAt"},
      {"change_case:english_capital", {}, "THE CAT IS HERE", "DAS IST EIN HAUS UND DIE KATZE"},
      {"change_case:english_lowercase", {}, "the cat sat on the mat.", "The cat sat"},
      {"change_case:english_lowercase",
       {},
       "the cat is here",
       "das ist ein haus und die katze ist da"},
      {"punctuation:no_comma", {}, "Red; green and blue.", "Red, green"},
  };
}

TEST(Ifeval, EveryInstructionIsFollowedAndNotFollowed) {
  std::set<std::string> seen;
  for (const Case& c : cases()) {
    SCOPED_TRACE(std::string(c.id) + " | " + c.right + " | " + c.wrong);
    const Instruction instruction{find_instruction_type(c.id), c.arguments};
    ASSERT_NE(instruction.type, nullptr);
    seen.insert(c.id);
    const InstructionVerdict right = judge(instruction, c.right),
                             wrong = judge(instruction, c.wrong);
    EXPECT_TRUE(right.strict) << right.why;
    EXPECT_TRUE(right.loose);
    EXPECT_EQ(right.why, "");
    EXPECT_FALSE(wrong.strict);
    EXPECT_NE(wrong.why, "");
    EXPECT_FALSE(judge(instruction, " \n ").loose) << "no text follows nothing";
  }
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(instruction_types().size(), 25u);
}

TEST(Ifeval, SaysWhatIsWrong) {
  const auto why = [](const char* id, InstructionArguments arguments, const char* answer) {
    return judge({find_instruction_type(id), std::move(arguments)}, answer).why;
  };
  EXPECT_EQ(why("length_constraints:number_words", at_least(10), "One two."),
            "found 2 words, expected at least 10");
  EXPECT_EQ(why("keywords:frequency", less_than(2, {"cat"}), "cat cat"),
            "found 2 times 'cat', expected less than 2");
  EXPECT_EQ(why("detectable_format:number_bullet_lists", {.count = 3}, "* a"),
            "found 1 bullet points, expected exactly 3");
  EXPECT_EQ(why("language:response_language", texts({"fr"}), kEnglish),
            "language: found en, expected fr");
}

TEST(Ifeval, LooseFormsForgiveWhatStandsAround) {
  const Instruction json{find_instruction_type("detectable_format:json_format"), {}};
  const InstructionVerdict verdict = judge(json, "Sure, here it is:\n{\"a\": 1}\nAnything else?");
  EXPECT_FALSE(verdict.strict);
  EXPECT_TRUE(verdict.loose);
  const Instruction ends{find_instruction_type("startend:end_checker"), texts({"Peace!"})};
  EXPECT_TRUE(judge(ends, "All is well.\n**Peace!**").loose);
  EXPECT_FALSE(judge(ends, "All is well.\n**Peace!** or not").loose);
}

TEST(Ifeval, LooseForms) {
  EXPECT_EQ(loose_forms("*a*\nb\n*c*"),
            (std::vector<std::string>{"*a*\nb\n*c*", "a\nb\nc", "b\n*c*", "b\nc", "*a*\nb", "a\nb",
                                      "b", "b"}));
  EXPECT_EQ(loose_forms("a"), (std::vector<std::string>{"a", "a", "", "", "", "", "", ""}));
}

}  // namespace
}  // namespace mica
