// Checkpoints and their GGUF files for the tests of this folder.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/synthetic_files.h"
#include "cli/null_backend.h"
#include "model/registry.h"
#include "model/synthetic_options.h"
#include "temp_folder.h"
#include "test_data.h"

namespace mica {

inline std::string checkpoint_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kCheckpoint ? error.what()
                                                  : std::string("wrong kind: ") + error.what();
  }
  return "";
}

// A small decoder's config.json; `more` are further members, each after a comma.
inline std::string small_config(const std::string& model_type, const std::string& more = "") {
  return R"({"model_type": ")" + model_type +
         R"(", "hidden_size": 128, "num_hidden_layers": 2, "intermediate_size": 192,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 300,
            "rms_norm_eps": 1e-6, "max_position_embeddings": 64, "rope_theta": 10000.0)" +
         more + "}";
}

// Writes a checkpoint of random weights in `scheme`, norms of about `norm`.
inline void write_small_checkpoint(const std::filesystem::path& folder, const std::string& config,
                                   const QuantScheme& scheme = {QuantMode::kAffine, 4, 64},
                                   float norm = 1) {
  const ModelConfig parsed = parse_model_config(config);
  SyntheticOptions options = synthetic_options(parsed);
  options.scheme = scheme;
  options.norm = norm;
  SyntheticWeights weights(options);
  RecordingWeights recording(weights);
  NullBackend backend;
  load_model(parsed, recording, backend);
  write_synthetic_checkpoint(folder, config, recording.requests(), weights);
}

inline void copy_tokenizer(const std::string& family, const std::filesystem::path& folder) {
  std::filesystem::copy_file(source_path("tests/data/tokenizer/" + family + ".json"),
                             folder / "tokenizer.json");
}

}  // namespace mica
