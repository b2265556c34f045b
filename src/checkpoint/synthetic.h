// Random weights in memory: any architecture and quantization scheme without a download.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/weights.h"
#include "tensor/draw.h"

namespace mica {

struct SyntheticOptions {
  QuantScheme scheme{QuantMode::kAffine, 4, 64};  // mode kNone: dense in `dtype`
  DType dtype = DType::kBF16;                     // of dense weights, scales, norms and biases
  uint64_t seed = 0;
  int threads = 0;                   // 0 = all
  float norm = 1;                    // value of norm weights; gemma adds 1 to what is stored
  std::vector<std::string> biased;   // last parts of the paths of modules with an additive bias
  std::vector<std::string> present;  // last parts of the paths for which `has` is true
};

// A device in whose memory linear layers are drawn, for its own `prepare`.
struct DrawingDevice {
  std::function<Buffer(size_t bytes)> allocate;
  std::function<void(const Draw&)> draw;  // null: in host memory
};

// Weights of [rows, columns] have mean 0 and deviation 1 / sqrt(columns), so that activations keep
// their size. A tensor's values depend on seed, name and shape alone: not on order, threads or
// device. Routers (".gate", ".router") and layers whose columns are no multiple of the group are
// dense.
class SyntheticWeights : public WeightSource {
 public:
  explicit SyntheticWeights(SyntheticOptions options, DrawingDevice device = {});

  bool has(const std::string& path) const override;
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts = 1) override;
  Tensor parameter(const std::string& name, const Shape& shape) override;
  void release(const LinearWeights& weights) override;

  // What `linear` would return, without memory: `data` is null everywhere; `bias` has a rank of 0
  // where there is none.
  LinearWeights plan(const std::string& path, int64_t rows, int64_t columns, int64_t experts) const;
  const SyntheticOptions& options() const { return options_; }

 private:
  void allocate(LinearWeights& weights);
  void draw(const LinearWeights& weights, const Draw& draw) const;
  SyntheticOptions options_;
  DrawingDevice device_;
  std::map<const void*, Buffer> buffers_;
};

// One call of a loader, to be repeated later.
struct WeightRequest {
  std::string path;  // of a module, or a parameter's full name
  int64_t rows = 0, columns = 0, experts = 1;
  Shape shape;             // parameters only
  bool is_linear = false;  // a call of `linear`, else of `parameter`
};

// Notes what a loader asks for and hands out zeros that take no memory unless they are written.
class RecordingWeights : public WeightSource {
 public:
  explicit RecordingWeights(const SyntheticWeights& weights) : weights_(weights) {}
  bool has(const std::string& path) const override { return weights_.has(path); }
  LinearWeights linear(const std::string& path, int64_t rows, int64_t columns,
                       int64_t experts = 1) override;
  Tensor parameter(const std::string& name, const Shape& shape) override;
  void release(const LinearWeights& weights) override;
  const std::vector<WeightRequest>& requests() const { return requests_; }

 private:
  Tensor zeros(const Tensor& like);
  const SyntheticWeights& weights_;
  std::vector<WeightRequest> requests_;
  std::map<const void*, Buffer> buffers_;
};

}  // namespace mica
