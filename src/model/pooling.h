// How a folder of sentence-transformers says to make one vector of a text's hidden states.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace mica {

enum class Pooling : uint8_t {
  kMean,  // of all tokens
  kCls,   // the first token
  kLast,  // the last token
};
const char* name(Pooling pooling);

struct PoolingConfig {
  Pooling pooling = Pooling::kMean;
  bool normalize = true;   // to unit length
  int64_t max_tokens = 0;  // of one text; 0 = as many as the model takes
};

// What modules.json names: the folder of the pooling and whether a normalisation follows. Throws
// Error(kCheckpoint) for modules that are not supported.
struct PoolingModules {
  std::string pooling_folder;  // below the checkpoint's folder
  bool normalize = false;
};
PoolingModules parse_pooling_modules(std::string_view modules_json);
// A pooling module's config.json.
Pooling parse_pooling(std::string_view pooling_json);
// sentence_bert_config.json: max_seq_length, or 0.
int64_t parse_sentence_length(std::string_view sentence_json);

// Reads these files where the folder has them. Without modules.json: the mean for an encoder, the
// last token for a decoder, of unit length.
PoolingConfig load_pooling(const std::filesystem::path& directory, bool encoder);

}  // namespace mica
