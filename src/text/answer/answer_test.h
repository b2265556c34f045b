// What the tests of the answer parser share: parts put together, cuttings, calls rendered per
// style.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "text/answer/answer_parser.h"

namespace mica::answer_test {

using Json = nlohmann::ordered_json;
using Kind = AnswerPart::Kind;
using Parts = std::vector<AnswerPart>;

struct Style {
  const char* name;
  AnswerStyle style;
};
inline std::vector<Style> all_styles() {
  using R = ReasoningStyle;
  using T = ToolStyle;
  return {
      {"hermes", {R::kThink, T::kHermes}},     {"qwen3_coder", {R::kThink, T::kQwen3Coder}},
      {"glm", {R::kThink, T::kGlm}},           {"longcat", {R::kLongcat, T::kLongcat}},
      {"minimax", {R::kThink, T::kMiniMax}},   {"llama3", {R::kNone, T::kLlama3}},
      {"mistral", {R::kMistral, T::kMistral}}, {"kimi", {R::kThink, T::kKimi}},
      {"deepseek", {R::kThink, T::kDeepSeek}}, {"lfm2", {R::kThink, T::kLfm2}},
      {"gemma", {R::kGemma, T::kGemma}},       {"function_gemma", {R::kNone, T::kFunctionGemma}},
      {"harmony", {R::kHarmony, T::kHarmony}}};
}

// The template that writes the calls of messages[0] in a style, as models' templates do.
std::string call_template(ToolStyle style);

struct Call {
  std::string name;
  Json arguments;
};

std::string rendered(ToolStyle style, const std::vector<Call>& calls);

// Neighbours of one kind put together.
inline Parts joined(const Parts& parts) {
  Parts list;
  for (const AnswerPart& part : parts) {
    const bool text = part.kind != Kind::kToolBegin && part.kind != Kind::kToolEnd;
    if (text && !list.empty() && list.back().kind == part.kind && list.back().tool == part.tool) {
      list.back().text += part.text;
    } else {
      list.push_back(part);
    }
  }
  return list;
}

inline std::string described(const Parts& parts) {
  std::string out;
  for (const AnswerPart& part : joined(parts)) {
    switch (part.kind) {
      case Kind::kContent: out += "C{" + part.text + "}"; break;
      case Kind::kReasoning: out += "R{" + part.text + "}"; break;
      case Kind::kToolBegin: out += "B{" + part.name + "}"; break;
      case Kind::kToolArguments: out += "A{" + part.text + "}"; break;
      case Kind::kToolEnd: out += "E"; break;
    }
  }
  return out;
}

struct Outcome {
  Parts parts;
  std::string warning;
  int32_t tools = 0;
};

inline Outcome parse(AnswerStyle style, const AnswerParserOptions& options,
                     const std::vector<std::string>& pieces, bool complete = true) {
  AnswerParser parser(style, options);
  Outcome outcome;
  auto take = [&](Parts parts) {
    outcome.parts.insert(outcome.parts.end(), parts.begin(), parts.end());
  };
  for (const std::string& piece : pieces) take(parser.add(piece));
  take(parser.finish(complete));
  outcome.parts = joined(outcome.parts);
  outcome.warning = parser.warning();
  outcome.tools = parser.tools();
  return outcome;
}

// The characters of a text.
inline std::vector<std::string> characters(const std::string& text) {
  std::vector<std::string> list;
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80 && !list.empty()) {
      list.back() += c;
    } else {
      list.emplace_back(1, c);
    }
  }
  return list;
}

inline std::vector<std::string> random_pieces(const std::string& text, std::mt19937_64& random) {
  std::vector<std::string> pieces = {""};
  for (const std::string& c : characters(text)) {
    if (random() % 5 == 0) pieces.emplace_back();
    pieces.back() += c;
  }
  return pieces;
}

// Parses the text whole, and checks that no cutting changes anything.
inline Outcome parse_all_ways(AnswerStyle style, const AnswerParserOptions& options,
                              const std::string& text, bool complete = true) {
  const Outcome whole = parse(style, options, {text}, complete);
  auto check = [&](const std::vector<std::string>& pieces) {
    const Outcome other = parse(style, options, pieces, complete);
    EXPECT_EQ(described(other.parts), described(whole.parts)) << text;
    EXPECT_EQ(other.parts, whole.parts);
    EXPECT_EQ(other.warning, whole.warning) << text;
    EXPECT_EQ(other.tools, whole.tools);
  };
  const std::vector<std::string> single = characters(text);
  check(single);
  std::string head;
  for (const std::string& c : single) {
    head += c;
    check({head, text.substr(head.size())});
    if (::testing::Test::HasFailure()) break;
  }
  std::mt19937_64 random(text.size());
  for (int i = 0; i < 20; ++i) check(random_pieces(text, random));
  // Whole calls alone are the same calls.
  AnswerParserOptions held = options;
  held.whole_calls = true;
  const Outcome calls = parse(style, held, single, complete);
  EXPECT_EQ(calls.tools, whole.tools);
  EXPECT_EQ(std::count_if(calls.parts.begin(), calls.parts.end(),
                          [](const auto& part) { return part.kind == Kind::kToolBegin; }),
            calls.tools);
  return whole;
}

inline std::shared_ptr<const Json> shared(Json tools) {
  return std::make_shared<const Json>(std::move(tools));
}

}  // namespace mica::answer_test
