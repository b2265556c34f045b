// THE COMPUTE CONTRACT. A backend is a table of operations over its own memory; `ref` (plain loops,
// the oracle), `cpu`, `cuda` and `simt` each fill this table, and a test is table against table.
//
// Shapes: T tokens of a ragged batch, D hidden size, H query heads, G key/value heads, Dh head
// size, F feed-forward size, E experts, k experts per token, V vocabulary, R rows with logits.
// Activations are in `activation_dtype()`; logits, router scores and norm weights are f32.
// Operations run in call order on one stream and return before they are done where the device is
// asynchronous; `synchronize` waits. No operation allocates after its first use with a given size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tensor/quantization.h"
#include "tensor/tensor.h"

namespace mica {

struct EmbedParams;
struct RmsNormParams;
struct LayerNormParams;
struct LinearParams;
struct MoeLinearParams;
struct RopeAppendParams;
struct AttentionParams;
struct ActivationParams;
struct MoeRouteParams;
struct MoeCombineParams;
struct SampleParams;
struct Draw;
class Backend;

// One line an operation; its folder ops/<op>/ holds params, implementations, test and benchmark.
struct Ops {
  void (*embed)(Backend&, const EmbedParams&) = nullptr;       // ids [T] -> [T, D]
  void (*rms_norm)(Backend&, const RmsNormParams&) = nullptr;  // (+ residual) [T, D] -> [T, D]
  void (*layer_norm)(Backend&,
                     const LayerNormParams&) = nullptr;     // [T, D] -> [T, D]
  void (*linear)(Backend&, const LinearParams&) = nullptr;  // [T, K] -> several [T, N]
  void (*rope_append)(Backend&,
                      const RopeAppendParams&) = nullptr;  // q, k norm, rotate; k, v -> cache
  void (*attention)(Backend&,
                    const AttentionParams&) = nullptr;  // [T, H, Dh] x cache -> [T, H, Dh]
  void (*activation)(Backend&, const ActivationParams&) = nullptr;    // act(gate) [* up], [T, F]
  void (*add)(Backend&, const Tensor& x, const Tensor& y) = nullptr;  // x += y, same shape
  void (*gather_rows)(Backend&, const Tensor& x, const Tensor& rows,
                      const Tensor& out) = nullptr;                 // [T, D], i32 [R] -> [R, D]
  void (*softcap)(Backend&, const Tensor& x, float cap) = nullptr;  // x = cap * tanh(x / cap)
  void (*moe_route)(Backend&,
                    const MoeRouteParams&) = nullptr;  // scores [T, E] -> [T, k] ids, weights
  void (*moe_linear)(Backend&,
                     const MoeLinearParams&) = nullptr;  // rows x their experts -> [T * k, N]
  void (*moe_combine)(Backend&, const MoeCombineParams&) = nullptr;  // [T * k, D] -> [T, D]
  void (*sample)(Backend&, const SampleParams&) = nullptr;           // logits [R, V] -> tokens [R]
  // Measuring, GPUs only: reads every byte of `data` (a multiple of 16) once, as fast as the device
  // can; the exclusive or of `out` i32 [any] is that of all its words.
  void (*read_all)(Backend&, const Tensor& data, const Tensor& out) = nullptr;
  // Measuring, GPUs only: random values; tensors at multiples of 16 bytes.
  void (*draw)(Backend&, const Draw&) = nullptr;
};

// Weights in the layout that the backend's kernels want; made once at load, opaque outside.
class PreparedLinear {
 public:
  virtual ~PreparedLinear() = default;
  int64_t experts = 1, rows = 0, columns = 0;  // E, N, K
  QuantScheme scheme;
  size_t bytes = 0;         // resident bytes of the prepared form
  size_t weight_bytes = 0;  // bytes of one expert that a matrix-vector product reads
};

// Operations that a backend recorded; replays them with the pointers and sizes of the recording.
class Recording {
 public:
  virtual ~Recording() = default;
};

struct DeviceInfo {
  std::string name;         // "AMD EPYC 9354, 2 threads, AVX-512 VNNI BF16"
  std::string kind;         // "cpu", "ref", "cuda", "simt"
  size_t memory_total = 0;  // bytes
  size_t memory_free = 0;   // bytes, now
  int threads = 1;          // cpu: that operations run on
  bool own_memory = false;  // the memory serves nothing but this device
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Ops& ops() const = 0;
  virtual DeviceInfo info() const = 0;

  // Memory of the device; throws Error(kOutOfMemory) with wanted and free bytes.
  virtual Buffer allocate(size_t bytes) = 0;
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  virtual void synchronize() = 0;

  // The dtype of activations between operations, given the checkpoint's.
  virtual DType activation_dtype(DType checkpoint) const = 0;

  // A device that replays operations faster than it starts them one by one. Between begin and end
  // operations are recorded instead of done; what they read of the host (spans, sizes) stays as it
  // was, what they read of tensors is read at each replay. No upload, download or synchronize
  // between. Record only what has run before: a first run may allocate.
  virtual bool can_record() const { return false; }
  virtual void begin_recording() {}
  virtual std::unique_ptr<Recording> end_recording() { return nullptr; }
  virtual void replay(const Recording&) {}

  // Repacks the weights of a layer; does not keep `weights`. Only GPUs take those that
  // are `on_device`.
  virtual std::unique_ptr<PreparedLinear> prepare(const LinearWeights& weights) = 0;
};

struct BackendOptions {
  std::string device = "cpu";  // cpu | ref | cuda | cuda:N | simt
  int threads = 0;             // cpu: 0 = physical cores
  std::string isa;             // cpu: "" = best | portable | avx2 | avx512
  bool deterministic = false;  // cuda, simt: a row's bits never depend on the batch
};

// Where commands run when no device is named: "cuda" in a program that has it, else "cpu".
const char* default_device();

// Throws Error(kDevice) with reason and remedy when the asked device can't be used, Error(kUsage)
// for an unknown name. Never another device than the asked one.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace mica
