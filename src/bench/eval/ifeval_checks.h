// The checks behind instruction_types(), by the part of the instruction's id behind ':'.
#pragma once

#include <string>
#include <string_view>

#include "bench/eval/ifeval.h"

namespace mica::ifeval {

using Arguments = InstructionArguments;

// ifeval_words.cpp: what words and letters an answer has.
std::string existence(std::string_view answer, const Arguments& arguments);
std::string frequency(std::string_view answer, const Arguments& arguments);
std::string forbidden_words(std::string_view answer, const Arguments& arguments);
std::string letter_frequency(std::string_view answer, const Arguments& arguments);
std::string response_language(std::string_view answer, const Arguments& arguments);
std::string number_sentences(std::string_view answer, const Arguments& arguments);
std::string number_words(std::string_view answer, const Arguments& arguments);
std::string capital_word_frequency(std::string_view answer, const Arguments& arguments);
std::string english_capital(std::string_view answer, const Arguments& arguments);
std::string english_lowercase(std::string_view answer, const Arguments& arguments);
std::string no_comma(std::string_view answer, const Arguments& arguments);

// ifeval_layout.cpp: what form it has.
std::string number_paragraphs(std::string_view answer, const Arguments& arguments);
std::string nth_paragraph_first_word(std::string_view answer, const Arguments& arguments);
std::string number_placeholders(std::string_view answer, const Arguments& arguments);
std::string postscript(std::string_view answer, const Arguments& arguments);
std::string number_bullet_lists(std::string_view answer, const Arguments& arguments);
std::string constrained_response(std::string_view answer, const Arguments& arguments);
std::string number_highlighted_sections(std::string_view answer, const Arguments& arguments);
std::string multiple_sections(std::string_view answer, const Arguments& arguments);
std::string json_format(std::string_view answer, const Arguments& arguments);
std::string title(std::string_view answer, const Arguments& arguments);
std::string two_responses(std::string_view answer, const Arguments& arguments);
std::string repeat_prompt(std::string_view answer, const Arguments& arguments);
std::string end_checker(std::string_view answer, const Arguments& arguments);
std::string quotation(std::string_view answer, const Arguments& arguments);

// "found 3 words, expected at least 10", or empty when the number is right.
std::string wrong_count(int64_t found, const Arguments& arguments, const char* what);

}  // namespace mica::ifeval
