#include "cli/convert/gguf_splits.h"

#include <iterator>

#include "base/error.h"
#include "checkpoint/json_reader.h"

namespace mica {
namespace {

using nlohmann::json;

// One line for each step of the pre-tokenizer.
struct Split {
  const char* name;
  bool ignore_merges;  // words of the vocabulary are taken whole
  const char* steps;
};

constexpr Split kSplits[] = {
    {"gpt-2", false, "bytes+words\n"},
    {"smollm", false, "digits\nbytes+words\n"},
    {"qwen2", false,
     R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
    {"qwen35", false,
     R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
    {"llama-bpe", true,
     R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
    {"smaug-bpe", false,
     R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
    {"tekken", true,
     R"(split [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
    {"gpt-4o", false,
     R"(split [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
    {"deepseek-v3", false,
     R"(split \p{N}{1,3}
split [一-龥぀-ゟ゠-ヿ]+
split [!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
bytes
)"},
};

// What a string field says, or nothing.
std::string text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool flag(const json& object, const char* key, bool otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

std::string describe(const json& step) {
  if (!step.is_object()) return "nothing\n";
  const std::string type = text(step, "type");
  if (type == "Sequence") {
    std::string steps;
    for (const json& part : step.value("pretokenizers", json::array())) steps += describe(part);
    return steps;
  }
  if (type == "ByteLevel" && !flag(step, "add_prefix_space", true))
    return flag(step, "use_regex", true) ? "bytes+words\n" : "bytes\n";
  if (type == "Digits" && flag(step, "individual_digits", false)) return "digits\n";
  const json pattern = step.value("pattern", json::object());
  if (type == "Split" && pattern.is_object() && text(step, "behavior") == "Isolated" &&
      !flag(step, "invert", false))
    return "split " + text(pattern, "Regex") + "\n";
  return type + "\n";
}

}  // namespace

std::string gguf_split_name(const json& tokenizer) {
  const json splitter = tokenizer.value("pre_tokenizer", json());
  const bool ignore_merges = flag(tokenizer.at("model"), "ignore_merges", false);
  const std::string steps = describe(splitter);
  for (const Split& split : kSplits)
    if (steps == split.steps && ignore_merges == split.ignore_merges) return split.name;
  std::string known;
  for (const Split& split : kSplits) known += (known.empty() ? "" : ", ") + std::string(split.name);
  throw Error(
      ErrorKind::kCheckpoint,
      "[convert] tokenizer.json: pre_tokenizer: expected one that llama.cpp splits alike ({})"
      ", found {}; name llama.cpp's with --tokenizer-pre where you know it",
      known, brief(splitter));
}

}  // namespace mica
