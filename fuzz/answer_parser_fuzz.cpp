// The answer parser on arbitrary text: whatever the style and the cutting, the same parts, and
// what has an end is a JSON object.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>

#include "text/answer/answer_parser.h"

namespace {

using Json = nlohmann::ordered_json;
using Kind = mica::AnswerPart::Kind;
using Parts = std::vector<mica::AnswerPart>;

void require(bool condition) {
  if (!condition) std::abort();
}

// What is no UTF-8 becomes U+FFFD.
std::string utf8(const uint8_t* data, size_t size) {
  const Json text(std::string(reinterpret_cast<const char*>(data), size));
  return Json::parse(text.dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

void join(Parts& list, Parts more) {
  for (mica::AnswerPart& part : more) {
    const bool text = part.kind != Kind::kToolBegin && part.kind != Kind::kToolEnd;
    if (text && !list.empty() && list.back().kind == part.kind && list.back().tool == part.tool) {
      list.back().text += part.text;
    } else {
      list.push_back(std::move(part));
    }
  }
}

void check(const Parts& parts, int32_t tools) {
  int32_t ends = 0;
  bool open = false;
  std::string arguments;
  for (const mica::AnswerPart& part : parts) {
    if (part.kind == Kind::kToolBegin) {
      require(!part.name.empty() && !part.id.empty());
      open = true;
      arguments.clear();
    } else if (part.kind == Kind::kToolArguments) {
      require(open && !part.text.empty());
      arguments += part.text;
    } else if (part.kind == Kind::kToolEnd) {
      require(open && Json::accept(arguments) && Json::parse(arguments).is_object());
      open = false;
      ++ends;
    } else {
      require(!part.text.empty());
      open = false;
    }
  }
  require(ends == tools);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  static const auto tools = std::make_shared<const Json>(Json::parse(R"([
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
      "s": {"type": "string"}, "i": {"type": "integer"}, "b": {"type": "boolean"},
      "o": {"type": "object"}, "n": {"type": ["string", "null"]}}}}},
    {"name": "g", "parameters": {}}])"));
  static const auto special = std::make_shared<const mica::MarkerSet>(
      std::vector<std::string>{"<|im_end|>", "<|im_start|>", "<|eot|>", "<"});
  constexpr uint8_t kReasonings = static_cast<uint8_t>(mica::ReasoningStyle::kHarmony) + 1;
  constexpr uint8_t kTools = static_cast<uint8_t>(mica::ToolStyle::kHarmony) + 1;
  const mica::AnswerStyle style{static_cast<mica::ReasoningStyle>(data[0] % kReasonings),
                                static_cast<mica::ToolStyle>(data[1] % kTools)};
  mica::AnswerParserOptions options;
  options.tools = tools;
  options.starts_in_reasoning = (data[2] & 1) != 0;
  options.parallel_calls = (data[2] & 2) == 0;
  options.whole_calls = (data[2] & 4) != 0;
  if ((data[2] & 8) != 0) options.special_tokens = special;
  options.parse_tools = (data[2] & 16) == 0;
  const bool complete = (data[2] & 32) == 0;
  const std::string text = utf8(data + 4, size - 4);

  mica::AnswerParser whole(style, options), pieces(style, options);
  Parts once, cut;
  join(once, whole.add(text));
  join(once, whole.finish(complete));
  std::minstd_rand random(data[3]);
  for (size_t at = 0; at < text.size();) {
    size_t to = std::min(text.size(), at + 1 + random() % (data[3] % 16 + 1));
    while (to < text.size() && (static_cast<uint8_t>(text[to]) & 0xc0) == 0x80) ++to;
    join(cut, pieces.add(std::string_view(text).substr(at, to - at)));
    at = to;
  }
  join(cut, pieces.finish(complete));
  require(once == cut);
  require(whole.warning() == pieces.warning());
  check(once, whole.tools());
  return 0;
}
