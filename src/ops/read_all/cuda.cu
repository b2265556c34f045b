#include <algorithm>

#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kThreads = 256;
// Of 1536 threads a multiprocessor (sm_86 to sm_120) keeps six such blocks. With up to 8 loads of
// 16 bytes in flight a thread, at 40 registers or less, a multiprocessor has 100 KB and more under
// way: several times its share of bandwidth times latency (about 15 KB on H100), so memory is the
// limit.
constexpr uint32_t kBlocksPerMultiprocessor = 6;
constexpr int kLoads = 8;

MICA_DEVICE uint32_t all_words(const Bytes16& v) {
  return v.word[0] ^ v.word[1] ^ v.word[2] ^ v.word[3];
}

// out[b] = exclusive or of the words that block b read; 0 behind the last block.
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void read_all_kernel(const std::byte* data,
                                                              int64_t vectors, uint32_t* out,
                                                              int size) {
  Shared shared;
  auto* parts = shared.take<uint32_t>(kThreads / kWarpSize);
  const int64_t thread = thread_index().x;
  const int64_t step = int64_t{grid_size().x} * kThreads * kLoads;
  const int64_t full = vectors / (kThreads * kLoads) * (kThreads * kLoads);
  grid_dependency_wait();
  uint32_t bits = 0;
  for (int64_t begin = int64_t{block_index().x} * kThreads * kLoads; begin < full; begin += step) {
    Bytes16 loaded[kLoads];
    for (int i = 0; i < kLoads; ++i)
      loaded[i] = load16(data + (begin + i * kThreads + thread) * 16);
    for (int i = 0; i < kLoads; ++i) bits ^= all_words(loaded[i]);
  }
  if (block_index().x == 0)
    for (int64_t i = full + thread; i < vectors; i += kThreads)
      bits ^= all_words(load16(data + i * 16));
  for (int lanes = 16; lanes > 0; lanes /= 2) bits ^= shuffle_xor(kFullWarp, bits, lanes);
  if (lane_index() == 0) parts[warp_index()] = bits;
  sync_threads();
  if (thread != 0) return;
  bits = 0;
  for (int i = 0; i < kThreads / kWarpSize; ++i) bits ^= parts[i];
  const int grid = static_cast<int>(grid_size().x);
  const int block = static_cast<int>(block_index().x);
  for (int i = block; i < size; i += grid) out[i] = i == block ? bits : 0;
}

}  // namespace

void read_all(Backend& backend, const Tensor& data, const Tensor& out) {
  gpu::GpuBackend& gpu = gpu::as_gpu(backend);
  MICA_CHECK(out.dtype == DType::kI32 && data.bytes() % 16 == 0);
  const auto blocks = static_cast<uint32_t>(std::min<int64_t>(
      out.elements(), int64_t{gpu.properties().multiprocessors} * kBlocksPerMultiprocessor));
  launch(gpu.stream(),
         {"read_all", {blocks}, {kThreads}, shared_bytes<uint32_t>(kThreads / kWarpSize)},
         read_all_kernel, data.as<std::byte>(), static_cast<int64_t>(data.bytes() / 16),
         reinterpret_cast<uint32_t*>(out.as<int32_t>()), static_cast<int>(out.elements()));
}

}  // namespace mica::MICA_GPU
