#include "http/test_text.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "temp_folder.h"

namespace mica::test {
namespace {

using Json = nlohmann::ordered_json;

// GPT-2's letters for bytes: printable Latin-1 as it is, the rest from U+0100 on.
std::vector<std::string> byte_letters() {
  std::vector<std::string> letters;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) ||
                           (byte >= 0xae && byte <= 0xff);
    const int code = printable ? byte : next++;
    std::string letter;
    if (code < 0x80) {
      letter += static_cast<char>(code);
    } else {
      letter += static_cast<char>(0xc0 | (code >> 6));
      letter += static_cast<char>(0x80 | (code & 0x3f));
    }
    letters.push_back(letter);
  }
  return letters;
}

Json tokenizer_json(const std::vector<std::string>& further) {
  Json vocab = Json::object();
  for (const std::string& letter : byte_letters()) vocab[letter] = vocab.size();
  Json added = Json::array();
  std::vector<std::string> specials = {"<|im_start|>", "<|im_end|>", "<|pad|>", "<|more|>"};
  specials.insert(specials.end(), further.begin(), further.end());
  for (size_t i = 0; i < specials.size(); ++i)
    added.push_back({{"id", 256 + i},
                     {"content", specials[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"fuse_unk", false},
        {"vocab", vocab},
        {"merges", Json::array()}}}};
}

// The marker is in two pieces: what a model of this template writes is left to the tests.
constexpr const char* kTemplate =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}[{{ c.function.name }}"
    "{% for k, v in c.function.arguments.items() %} {{ k }}={{ v }}{% endfor %}]{% endfor %}"
    "{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if tools %}[{{ tools|length }} tools]{% endif %}"
    "{% if mood is defined %}[{{ mood }}]{% endif %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and enable_thinking %}{{ '<th' + 'ink>\\n' }}{% endif %}"
    "{% endif %}";

}  // namespace

std::unique_ptr<TextModel> test_text_model(const std::vector<std::string>& further) {
  const TempFolder folder;
  const std::filesystem::path& path = folder.path();
  std::ofstream(path / "tokenizer.json") << tokenizer_json(further).dump();
  const Json config = {{"eos_token", "<|im_end|>"}, {"chat_template", kTemplate}};
  std::ofstream(path / "tokenizer_config.json") << config.dump();
  return std::make_unique<TextModel>(path, std::vector<int32_t>{kEnd});
}

}  // namespace mica::test
