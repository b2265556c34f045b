#include <algorithm>

#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/math.h"
#include "ops/cuda/vector.h"
#include "ops/rope_append/cuda_quantize.h"
#include "ops/rope_append/rope_append.h"

// Limit: the bytes of q, k, v and of what goes into the cache, each read or written once; at decode
// a few heads, so the latency of one load, a sum over lanes and one store.
//
// A group of lanes, a power of two, has one head at a time: its elements stay in registers from
// load to store. All its values are pairs: first those that are rotated, then the rest of the head
// in pairs too, so that one loop serves both. A unit is kWidth neighbouring pairs, two loads of
// kWidth elements. Few tokens: a warp per head and narrow units, so that angles are spread over all
// lanes. Many tokens: 16-byte loads, several heads of a token per group with the angles kept.
namespace mica::MICA_GPU {
namespace {

constexpr int kThreads = 128;
constexpr int kMaxHeadSize = 512;

template <typename T>
struct RopeHeads {
  T* q;
  const T *k, *v;
  const float *q_norm, *k_norm;  // or null
  const float* frequencies;
  int frequency_stride;  // from token to token: 0 or pairs
  const int32_t *positions, *slots;
  void *keys, *values;
  DType cache_dtype;
  int tokens, heads, kv_heads, size, block_size;
  int pairs;  // that are rotated
  int half;   // all pairs of a head; of an odd size the last has one element
  bool interleaved;
  float eps, magnitude;
  int first_head;  // of q heads, k heads, v heads in this order; q is left out where it stays
  int lanes;       // of a group: 1 << lane_bits
  int lane_bits;
  int groups;  // of a token: group g has heads first_head + g, first_head + g + groups, ...
  int rounds;  // heads of a group, at most
};

// The elements of kWidth pairs of a head.
struct Place {
  int first, second;
};
template <int kWidth, typename T>
MICA_DEVICE Place place_of(const RopeHeads<T>& p, int pair) {
  if (p.interleaved) return {2 * pair, 2 * pair + kWidth};
  return pair < p.pairs ? Place{pair, pair + p.pairs} : Place{pair + p.pairs, pair + p.half};
}

// Interleaved pairs lie one behind another in both vectors: apart, and together again.
template <int kWidth>
MICA_DEVICE void separate(float (&first)[kWidth], float (&second)[kWidth]) {
  float all[2 * kWidth];
  MICA_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    all[i] = first[i];
    all[kWidth + i] = second[i];
  }
  MICA_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    first[i] = all[2 * i];
    second[i] = all[2 * i + 1];
  }
}
template <int kWidth>
MICA_DEVICE void join(float (&first)[kWidth], float (&second)[kWidth]) {
  float all[2 * kWidth];
  MICA_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    all[2 * i] = first[i];
    all[2 * i + 1] = second[i];
  }
  MICA_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    first[i] = all[i];
    second[i] = all[kWidth + i];
  }
}

template <int kWidth, typename T, typename Element>
MICA_DEVICE void load_pairs(const RopeHeads<T>& p, const Element* row, int pair,
                            float (&first)[kWidth], float (&second)[kWidth]) {
  const Place place = place_of<kWidth>(p, pair);
  load_values(row + place.first, first);
  if (kWidth > 1 || place.second < p.size)
    load_values(row + place.second, second);
  else
    second[0] = 0;
  if (kWidth > 1 && p.interleaved) separate(first, second);
}

template <int kWidth, typename T, typename Element>
MICA_DEVICE void store_pairs(const RopeHeads<T>& p, Element* row, int pair, float (&first)[kWidth],
                             float (&second)[kWidth]) {
  const Place place = place_of<kWidth>(p, pair);
  if (kWidth > 1 && p.interleaved) join(first, second);
  store_values(row + place.first, first);
  if (kWidth > 1 || place.second < p.size) store_values(row + place.second, second);
}

// What a lane has of a head: unit u is the pairs from (u * lanes + lane) * kWidth.
template <int kWidth>
struct Pairs {
  static constexpr int kUnits = kMaxHeadSize / 2 / (kWarpSize * kWidth);
  float first[kUnits][kWidth], second[kUnits][kWidth];
};

// Calls body(unit, pair) for the units of a lane. Which units there are is the same for all lanes.
template <int kWidth, typename T, typename Body>
MICA_DEVICE void for_each_unit(const RopeHeads<T>& p, int lane, const Body& body) {
  MICA_UNROLL
  for (int unit = 0; unit < Pairs<kWidth>::kUnits; ++unit) {
    const int pair = (unit * p.lanes + lane) * kWidth;
    if (pair < p.half) body(unit, pair);
  }
}

// The cosines and sines of the lane's rotated pairs in one token.
template <int kWidth, typename T>
MICA_DEVICE void turn(const RopeHeads<T>& p, int token, int lane, Pairs<kWidth>& angles) {
  const auto position = static_cast<float>(p.positions[token]);
  const float* frequencies = p.frequencies + static_cast<int64_t>(token) * p.frequency_stride;
  for_each_unit<kWidth>(p, lane, [&](int unit, int pair) {
    if (pair >= p.pairs) return;
    float frequency[kWidth];
    load_values(frequencies + pair, frequency);
    MICA_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      // As in mlx the angle is the f32 product.
      const SinCos angle = sin_cos(multiply_rounded(position, frequency[i]));
      angles.first[unit][i] = angle.cosine * p.magnitude;
      angles.second[unit][i] = angle.sine * p.magnitude;
    }
  });
}

// The sum of the squares of a head's values, to all its lanes; values beyond the head are 0. One
// binary tree over the pairs, and no sum that a compiler may fuse in another way, so that the bits
// depend neither on kWidth nor on the lanes of a group.
template <int kWidth, typename T>
MICA_DEVICE float sum_of_squares(const RopeHeads<T>& p, const Pairs<kWidth>& x) {
  constexpr int kUnits = Pairs<kWidth>::kUnits;
  float sums[kUnits];
  MICA_UNROLL
  for (int unit = 0; unit < kUnits; ++unit) {
    sums[unit] = 0;
    if (unit * p.lanes * kWidth >= p.half) continue;  // the same for all lanes
    float squares[kWidth];
    MICA_UNROLL
    for (int i = 0; i < kWidth; ++i)
      squares[i] = fmaf(x.first[unit][i], x.first[unit][i],
                        multiply_rounded(x.second[unit][i], x.second[unit][i]));
    MICA_UNROLL
    for (int step = 1; step < kWidth; step *= 2) {
      MICA_UNROLL
      for (int i = 0; i < kWidth; i += 2 * step) squares[i] += squares[i + step];
    }
    float sum = squares[0];
    for (int lanes = 1; lanes < p.lanes; lanes *= 2)
      sum += as_float(shuffle_xor(kFullWarp, as_bits(sum), lanes));
    sums[unit] = sum;
  }
  MICA_UNROLL
  for (int step = 1; step < kUnits; step *= 2) {
    MICA_UNROLL
    for (int unit = 0; unit < kUnits; unit += 2 * step) sums[unit] += sums[unit + step];
  }
  return sums[0];
}

template <int kWidth, typename T>
MICA_DEVICE void rotate(const RopeHeads<T>& p, const Pairs<kWidth>& angles, int lane,
                        Pairs<kWidth>& x) {
  for_each_unit<kWidth>(p, lane, [&](int unit, int pair) {
    if (pair >= p.pairs) return;
    MICA_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      const float cosine = angles.first[unit][i], sine = angles.second[unit][i];
      const float a = x.first[unit][i], b = x.second[unit][i];
      x.first[unit][i] = fmaf(a, cosine, -multiply_rounded(b, sine));
      x.second[unit][i] = fmaf(a, sine, multiply_rounded(b, cosine));
    }
  });
}

template <int kWidth, typename T, typename Element>
MICA_DEVICE void store_row(const RopeHeads<T>& p, Element* row, int lane, Pairs<kWidth>& x) {
  for_each_unit<kWidth>(p, lane, [&](int unit, int pair) {
    store_pairs(p, row, pair, x.first[unit], x.second[unit]);
  });
}

template <int kWidth, typename T>
MICA_DEVICE void store_cached(const RopeHeads<T>& p, void* cache, int64_t row, int lane,
                              Pairs<kWidth>& x) {
  const int64_t offset = row * p.size;
  if (p.cache_dtype == DType::kBF16)
    store_row(p, static_cast<bf16*>(cache) + offset, lane, x);
  else if (p.cache_dtype == DType::kF16)
    store_row(p, static_cast<f16*>(cache) + offset, lane, x);
  else
    store_row(p, static_cast<float*>(cache) + offset, lane, x);
}

// One head of a token in a lane. Where units are narrow the norm's weights are loaded along with x,
// for latency; else when they are wanted, from L1, as registers would cost occupancy.
template <int kWidth>
struct Head {
  static constexpr bool kHoldsWeights = kWidth == 2;
  Pairs<kWidth> x, weights;
};

// Where head `head` of the q, k and v heads of a token begins.
template <typename T>
MICA_DEVICE const T* head_begin(const RopeHeads<T>& p, int token, int head) {
  const int k_head = head - p.heads, v_head = k_head - p.kv_heads;
  if (k_head < 0) return p.q + (static_cast<int64_t>(token) * p.heads + head) * p.size;
  const int64_t row = static_cast<int64_t>(token) * p.kv_heads + (v_head < 0 ? k_head : v_head);
  return (v_head < 0 ? p.k : p.v) + row * p.size;
}

template <typename T>
MICA_DEVICE const float* norm_of(const RopeHeads<T>& p, int head) {
  return head < p.heads ? p.q_norm : head < p.heads + p.kv_heads ? p.k_norm : nullptr;
}

template <int kWidth, typename T>
MICA_DEVICE void load_head(const RopeHeads<T>& p, int token, int head, int lane, Head<kWidth>& h) {
  const T* from = head_begin(p, token, head);
  const float* norm = norm_of(p, head);
  for_each_unit<kWidth>(p, lane, [&](int unit, int pair) {
    load_pairs(p, from, pair, h.x.first[unit], h.x.second[unit]);
    if (Head<kWidth>::kHoldsWeights && norm)
      load_pairs(p, norm, pair, h.weights.first[unit], h.weights.second[unit]);
  });
}

template <int kWidth, typename T>
MICA_DEVICE void scale(const RopeHeads<T>& p, const float* norm, float factor, int lane,
                       Head<kWidth>& h) {
  for_each_unit<kWidth>(p, lane, [&](int unit, int pair) {
    auto &first = h.weights.first[unit], &second = h.weights.second[unit];
    if (!Head<kWidth>::kHoldsWeights) load_pairs(p, norm, pair, first, second);
    MICA_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      h.x.first[unit][i] *= factor * first[i];
      h.x.second[unit][i] *= factor * second[i];
    }
  });
}

// `row` is the slot's row of head 0 in the cache, or negative.
template <int kWidth, typename T>
MICA_DEVICE void store_head(const RopeHeads<T>& p, int token, int head, int64_t row, int lane,
                            Pairs<kWidth>& x) {
  const int k_head = head - p.heads, v_head = k_head - p.kv_heads;
  if (k_head < 0)
    store_row(p, p.q + (static_cast<int64_t>(token) * p.heads + head) * p.size, lane, x);
  else if (row >= 0)
    store_cached(p, v_head < 0 ? p.keys : p.values,
                 row + static_cast<int64_t>(v_head < 0 ? k_head : v_head) * p.block_size, lane, x);
}

// The same for a quantized cache, by way of `staged` in shared memory; all lanes of a warp, of
// which those with `there` have a key or value to store.
template <int kWidth, typename T>
MICA_DEVICE void quantize_head(const RopeHeads<T>& p, const CodedCache& coded, int head, bool there,
                               int64_t row, int lane, float* staged, Pairs<kWidth>& x,
                               Where where = Where::here()) {
  if (!any(kFullWarp, there, where)) return;
  if (there) store_row(p, staged, lane, x);
  sync_warp(kFullWarp, where);
  const int k_head = head - p.heads, v_head = k_head - p.kv_heads;
  quantize(coded, staged, there, p.size, v_head < 0 ? p.keys : p.values,
           there ? row + static_cast<int64_t>(v_head < 0 ? k_head : v_head) * p.block_size : 0,
           lane, p.lanes, where);
  sync_warp(kFullWarp, where);  // before the next head takes the place
}

template <typename T, int kWidth, bool kQuantized>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void rope_append_kernel(const RopeHeads<T> p,
                                                                 const CodedCache coded) {
  const int thread = static_cast<int>(thread_index().x);
  const int lane = thread & (p.lanes - 1);
  const int group =
      (static_cast<int>(block_index().x) * (kThreads >> p.lane_bits)) + (thread >> p.lane_bits);
  const int token = group / p.groups;
  const int first = p.first_head + group % p.groups;
  // No heads for groups beyond the last token: they only take part in sums.
  const int rotated = token < p.tokens ? p.heads + p.kv_heads : 0;
  const int total = token < p.tokens ? rotated + p.kv_heads : 0;
  Shared shared;
  float* staged = nullptr;  // of the group of lanes
  if constexpr (kQuantized)
    staged = shared.take<float>(static_cast<size_t>(kThreads >> p.lane_bits) * p.size) +
             (thread >> p.lane_bits) * p.size;
  grid_dependency_wait();
  Head<kWidth> h = {};
  Pairs<kWidth> angles;
  int64_t row = -1;
  if (first < total) {
    load_head(p, token, first, lane, h);
    const int slot = p.slots[token];
    if (slot >= 0)
      row = static_cast<int64_t>(slot / p.block_size) * p.kv_heads * p.block_size +
            slot % p.block_size;
    if (first < rotated) turn(p, token, lane, angles);
  }
  // As many rounds for every group, for the sake of the sums over lanes.
  for (int round = 0; round < p.rounds; ++round) {
    const int head = first + round * p.groups;
    if (p.q_norm || p.k_norm) {  // the same for all lanes
      const float mean = sum_of_squares(p, h.x) / static_cast<float>(p.size);
      const float* norm = norm_of(p, head);
      if (head < total && norm) scale(p, norm, 1 / sqrtf(mean + p.eps), lane, h);
    }
    if (head < rotated) rotate(p, angles, lane, h.x);
    if constexpr (kQuantized)
      quantize_head(p, coded, head, head >= p.heads && head < total && row >= 0, row, lane, staged,
                    h.x);
    if (head < total && (!kQuantized || head < p.heads)) store_head(p, token, head, row, lane, h.x);
    if (head + p.groups < total) load_head(p, token, head + p.groups, lane, h);
  }
  grid_dependency_launch();
}

// The widest unit up to `most` pairs that never crosses the end of the rotated pairs, with all its
// addresses aligned.
int widest(const RopeAppendParams& p, int most) {
  const int64_t size = p.q.shape[2];
  const Tensor* tensors[] = {&p.q,
                             &p.k,
                             &p.v,
                             &p.cache.keys,
                             &p.cache.values,
                             &p.q_norm,
                             &p.k_norm,
                             &p.inverse_frequencies};
  const auto fits = [&](const Tensor* tensor) { return aligned16(tensor->data); };
  if (size % 2 != 0 || !std::all_of(std::begin(tensors), std::end(tensors), fits)) return 1;
  int width = most;
  while (size / 2 % width != 0 || p.pairs() % width != 0) width /= 2;
  return width;
}

template <typename T, int kWidth>
void start_width(gpu::GpuBackend& backend, RopeHeads<T> p, const CodedCache& coded) {
  const int units = (p.half + kWidth - 1) / kWidth;
  while (p.lane_bits < 5 && (1 << p.lane_bits < units || 8 << p.lane_bits < coded.group))
    ++p.lane_bits;
  p.lanes = 1 << p.lane_bits;
  const int heads = p.heads + 2 * p.kv_heads - p.first_head;
  // So many heads a group that 1024 threads a multiprocessor remain, and the angles of a token are
  // computed the fewer times.
  const int64_t threads = static_cast<int64_t>(p.tokens) * heads * p.lanes;
  p.rounds = static_cast<int>(
      std::clamp<int64_t>(threads / (1024 * backend.properties().multiprocessors), 1, 8));
  p.groups = (heads + p.rounds - 1) / p.rounds;
  const int64_t groups = static_cast<int64_t>(p.tokens) * p.groups;
  MICA_CHECK(groups < int64_t{1} << 30);
  const int per_block = kThreads / p.lanes;
  const size_t staged = coded.bits > 0 ? static_cast<size_t>(per_block) * p.size : 0;
  launch(
      backend.stream(),
      {"rope_append",
       {static_cast<uint32_t>((groups + per_block - 1) / per_block)},
       {kThreads},
       shared_bytes<float>(staged)},
      coded.bits > 0 ? rope_append_kernel<T, kWidth, true> : rope_append_kernel<T, kWidth, false>,
      p, coded);
}

CodedCache coded_cache(const RopeAppendParams& params) {
  const KvScheme& scheme = params.cache.scheme;
  const int64_t size = params.q.shape[2];
  if (scheme.bits == 0) return {};
  return {.bits = scheme.bits,
          .group = scheme.group,
          .groups = static_cast<int>(scheme.groups(size)),
          .dtype = scheme.dtype,
          .code_bytes = static_cast<int>(scheme.code_bytes(size)),
          .vector_bytes = static_cast<int>(scheme.vector_bytes(size)),
          .block_size = static_cast<int>(params.cache.keys.shape[2])};
}

template <typename T>
void start(gpu::GpuBackend& backend, const RopeAppendParams& params) {
  RopeHeads<T> p = {};
  p.q = params.q.as<T>();
  p.k = params.k.as<T>();
  p.v = params.v.as<T>();
  p.q_norm = params.q_norm.as<float>();
  p.k_norm = params.k_norm.as<float>();
  p.frequencies = params.inverse_frequencies.as<float>();
  p.positions = params.positions.as<int32_t>();
  p.slots = params.slots.as<int32_t>();
  p.keys = params.cache.keys.data;
  p.values = params.cache.values.data;
  p.cache_dtype = params.cache.keys.dtype;
  p.tokens = static_cast<int>(params.q.shape[0]);
  p.heads = static_cast<int>(params.q.shape[1]);
  p.kv_heads = static_cast<int>(params.k.shape[1]);
  p.size = static_cast<int>(params.q.shape[2]);
  p.block_size = static_cast<int>(params.cache.keys.shape[2]);
  p.pairs = static_cast<int>(params.pairs());
  p.half = (p.size + 1) / 2;
  p.interleaved = params.interleaved;
  p.eps = params.eps;
  p.magnitude = params.magnitude;
  p.frequency_stride = params.inverse_frequencies.shape.rank() == 2 ? p.pairs : 0;
  p.first_head = p.q_norm || p.pairs > 0 ? 0 : p.heads;

  constexpr int kWide = kPer16<T>;
  const CodedCache coded = coded_cache(params);
  const int width = widest(params, kWide);
  // Up to four warps a multiprocessor: latency decides.
  const int64_t heads = params.q.shape[0] * (p.heads + 2 * p.kv_heads);
  if (width == kWide && heads > 4 * backend.properties().multiprocessors)
    start_width<T, kWide>(backend, p, coded);
  else if (width >= 2)
    start_width<T, 2>(backend, p, coded);
  else
    start_width<T, 1>(backend, p, coded);
}

void check(const RopeAppendParams& p) {
  const int64_t tokens = p.q.shape[0], kv_heads = p.k.shape[1], size = p.q.shape[2];
  MICA_CHECK(p.k.dtype == p.q.dtype && p.v.dtype == p.q.dtype);
  MICA_CHECK(p.k.shape == Shape({tokens, kv_heads, size}) && p.v.shape == p.k.shape);
  MICA_CHECK(size >= 1 && size <= kMaxHeadSize && 2 * p.pairs() <= size);
  MICA_CHECK(p.q_norm.empty() || p.q_norm.elements() == size);
  MICA_CHECK(p.k_norm.empty() || p.k_norm.elements() == size);
  MICA_CHECK(p.inverse_frequencies.shape.rank() < 2 || p.inverse_frequencies.shape[0] == tokens);
  MICA_CHECK(p.cache.keys.shape[1] == kv_heads && p.cache.holds(size));
  const KvScheme& scheme = p.cache.scheme;
  MICA_CHECK(scheme.bits > 0 || is_float(p.cache.keys.dtype));
  MICA_CHECK(scheme.bits == 0 || (p.cache.keys.shape[2] % 4 == 0 && scheme.group >= 16 &&
                                  (scheme.group & (scheme.group - 1)) == 0));
}

}  // namespace

void rope_append(Backend& backend, const RopeAppendParams& p) {
  check(p);
  if (p.q.shape[0] == 0) return;
  gpu::GpuBackend& gpu = gpu::as_gpu(backend);
  switch (p.q.dtype) {
    case DType::kF32: return start<float>(gpu, p);
    case DType::kBF16: return start<bf16>(gpu, p);
    case DType::kF16: return start<f16>(gpu, p);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
