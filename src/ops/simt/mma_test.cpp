// mma and ldmatrix against the tables of the PTX ISA, written down here from the figures and read
// the other way round than the emulator does: element -> (lane, register, position).
#include <random>

#include "ops/simt/simt_test.h"
#include "tensor/dtype.h"

namespace mica::simt {
namespace {

struct Slot {
  int lane, reg, position;  // position: element of the register, from the low bits
};

// A row of the figure "MMA .m16n8k16 fragment layout for matrix A": T0..T3 hold columns 0-7 two by
// two, and again columns 8-15; rows 8-15 repeat the lanes of rows 0-7 in the next register.
constexpr int kLaneOfPair16[8] = {0, 1, 2, 3, 0, 1, 2, 3};
// The figure for 8-bit types, m16n8k32: the same lanes with four columns each.
Slot slot_a(int bits, int row, int column) {
  const int per = 32 / bits;
  const int chunk = column / per;  // 0..7
  return {row % 8 * 4 + kLaneOfPair16[chunk], (chunk >= 4 ? 2 : 0) + (row >= 8 ? 1 : 0),
          column % per};
}
Slot slot_b(int bits, int row, int column) {
  const int per = 32 / bits;
  const int chunk = row / per;
  return {column * 4 + kLaneOfPair16[chunk], chunk >= 4 ? 1 : 0, row % per};
}
// Figure for C and D: row 0 is T0:{c0,c1} T1:{c0,c1} ..., row 8 is T0:{c2,c3} ...
Slot slot_c(int row, int column) {
  return {row % 8 * 4 + column / 2, (row >= 8 ? 2 : 0) + column % 2, 0};
}

enum class Kind { kBf16, kF16, kS8, kE4m3, kU8S8, kS8From, kS8Half };
constexpr int bits_of(Kind kind) {
  return kind == Kind::kBf16 || kind == Kind::kF16 ? 16 : 8;
}
constexpr bool is_integer(Kind kind) {
  return bits_of(kind) == 8 && kind != Kind::kE4m3;
}
// K. The figures of m16n8k16 for 8-bit types are the left half of those of m16n8k32.
constexpr int depth_of(Kind kind) {
  return kind == Kind::kS8Half ? 16 : 256 / bits_of(kind);
}

// Fragments in global memory: [lane][register].
template <Kind kKind>
MICA_KERNEL void mma_kernel(const uint32_t* a, const uint32_t* b, uint32_t* cd) {
  const int lane = lane_index();
  uint32_t ra[4], rb[2];
  for (int i = 0; i < 4; ++i) ra[i] = a[lane * 4 + i];
  for (int i = 0; i < 2; ++i) rb[i] = b[lane * 2 + i];
  if constexpr (is_integer(kKind)) {
    int32_t c[4], d[4];
    std::memcpy(c, cd + lane * 4, 16);
    std::memcpy(d, c, 16);
    if constexpr (kKind == Kind::kS8) mma_m16n8k32_s8(d, ra, rb);
    if constexpr (kKind == Kind::kS8From) mma_m16n8k32_s8(d, ra, rb, c);
    if constexpr (kKind == Kind::kU8S8) mma_m16n8k32_u8s8(d, ra, rb, c);
    if constexpr (kKind == Kind::kS8Half) mma_m16n8k16_s8(d, ra[0], ra[1], rb[0], c);
    std::memcpy(cd + lane * 4, d, 16);
  } else {
    float d[4];
    std::memcpy(d, cd + lane * 4, 16);
    if constexpr (kKind == Kind::kBf16) mma_m16n8k16_bf16(d, ra, rb);
    if constexpr (kKind == Kind::kF16) mma_m16n8k16_f16(d, ra, rb);
    if constexpr (kKind == Kind::kE4m3) mma_m16n8k32_e4m3(d, ra, rb);
    std::memcpy(cd + lane * 4, d, 16);
  }
}

double decode(Kind kind, uint32_t bits) {
  switch (kind) {
    case Kind::kBf16: return bf16_to_f32(static_cast<uint16_t>(bits));
    case Kind::kF16: return f16_to_f32(static_cast<uint16_t>(bits));
    case Kind::kE4m3: return e4m3_to_f32(static_cast<uint8_t>(bits));
    default: return static_cast<int8_t>(bits);
  }
}
double decode_a(Kind kind, uint32_t bits) {
  return kind == Kind::kU8S8 ? static_cast<uint8_t>(bits) : decode(kind, bits);
}
uint32_t one(Kind kind) {
  switch (kind) {
    case Kind::kBf16: return 0x3f80;
    case Kind::kF16: return 0x3c00;
    case Kind::kE4m3: return 0x38;
    default: return 1;
  }
}

struct Case {
  Kind kind;
  std::vector<uint32_t> a, b;  // bits, [16][K], [K][8]
  std::vector<double> c;       // [16][8]
  int depth() const { return depth_of(kind); }
};

void put(std::vector<uint32_t>& fragment, int registers, Slot slot, int bits, uint32_t value) {
  fragment[static_cast<size_t>(slot.lane * registers + slot.reg)] |= value << slot.position * bits;
}

std::vector<double> run(const Case& t) {
  const int bits = bits_of(t.kind), depth = t.depth();
  std::vector<uint32_t> a(128), b(64), cd(128);
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < depth; ++k)
      put(a, 4, slot_a(bits, i, k), bits, t.a[static_cast<size_t>(i * depth + k)]);
  for (int k = 0; k < depth; ++k)
    for (int j = 0; j < 8; ++j)
      put(b, 2, slot_b(bits, k, j), bits, t.b[static_cast<size_t>(k * 8 + j)]);
  const auto word = [&](double value) {
    return is_integer(t.kind) ? static_cast<uint32_t>(static_cast<int32_t>(value))
                              : as_bits(static_cast<float>(value));
  };
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      put(cd, 4, slot_c(i, j), 0, word(t.c[static_cast<size_t>(i * 8 + j)]));
  TestDevice device({.order = Order::kRandom, .seed = 3});
  const uint32_t *da = device.put(a), *db = device.put(b);
  uint32_t* dcd = device.put(cd);
  const LaunchConfig config = {"mma", {1}, {32}};
  using Kernel = void (*)(const uint32_t*, const uint32_t*, uint32_t*);
  constexpr Kernel kKernels[] = {mma_kernel<Kind::kBf16>,  mma_kernel<Kind::kF16>,
                                 mma_kernel<Kind::kS8>,    mma_kernel<Kind::kE4m3>,
                                 mma_kernel<Kind::kU8S8>,  mma_kernel<Kind::kS8From>,
                                 mma_kernel<Kind::kS8Half>};
  launch(device.stream(), config, kKernels[static_cast<size_t>(t.kind)], da, db, dcd);
  const auto found = device.get(dcd, 128);
  std::vector<double> d(128);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      const Slot slot = slot_c(i, j);
      const uint32_t bits32 = found[static_cast<size_t>(slot.lane * 4 + slot.reg)];
      d[static_cast<size_t>(i * 8 + j)] =
          is_integer(t.kind) ? static_cast<int32_t>(bits32) : as_float(bits32);
    }
  return d;
}

std::vector<double> product(const Case& t) {
  std::vector<double> d = t.c;
  const int depth = t.depth();
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      for (int k = 0; k < depth; ++k)
        d[static_cast<size_t>(i * 8 + j)] +=
            decode_a(t.kind, t.a[static_cast<size_t>(i * depth + k)]) *
            decode(t.kind, t.b[static_cast<size_t>(k * 8 + j)]);
  return d;
}

class Mma : public testing::TestWithParam<Kind> {};

// One element of a and a b whose column tells itself apart: where each element of a goes.
TEST_P(Mma, OneHot) {
  const Kind kind = GetParam();
  const int depth = depth_of(kind);
  Case t = {kind, {}, {}, std::vector<double>(128)};
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < depth; ++k) {
      t.a.assign(static_cast<size_t>(16 * depth), 0);
      t.b.assign(static_cast<size_t>(depth * 8), 0);
      t.a[static_cast<size_t>(i * depth + k)] = one(kind);
      const int j = (i + k) % 8;
      t.b[static_cast<size_t>(k * 8 + j)] = one(kind);
      std::vector<double> expected(128);
      expected[static_cast<size_t>(i * 8 + j)] = 1;
      ASSERT_EQ(run(t), expected) << "a[" << i << "," << k << "] b[" << k << "," << j << "]";
    }
}

TEST_P(Mma, RandomMatrices) {
  const Kind kind = GetParam();
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    Case t = {kind, {}, {}, std::vector<double>(128)};
    const auto draw = [&]() -> uint32_t {
      if (bits_of(kind) == 8) {
        const uint32_t byte = random() & 0xff;
        return kind == Kind::kE4m3 && (byte & 0x7f) == 0x7f ? 0 : byte;
      }
      const float value = std::normal_distribution<float>()(random);
      return kind == Kind::kBf16 ? f32_to_bf16(value) : f32_to_f16(value);
    };
    t.a.resize(static_cast<size_t>(16 * t.depth()));
    t.b.resize(static_cast<size_t>(t.depth() * 8));
    for (uint32_t& bits : t.a) bits = draw();
    for (uint32_t& bits : t.b) bits = draw();
    for (double& value : t.c) value = static_cast<int>(random() % 2001) - 1000;
    const std::vector<double> found = run(t), expected = product(t);
    double scale = 1000;  // of the terms
    if (kind == Kind::kE4m3) scale = 32.0 * 448 * 448;
    const double allowed = is_integer(kind) ? 0 : scale * 1e-5;
    for (size_t i = 0; i < 128; ++i) ASSERT_NEAR(found[i], expected[i], allowed) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Mma,
                         testing::Values(Kind::kBf16, Kind::kF16, Kind::kS8, Kind::kE4m3,
                                         Kind::kU8S8, Kind::kS8From, Kind::kS8Half));

// Element (m, r, c) of the matrices is 64 m + 8 r + c.
template <int kMatrices, bool kTranspose>
MICA_KERNEL void ldmatrix_kernel(uint32_t* out) {
  Shared shared;
  auto* rows = shared.take<Bytes16>(8 * kMatrices);
  const int lane = lane_index();
  if (lane < 8 * kMatrices) {
    uint16_t values[8];
    for (int c = 0; c < 8; ++c) values[c] = static_cast<uint16_t>(lane * 8 + c);
    std::memcpy(&rows[lane], values, 16);
  }
  sync_warp();
  uint32_t d[kMatrices];
  ldmatrix<kMatrices, kTranspose>(d, &rows[lane % (8 * kMatrices)]);
  for (int m = 0; m < kMatrices; ++m) out[lane * kMatrices + m] = d[m];
}

// "ldmatrix fragment layout for one 8x8 matrix with 16-bit elements": row r is T(4r) to T(4r + 3),
// two elements each, the first in the lower half. With .trans rows and columns change roles.
template <int kMatrices, bool kTranspose>
void check_ldmatrix() {
  for (const Schedule& schedule : all_schedules(2)) {
    TestDevice device(schedule);
    auto* out = device.make<uint32_t>(32 * kMatrices);
    launch(device.stream(), {"ldmatrix", {1}, {32}, shared_bytes<Bytes16>(8 * kMatrices)},
           ldmatrix_kernel<kMatrices, kTranspose>, out);
    const auto found = device.get(out, 32 * kMatrices);
    for (int m = 0; m < kMatrices; ++m)
      for (int r = 0; r < 8; ++r)
        for (int c = 0; c < 8; ++c) {
          const int across = kTranspose ? r : c, down = kTranspose ? c : r;
          const uint32_t reg = found[static_cast<size_t>((down * 4 + across / 2) * kMatrices + m)];
          EXPECT_EQ(across % 2 ? reg >> 16 : reg & 0xffff,
                    static_cast<uint32_t>(64 * m + 8 * r + c));
        }
  }
}

TEST(Ldmatrix, FollowsTheLaneTables) {
  check_ldmatrix<1, false>();
  check_ldmatrix<2, false>();
  check_ldmatrix<4, false>();
  check_ldmatrix<1, true>();
  check_ldmatrix<2, true>();
  check_ldmatrix<4, true>();
}

}  // namespace
}  // namespace mica::simt
