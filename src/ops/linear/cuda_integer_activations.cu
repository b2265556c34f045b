// Activations into the form of cuda_integer.h.
#include "ops/cuda/vector.h"
#include "ops/linear/cuda_integer_slots.h"

namespace mica::MICA_GPU {
namespace {

constexpr int kThreads = 128;
constexpr int kLanes = 16;  // that share a unit of a slot, four columns each
constexpr int kUnitsOfBlock = kThreads / kLanes;
constexpr int kColumns = gpu::kUnit / kLanes;

// The largest integer: 32639 = 127 * 256 + 127, so that both bytes are signed ones.
constexpr float kLargest = 32639.0f;
// Smallest maximum of a unit that is not taken for zero: below it kLargest / maximum could
// overflow.
constexpr float kSmallest = 0x1p-100f;
// x + kRound, rounded to nearest even, has the integer x in its low bits; |x| < 2^22.
constexpr float kRound = 0x1.8p23f;

template <typename T>
struct Quantize {
  const T* x;
  gpu::SlotTiles slots;
  int columns, units;
  bool rest;
  std::byte* out;
  uint32_t* zeros;
  int zero_count;
};

struct Integers {
  int32_t q[kColumns];
  float scale;
};

// The unit that kLanes lanes of `mask` hold. One with an infinity or NaN gets the scale NaN, so
// that its row's results are NaN and no other's.
MICA_DEVICE Integers quantize(const float (&x)[kColumns], uint32_t mask,
                              Where where = Where::here()) {
  uint32_t most = 0;
  for (float value : x) {
    const uint32_t magnitude = as_bits(value) & 0x7fffffffu;
    most = magnitude > most ? magnitude : most;
  }
  most = reduce_max(mask, most, where);
  const bool finite = most < 0x7f800000u;
  const float maximum = as_float(most);
  const bool zero = maximum < kSmallest;
  const float inverse = kLargest / maximum;
  Integers result;
  for (int i = 0; i < kColumns; ++i)
    result.q[i] = finite && !zero
                      ? static_cast<int32_t>(as_bits(fmaf(x[i], inverse, kRound)) - as_bits(kRound))
                      : 0;
  result.scale = !finite ? as_float(0x7fc00000u) : zero ? 0.0f : maximum / kLargest;
  return result;
}

template <typename T>
MICA_DEVICE void load_columns(const T* from, float (&x)[kColumns]) {
  if constexpr (sizeof(T) == 4) {
    unpack16<float>(load16(from), x);
  } else {
    struct alignas(8) Four {
      T value[kColumns];
    };
    const Four v = *reinterpret_cast<const Four*>(from);
    for (int i = 0; i < kColumns; ++i) x[i] = to_float(v.value[i]);
  }
}

// Byte kByte of each integer.
template <int kByte>
MICA_DEVICE uint32_t bytes_of(const int32_t (&q)[kColumns]) {
  uint32_t word = 0;
  for (int i = 0; i < kColumns; ++i)
    word |= (static_cast<uint32_t>(q[i]) >> 8 * kByte & 0xff) << 8 * i;
  return word;
}

// `place`: of the lane's columns among the unit's 16 fours.
MICA_DEVICE void store_codes(const Integers& v, int slot, int slots, int place, std::byte* unit) {
  int32_t rounded[kColumns];  // 256 * high + 128 + low
  for (int i = 0; i < kColumns; ++i) rounded[i] = v.q[i] + 128;
  const int t = place % 4, r = place / 4;
  const int lane = slots == 4 ? slot * 8 + t : slot % 8 * 4 + t;
  std::byte* high = unit + slot / 8 * 1024 + lane * 16 + r * 4;
  std::byte* low = high + (slots == 4 ? 64 : 512);
  *reinterpret_cast<uint32_t*>(high) = bytes_of<1>(rounded);
  *reinterpret_cast<uint32_t*>(low) = bytes_of<0>(v.q);
}

// sums: of columns 0-31 and 32-63; the lanes of place 0 and 8 store.
MICA_DEVICE void store_sums(float scale, int32_t own, int32_t other, int slot, int slots, int place,
                            std::byte* unit) {
  const int step = slots == 4 ? 1 : 2;  // between the values of a slot
  float* sums = reinterpret_cast<float*>(unit + slots * 128) +
                (slots == 4 ? slot * 4 : slot / 2 * 8 + slot % 2);
  if (place == 0) {
    sums[0] = scale;
    sums[step] = scale * static_cast<float>(own + other);
    sums[2 * step] = scale * static_cast<float>(own);
  }
  if (place == 8) sums[3 * step] = scale * static_cast<float>(own);
}

template <typename T>
MICA_DEVICE void quantize_unit(const Quantize<T>& p, int tile, int slot, int unit, int row) {
  const int lane = lane_index(), place = lane % kLanes;
  const uint32_t mask = 0xffffu << lane / kLanes * kLanes;
  const int column = unit * gpu::kUnit + place * kColumns;
  float x[kColumns] = {};
  if (column < p.columns) load_columns(p.x + static_cast<int64_t>(row) * p.columns + column, x);
  Integers v = quantize(x, mask);
  if (p.rest) {
    for (int i = 0; i < kColumns; ++i) x[i] = fmaf(-v.scale, static_cast<float>(v.q[i]), x[i]);
    v = quantize(x, mask);
  }
  int32_t sum = 0;
  for (int32_t q : v.q) sum += q;
  const auto own =
      static_cast<int32_t>(reduce_add(0xffu << lane / 8 * 8, static_cast<uint32_t>(sum)));
  const auto other = static_cast<int32_t>(shuffle_xor(mask, static_cast<uint32_t>(own), 8, kLanes));
  std::byte* out = p.out + static_cast<size_t>(tile) * p.slots.tile_bytes(p.units) +
                   static_cast<size_t>(unit) * p.slots.unit_bytes();
  store_codes(v, slot, p.slots.size, place, out);
  store_sums(v.scale, own, other, slot, p.slots.size, place, out);
}

// Half a warp a unit of a slot.
template <typename T>
MICA_KERNEL MICA_LAUNCH_BOUNDS(kThreads) void quantize_kernel(const Quantize<T> p) {
  const auto thread = static_cast<int>(thread_index().x);
  const uint32_t index = block_index().x * kUnitsOfBlock + static_cast<uint32_t>(thread / kLanes);
  const uint32_t row_index = index / static_cast<uint32_t>(p.units);
  const auto unit = static_cast<int>(index % static_cast<uint32_t>(p.units));
  const auto slot = static_cast<int>(row_index % static_cast<uint32_t>(p.slots.used));
  const auto tile = static_cast<int>(row_index / static_cast<uint32_t>(p.slots.used));
  grid_dependency_wait();
  for (int i = static_cast<int>(block_index().x) * kThreads + thread; i < p.zero_count;
       i += static_cast<int>(grid_size().x) * kThreads)
    p.zeros[i] = 0;
  if (tile < p.slots.tiles && expert_of(p.slots, tile) >= 0) {
    const int row = input_row(p.slots, tile, slot);
    if (row >= 0) quantize_unit(p, tile, slot, unit, row);
  }
  grid_dependency_launch();
}

template <typename T>
void start(gpu::Stream& stream, const QuantizeParams& p) {
  const int64_t work = static_cast<int64_t>(p.slots.tiles) * p.slots.used * p.units;
  MICA_CHECK(work <= INT32_MAX);
  const auto blocks = static_cast<uint32_t>((work + kUnitsOfBlock - 1) / kUnitsOfBlock);
  launch(stream, {"quantize", {blocks}, {kThreads}}, quantize_kernel<T>,
         Quantize<T>{p.x.as<T>(), p.slots, static_cast<int>(p.x.shape[1]), p.units, p.rest, p.out,
                     p.zeros, p.zero_count});
}

}  // namespace

void quantize_slots(gpu::Stream& stream, const QuantizeParams& p) {
  switch (p.x.dtype) {
    case DType::kF32: return start<float>(stream, p);
    case DType::kBF16: return start<bf16>(stream, p);
    case DType::kF16: return start<f16>(stream, p);
    default: MICA_CHECK(false);
  }
}

}  // namespace mica::MICA_GPU
