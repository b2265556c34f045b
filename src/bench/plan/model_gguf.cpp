// What the metadata of a GGUF file say of its model.
#include <algorithm>
#include <cctype>
#include <map>

#include "bench/plan/model_facts.h"
#include "checkpoint/gguf/gguf.h"

namespace mica {
namespace {

constexpr int64_t kMost = 1'000'000'000;

// "general.file_type": enum llama_ftype of llama.h.
const std::map<uint64_t, const char*>& file_types() {
  static const std::map<uint64_t, const char*> types = {
      {0, "f32"},      {1, "f16"},      {2, "q4_0"},    {3, "q4_1"},    {7, "q8_0"},
      {8, "q5_0"},     {9, "q5_1"},     {10, "q2_k"},   {11, "q3_k_s"}, {12, "q3_k_m"},
      {13, "q3_k_l"},  {14, "q4_k_s"},  {15, "q4_k_m"}, {16, "q5_k_s"}, {17, "q5_k_m"},
      {18, "q6_k"},    {19, "iq2_xxs"}, {20, "iq2_xs"}, {21, "q2_k_s"}, {22, "iq3_xs"},
      {23, "iq3_xxs"}, {24, "iq1_s"},   {25, "iq4_nl"}, {26, "iq3_s"},  {27, "iq3_m"},
      {28, "iq2_s"},   {29, "iq2_m"},   {30, "iq4_xs"}, {31, "iq1_m"},  {32, "bf16"},
      {36, "tq1_0"},   {37, "tq2_0"},   {38, "mxfp4"}};
  return types;
}

// Of which layers only one in so many sees everything, where the file does not say it.
int64_t known_pattern(const std::string& architecture) {
  if (architecture == "gemma3" || architecture == "gemma3n") return 6;
  if (architecture == "gemma2" || architecture == "gpt-oss") return 2;
  if (architecture == "cohere2" || architecture == "llama4") return 4;
  return 0;
}

class Metadata {
 public:
  explicit Metadata(const GgufHeader& header)
      : header_(header), architecture_(header.string("general.architecture").value_or("")) {}
  const std::string& architecture() const { return architecture_; }

  int64_t integer(const char* key, int64_t otherwise = 0) const {
    const auto value = header_.unsigned_integer(architecture_ + "." + key);
    return value && *value <= static_cast<uint64_t>(kMost) ? static_cast<int64_t>(*value)
                                                           : otherwise;
  }
  // One value for each layer.
  std::vector<int64_t> of_layers(const char* key, int64_t layers, int64_t otherwise) const {
    const std::vector<uint64_t> stored = header_.unsigned_integers(architecture_ + "." + key);
    const auto count = static_cast<size_t>(std::min<int64_t>(layers, 10'000));
    std::vector<int64_t> values(count, otherwise);
    for (size_t i = 0; i < count && !stored.empty(); ++i)
      values[i] = static_cast<int64_t>(std::min<uint64_t>(stored.size() == 1  ? stored[0]
                                                          : i < stored.size() ? stored[i]
                                                                              : 0,
                                                          100'000));
    return values;
  }

 private:
  const GgufHeader& header_;
  const std::string architecture_;
};

bool slides(const Metadata& metadata, const std::vector<int64_t>& pattern, size_t layer) {
  if (metadata.integer("attention.sliding_window") == 0) return false;
  if (pattern.size() > 1 &&
      std::any_of(pattern.begin(), pattern.end(), [](int64_t p) { return p == 0; }))
    return pattern[layer] != 0;  // a truth for each layer
  const int64_t every =
      pattern.empty() || pattern[0] < 2 ? known_pattern(metadata.architecture()) : pattern[0];
  return every > 1 && (static_cast<int64_t>(layer) + 1) % every != 0;
}

void read_kv(const Metadata& metadata, ModelFacts& facts) {
  KvShape& kv = facts.kv;
  const int64_t heads = metadata.integer("attention.head_count", 1);
  const std::vector<int64_t> kv_heads =
      metadata.of_layers("attention.head_count_kv", facts.layers, heads);
  const std::vector<int64_t> pattern =
      metadata.of_layers("attention.sliding_window_pattern", facts.layers, 0);
  const int64_t standard = metadata.integer("embedding_length") / std::max<int64_t>(heads, 1);
  const auto limited = [](int64_t n) { return std::min<int64_t>(n, 100'000); };
  int64_t width = limited(metadata.integer("attention.key_length", standard)) +
                  limited(metadata.integer("attention.value_length", standard));
  const int64_t latent = metadata.integer("attention.kv_lora_rank");
  kv.window = metadata.integer("attention.sliding_window");
  for (size_t layer = 0; layer < kv_heads.size(); ++layer) {
    const int64_t elements =
        latent > 0 ? limited(latent) + limited(metadata.integer("rope.dimension_count"))
                   : kv_heads[layer] * width;
    (slides(metadata, pattern, layer) ? kv.sliding : kv.full) += elements;
    kv.heads = std::max(kv.heads, latent > 0 ? 1 : kv_heads[layer]);
  }
  if (metadata.integer("ssm.state_size") > 0)
    facts.notes.push_back("the size of its recurrent states is not known; they are left out");
}

}  // namespace

ModelFacts inspect_gguf(const std::filesystem::path& file) {
  const GgufModel model(file);
  const GgufHeader& header = model.metadata();
  const Metadata metadata(header);
  ModelFacts facts;
  facts.format = "gguf";
  facts.architecture = metadata.architecture();
  facts.context = metadata.integer("context_length");
  facts.attention_heads = metadata.integer("attention.head_count");
  facts.layers = metadata.integer("block_count");
  facts.experts = metadata.integer("expert_count");
  facts.experts_used = metadata.integer("expert_used_count");
  facts.files = static_cast<int>(model.files().size());
  facts.weight_bytes = model.file_bytes();
  std::map<GgufType, uint64_t> bytes_of;
  for (const GgufFile& part : model.files())
    for (const GgufTensor& tensor : part.header().tensors) {
      facts.parameters += tensor.elements();
      bytes_of[tensor.type] += tensor.bytes;
      const bool expert = tensor.name.find("_exps.") != tensor.name.npos;
      if (expert) facts.expert_bytes += tensor.bytes;
      if (tensor.name.starts_with("token_embd.") || tensor.name.starts_with("output.")) continue;
      const double share = expert ? expert_share(facts) : 1;
      facts.prefill_parameters +=
          static_cast<int64_t>(share * static_cast<double>(tensor.elements()));
    }
  const auto type = file_types().find(header.unsigned_integer("general.file_type").value_or(9999));
  if (type != file_types().end()) {
    facts.quantization = type->second;
  } else if (!bytes_of.empty()) {
    const auto most = std::max_element(bytes_of.begin(), bytes_of.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    for (const char* c = gguf_type(most->first).name; *c; ++c)
      facts.quantization += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  }
  facts.quantization_text = "GGUF " + facts.quantization;
  read_kv(metadata, facts);
  return facts;
}

}  // namespace mica
