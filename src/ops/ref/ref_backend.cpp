#include "ops/ref/ref_backend.h"

#include <unistd.h>

#include <cstring>

#include "ops/ref/ref_ops.h"

namespace mica {
namespace {

// f32 copies of weights up to this size in all; the layers beyond it are dequantized at each use.
constexpr size_t kDequantizedBudget = size_t{256} << 20;

constexpr Ops kRefOps = {
    .embed = ref::embed,
    .rms_norm = ref::rms_norm,
    .layer_norm = ref::layer_norm,
    .linear = ref::linear,
    .rope_append = ref::rope_append,
    .attention = ref::attention,
    .activation = ref::activation,
    .add = ref::add,
    .gather_rows = ref::gather_rows,
    .softcap = ref::softcap,
    .moe_route = ref::moe_route,
    .moe_linear = ref::moe_linear,
    .moe_combine = ref::moe_combine,
    .sample = ref::sample,
};

class RefBackend : public Backend {
 public:
  const Ops& ops() const override { return kRefOps; }
  DeviceInfo info() const override {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return {.name = "reference loops, 1 thread",
            .kind = "ref",
            .memory_total = static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * page,
            .memory_free = static_cast<size_t>(::sysconf(_SC_AVPHYS_PAGES)) * page};
  }
  Buffer allocate(size_t bytes) override { return allocate_host(bytes); }
  void upload(void* device, const void* host, size_t bytes) override {
    if (bytes) std::memcpy(device, host, bytes);
  }
  void download(void* host, const void* device, size_t bytes) override {
    if (bytes) std::memcpy(host, device, bytes);
  }
  void synchronize() override {}
  DType activation_dtype(DType) const override { return DType::kF32; }
  std::unique_ptr<PreparedLinear> prepare(const LinearWeights& weights) override {
    MICA_CHECK(!weights.on_device);
    const size_t dense = static_cast<size_t>(weights.experts * weights.rows * weights.columns) * 4;
    const bool dequantize = dequantized_ + dense <= kDequantizedBudget;
    if (dequantize) dequantized_ += dense;
    return std::make_unique<ref::RefLinear>(weights, dequantize);
  }

 private:
  size_t dequantized_ = 0;  // bytes of f32 copies handed out so far
};

std::vector<std::byte> copy_bytes(const Tensor& tensor) {
  if (tensor.empty()) return {};
  const auto* data = tensor.as<std::byte>();
  return {data, data + tensor.bytes()};
}

}  // namespace

std::unique_ptr<Backend> make_ref_backend() {
  return std::make_unique<RefBackend>();
}

namespace ref {

RefLinear::RefLinear(const LinearWeights& weights, bool dequantize) {
  experts = weights.experts;
  rows = weights.rows;
  columns = weights.columns;
  scheme = weights.scheme;
  if (!weights.bias.empty()) {
    bias_.resize(static_cast<size_t>(experts * rows));
    to_f32(weights.bias.data, weights.bias.dtype, experts * rows, bias_.data());
  }
  if (dequantize) {
    dense_.resize(static_cast<size_t>(experts * rows * columns));
    for (int64_t e = 0; e < experts; ++e)
      for (int64_t n = 0; n < rows; ++n)
        dequantize_row(weights, e, n, dense_.data() + (e * rows + n) * columns);
  } else {
    copy_ = weights;
    weight_bytes_ = copy_bytes(weights.weight);
    scales_bytes_ = copy_bytes(weights.scales);
    biases_bytes_ = copy_bytes(weights.biases);
    copy_.weight.data = weight_bytes_.data();
    copy_.scales.data = scales_bytes_.empty() ? nullptr : scales_bytes_.data();
    copy_.biases.data = biases_bytes_.empty() ? nullptr : biases_bytes_.data();
    copy_.bias = {};
  }
  const size_t owned =
      dense_.size() * 4 + weight_bytes_.size() + scales_bytes_.size() + biases_bytes_.size();
  bytes = owned + bias_.size() * 4;
  weight_bytes = experts == 0 ? 0 : owned / static_cast<size_t>(experts);
}

const float* RefLinear::row(int64_t expert, int64_t n, std::vector<float>& scratch) const {
  MICA_CHECK(expert >= 0 && expert < experts && n >= 0 && n < rows);
  if (!dense_.empty()) return dense_.data() + (expert * rows + n) * columns;
  scratch.resize(static_cast<size_t>(columns));
  dequantize_row(copy_, expert, n, scratch.data());
  return scratch.data();
}

const RefLinear& as_ref(const PreparedLinear* weights) {
  const auto* linear = dynamic_cast<const RefLinear*>(weights);
  MICA_CHECK_MSG(linear != nullptr, "weights that another backend prepared");
  return *linear;
}

}  // namespace ref
}  // namespace mica
