// A checkpoint directory: config.json and model*.safetensors, MLX-converted or plain Hugging Face.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/quantization_table.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weights.h"

namespace mica {

// One `<path>.weight` with its scales and biases as the headers show it.
struct ModuleSummary {
  std::string path;  // canonical, per-expert modules as stored
  QuantScheme scheme;
  DType dtype = DType::kBF16;  // of the weight, or of the scales
  int rank = 0;                // dimensions of the weight
  int64_t parameters = 0;      // elements of the unpacked weight and of the additive bias
  size_t bytes = 0;            // weight, scales, biases, bias
};

// Views point into the mapped files; stacks gathered from per-expert tensors, and tensors that lie
// unaligned in the file, are copies that live until `release`. One thread at a time.
class Checkpoint : public WeightSource {
 public:
  // Opens and checks all headers; reads no weights. Throws Error(kCheckpoint): a missing shard is
  // named, with or without an index.
  explicit Checkpoint(const std::filesystem::path& directory);
  ~Checkpoint() override;

  bool has(const std::string& path) const override;
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts = 1) override;
  Tensor parameter(const std::string& name, const Shape& shape) override;
  void release(const LinearWeights& weights) override;

  const std::filesystem::path& directory() const { return directory_; }
  const QuantizationTable& quantization() const { return quantization_; }
  // The dtype in which the reference computes: that of the embedding's scales or weight.
  DType dtype() const;
  // Everything stored for the text model, sorted by path; norms are modules too.
  std::vector<ModuleSummary> modules() const;
  // Canonical names that nothing asked for so far, towers and rotary tables left aside.
  std::vector<std::string> unread() const;
  size_t file_bytes() const;

 private:
  struct Stored {
    const SafetensorsFile* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
  };
  struct Parts;  // weight, scales, biases, bias of one module

  void add_file(const std::filesystem::path& path);
  const Stored* find(const std::string& name) const;
  Tensor load(const Stored& stored);
  std::optional<Tensor> load_if(const std::string& name);
  Parts single_parts(const std::string& path);
  Parts gathered_parts(const std::string& path, int64_t experts);
  std::optional<Tensor> gather(const std::string& stem, const std::string& leaf, int64_t experts);
  QuantScheme decide_scheme(const LinearWeights& weights, const std::string& path) const;
  Tensor keep_copy(DType dtype, const Shape& shape);
  [[noreturn]] void missing(const std::string& name) const;

  std::filesystem::path directory_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Stored> tensors_;  // by canonical name
  QuantizationTable quantization_;
  std::map<const void*, Buffer> copies_;  // by data pointer
  std::set<std::string> read_;
  bool warned_of_scheme_ = false;
};

// The safetensors files of a checkpoint directory in order: those of the index, else
// model*.safetensors. Throws Error(kCheckpoint) when there are none or a shard is missing.
std::vector<std::filesystem::path> checkpoint_files(const std::filesystem::path& directory);

}  // namespace mica
