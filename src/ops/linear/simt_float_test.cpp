// The float family of the CUDA kernels on the emulator: dense weights and mxfp8.
#include <gtest/gtest.h>

#include "ops/embed/embed.h"
#include "ops/linear/cuda_linear.h"
#include "ops/linear/test_weights.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

constexpr DType kFloats[] = {DType::kF32, DType::kBF16, DType::kF16};

std::vector<WeightFormat> float_formats() {
  return {{{QuantMode::kNone, 0, 0}, DType::kF32},
          {{QuantMode::kNone, 0, 0}, DType::kBF16},
          {{QuantMode::kNone, 0, 0}, DType::kF16},
          {{QuantMode::kMxfp8, 8, 32}, DType::kBF16}};
}

bool allows(const WeightFormat& format, int64_t columns) {
  return format.scheme.mode == QuantMode::kNone || columns % format.scheme.group == 0;
}

gpu::GpuBackend& gpu_of(TestBackend& backend) {
  return gpu::as_gpu(*backend);
}

// Rows of an expert as f32, times scale, as a tensor of the dtype holds them.
std::vector<float> rows_of(const TestWeights& w, int64_t expert, const std::vector<int32_t>& rows,
                           DType dtype, float scale = 1) {
  std::vector<float> values;
  std::vector<float> row(static_cast<size_t>(w.view.columns));
  for (int32_t r : rows) {
    dequantize_row(w.view, expert, r, row.data());
    for (float v : row) values.push_back(v * scale);
  }
  return simt::rounded(values, dtype);
}

void check_embed(const WeightFormat& format, DType activations, int64_t columns) {
  SCOPED_TRACE(to_string(format) + " to " + name(activations) + " " + std::to_string(columns));
  TestWeights w(format, 1, 37, columns, false);
  const std::vector<int32_t> ids = {0, 36, 15, 16, 17, 36, 31, 8, 7, 1, 2, 3, 4, 5, 6, 9, 10, 24};
  const auto count = static_cast<int64_t>(ids.size());
  std::vector<std::vector<float>> found;
  for (const auto& schedule : {simt::Schedule{}, simt::Schedule{.order = simt::Order::kReverse}}) {
    simt::SimtTestBackend backend(activations, schedule);
    const auto table = (*backend).prepare(w.view);
    const Tensor out = backend.put(std::vector<float>(static_cast<size_t>(count * columns), -7),
                                   {count, columns}, activations);
    for (float scale : {1.0f, 0.3f}) {
      backend.ops().embed(
          *backend,
          {.ids = backend.put_ids(ids, {count}), .table = table.get(), .scale = scale, .out = out});
      EXPECT_EQ(backend.get(out), rows_of(w, 0, ids, activations, scale));
    }
  }
}

TEST(SimtFloat, EmbedEqualsDequantizedRows) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats)
      for (int64_t columns : {128, 160, 131, 8, 1})
        if (allows(format, columns)) check_embed(format, activations, columns);
}

TEST(SimtFloat, NoIdsToEmbed) {
  simt::SimtTestBackend backend(DType::kBF16);
  TestWeights w(float_formats()[1], 1, 5, 8, false);
  const auto table = (*backend).prepare(w.view);
  const Tensor out = backend.put(std::vector<float>(), {0, 8}, DType::kBF16);
  backend.ops().embed(*backend,
                      {.ids = backend.put_ids({}, {0}), .table = table.get(), .out = out});
  EXPECT_TRUE(backend.get(out).empty());
}

TEST(SimtFloat, ExpandsRowsOfAnExpert) {
  for (const WeightFormat& format : float_formats()) {
    SCOPED_TRACE(to_string(format));
    TestWeights w(format, 3, 41, 96, false);
    simt::SimtTestBackend backend(DType::kF32);
    const auto prepared = (*backend).prepare(w.view);
    std::vector<int32_t> rows(25);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i + 14);
    const Tensor out = backend.put(std::vector<float>(25 * 96), {25, 96});
    simt::expand(gpu_of(backend), {.weights = &gpu::as_gpu(prepared.get()),
                                   .expert = 2,
                                   .first = 14,
                                   .count = 25,
                                   .out = out});
    EXPECT_EQ(backend.get(out), rows_of(w, 2, rows, DType::kF32));
  }
}

// All 256 codes under scales from the least to the largest; a NaN makes its group infinite.
TEST(SimtFloat, EveryMxfp8Value) {
  TestWeights w({{QuantMode::kMxfp8, 8, 32}, DType::kBF16}, 1, 4, 256, false);
  for (size_t i = 0; i < w.weight.size(); ++i) w.weight[i] = static_cast<uint8_t>(i);
  for (size_t i = 0; i < w.scales.size(); ++i) w.scales[i] = static_cast<uint8_t>(i * 8);
  simt::SimtTestBackend backend(DType::kF32);
  const auto prepared = (*backend).prepare(w.view);
  const Tensor out = backend.put(std::vector<float>(4 * 256), {4, 256});
  backend.ops().embed(
      *backend, {.ids = backend.put_ids({0, 1, 2, 3}, {4}), .table = prepared.get(), .out = out});
  const auto found = backend.get(out);
  const auto expected = rows_of(w, 0, {0, 1, 2, 3}, DType::kF32);
  for (size_t i = 0; i < found.size(); ++i) {
    const bool with_nan = (i / 32 * 32 | 31) % 128 == 127;
    if (with_nan)
      EXPECT_FALSE(std::isfinite(found[i])) << i;
    else
      EXPECT_EQ(found[i], expected[i]) << i;
  }
}

TEST(SimtFloat, RefusesWhatItCannotHold) {
  simt::SimtTestBackend backend(DType::kBF16);
  TestWeights mx({{QuantMode::kMxfp8, 8, 32}, DType::kBF16}, 1, 16, 64, true);
  LinearWeights bad = mx.view;
  bad.rows = 17;
  EXPECT_THROW((*backend).prepare(bad), Error);
  bad = mx.view;
  bad.scheme.group = 16;
  EXPECT_THROW((*backend).prepare(bad), Error);
  bad = mx.view;
  bad.columns = 48;
  EXPECT_THROW((*backend).prepare(bad), Error);
  bad = mx.view;
  bad.bias.dtype = DType::kU16;
  EXPECT_THROW((*backend).prepare(bad), Error);
  TestWeights dense({{QuantMode::kNone, 0, 0}, DType::kBF16}, 1, 16, 64, false);
  bad = dense.view;
  bad.weight.dtype = DType::kU16;
  EXPECT_THROW((*backend).prepare(bad), Error);
}

// One input and the weights that multiply it; `target` is repeated as often as there are weights.
struct Product {
  WeightFormat format;
  DType activations = DType::kBF16;
  int64_t tokens = 1, columns = 64;
  std::vector<int64_t> rows = {33};  // of each target
  bool bias = false;
  bool add = false;       // every second target
  bool f32_outs = false;  // every second target from the first
  int64_t shift = 0;      // elements by which x lies off 16 bytes

  std::string name() const {
    return fmt::format("{} x {}, M {}, K {}, N {}", to_string(format), mica::name(activations),
                       tokens, columns, fmt::join(rows, " "));
  }
  bool adds(size_t target) const { return add && target % 2 == 1; }
  DType out_dtype(size_t target) const {
    return f32_outs && target % 2 == 0 ? DType::kF32 : activations;
  }
};

// Random values as the product's tensors hold them.
struct Inputs {
  explicit Inputs(const Product& p)
      : x(simt::rounded(random_values(p.tokens * p.columns, 1), p.activations)) {
    for (size_t i = 0; i < p.rows.size(); ++i) {
      const auto seed = static_cast<uint32_t>(i + 2);
      weights.emplace_back(p.format, 1, p.rows[i], p.columns, p.bias, seed);
      out.push_back(simt::rounded(random_values(p.tokens * p.rows[i], seed + 90), p.out_dtype(i)));
    }
  }
  std::vector<float> x;
  std::vector<TestWeights> weights;
  std::vector<std::vector<float>> out;  // before
};

using Outs = std::vector<std::vector<float>>;

Outs run(const Product& p, const Inputs& in, TestBackend& backend, bool all_f32) {
  const DType activations = all_f32 ? DType::kF32 : p.activations;
  std::vector<float> shifted(static_cast<size_t>(p.shift));
  shifted.insert(shifted.end(), in.x.begin(), in.x.end());
  Tensor x = backend.put(shifted, {static_cast<int64_t>(shifted.size())}, activations);
  x.data = x.as<std::byte>() + static_cast<size_t>(p.shift) * size_of(activations);
  x.shape = {p.tokens, p.columns};
  std::vector<std::unique_ptr<PreparedLinear>> prepared;
  std::vector<LinearTarget> targets;
  for (size_t i = 0; i < p.rows.size(); ++i) {
    prepared.push_back((*backend).prepare(in.weights[i].view));
    targets.push_back(
        {prepared.back().get(),
         backend.put(in.out[i], {p.tokens, p.rows[i]}, all_f32 ? DType::kF32 : p.out_dtype(i)),
         p.adds(i)});
  }
  backend.ops().linear(*backend, {x, targets});
  Outs outs;
  for (const LinearTarget& target : targets) outs.push_back(backend.get(target.out));
  return outs;
}

Outs run_ref(const Product& p, const Inputs& in) {
  TestBackend backend({.device = "ref"});
  return run(p, in, backend, true);
}
Outs run_simt(const Product& p, const Inputs& in, const simt::Schedule& schedule = {}) {
  simt::SimtTestBackend backend(p.activations, schedule);
  return run(p, in, backend, false);
}

double largest(const std::vector<float>& values) {
  double result = 1;
  for (float v : values) result = std::max(result, std::abs(static_cast<double>(v)));
  return result;
}

void check(const Product& p, int seeds = 0) {
  SCOPED_TRACE(p.name());
  const Inputs in(p);
  const Outs expected = run_ref(p, in);
  const Outs first = run_simt(p, in);
  for (size_t i = 0; i < first.size(); ++i)
    expect_close(first[i], expected[i], p.out_dtype(i), largest(expected[i]));
  if (seeds == 0) return;
  for (const simt::Schedule& schedule : simt::all_schedules(seeds))
    EXPECT_TRUE(run_simt(p, in, schedule) == first) << "another result under another schedule";
}

// K below, at and above the sizes of pieces, panels and turns of the warps.
std::vector<int64_t> column_counts(const WeightFormat& format) {
  if (format.scheme.mode == QuantMode::kMxfp8) return {32, 64, 96, 544, 1120};
  return {1, 7, 8, 33, 64, 264, 533, 1100};
}

TEST(SimtFloat, AgreesWithReference) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats)
      for (int64_t columns : column_counts(format))
        for (int64_t tokens : {1, 9})
          check({.format = format,
                 .activations = activations,
                 .tokens = tokens,
                 .columns = columns,
                 .rows = {33, 5},
                 .bias = true,
                 .add = true,
                 .f32_outs = true});
}

TEST(SimtFloat, EveryCountOfTokens) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats)
      for (int64_t tokens : {2, 3, 4, 5, 6, 7, 8, 17, 33, 65})
        check({.format = format,
               .activations = activations,
               .tokens = tokens,
               .columns = 96,
               .rows = {33},
               .f32_outs = true},
              tokens == 3 || tokens == 65 ? 1 : 0);
}

// Blocks take several items, and more targets than a launch has.
TEST(SimtFloat, ManyRowsAndTargets) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : {format.dtype, DType::kF32})
      for (int64_t tokens : {1, 40})
        check({.format = format,
               .activations = activations,
               .tokens = tokens,
               .columns = 288,
               .rows = {200, 1, 16, 17, 31, 48},
               .bias = true,
               .add = true,
               .f32_outs = true},
              tokens == 1 ? 1 : 0);
}

TEST(SimtFloat, UnalignedActivations) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats)
      check({.format = format,
             .activations = activations,
             .tokens = 3,
             .columns = 96,
             .bias = true,
             .shift = 1});
}

TEST(SimtFloat, NoTokens) {
  const Product p = {.format = float_formats()[1], .tokens = 0};
  EXPECT_TRUE(run_simt(p, Inputs(p))[0].empty());
}

std::vector<float> rows_between(const std::vector<float>& all, int64_t begin, int64_t end,
                                int64_t size) {
  return {all.begin() + begin * size, all.begin() + end * size};
}

// A row has the same bits in any company, through every kind of tile.
TEST(SimtFloat, BitsOfARowDontDependOnOthers) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats) {
      Product all = {.format = format,
                     .activations = activations,
                     .tokens = 65,
                     .columns = 544,
                     .rows = {33},
                     .bias = true,
                     .f32_outs = true};
      SCOPED_TRACE(all.name());
      const Inputs in(all);
      const std::vector<float> together = run_simt(all, in)[0];
      for (const auto& [begin, end] :
           {std::pair<int64_t, int64_t>{0, 1}, {64, 65}, {3, 10}, {11, 24}, {20, 50}, {5, 45}}) {
        Product some = all;
        some.tokens = end - begin;
        Inputs part(some);
        part.x = rows_between(in.x, begin, end, all.columns);
        EXPECT_TRUE(run_simt(some, part)[0] == rows_between(together, begin, end, 33))
            << begin << " to " << end;
      }
    }
}

TEST(SimtFloat, NotFiniteActivationsStayInTheirRow) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : kFloats) {
      const Product p = {
          .format = format, .activations = activations, .tokens = 9, .columns = 96, .rows = {18}};
      SCOPED_TRACE(p.name());
      Inputs in(p);
      const std::vector<float> clean = run_simt(p, in)[0];
      for (float bad : {INFINITY, -INFINITY, NAN}) {
        in.x[2 * 96 + 70] = bad;
        const std::vector<float> found = run_simt(p, in)[0];
        for (size_t i = 0; i < found.size(); ++i) {
          if (i / 18 == 2)
            EXPECT_FALSE(std::isfinite(found[i])) << i;
          else
            EXPECT_EQ(found[i], clean[i]) << i;
        }
      }
    }
}

// Formats and output dtypes mixed in one call.
TEST(SimtFloat, TargetsOfSeveralFormats) {
  constexpr int64_t kTokens = 5, kColumns = 96, kRows = 20;
  const auto formats = float_formats();
  const std::vector<float> x = simt::rounded(random_values(kTokens * kColumns, 3), DType::kBF16);
  const auto run_all = [&](TestBackend& backend, DType dtype) {
    std::vector<std::unique_ptr<PreparedLinear>> prepared;
    std::vector<LinearTarget> targets;
    for (size_t i = 0; i < 8; ++i) {
      TestWeights w(formats[i % 4], 1, kRows, kColumns, i % 3 == 0, static_cast<uint32_t>(i + 1));
      prepared.push_back((*backend).prepare(w.view));
      targets.push_back({prepared.back().get(), backend.put(std::vector<float>(kTokens * kRows),
                                                            {kTokens, kRows}, DType::kF32)});
    }
    backend.ops().linear(*backend, {backend.put(x, {kTokens, kColumns}, dtype), targets});
    Outs outs;
    for (const LinearTarget& target : targets) outs.push_back(backend.get(target.out));
    return outs;
  };
  TestBackend ref({.device = "ref"});
  const Outs expected = run_all(ref, DType::kF32);
  simt::SimtTestBackend backend(DType::kBF16);
  const Outs found = run_all(backend, DType::kBF16);
  for (size_t i = 0; i < found.size(); ++i)
    expect_close(found[i], expected[i], DType::kF32, largest(expected[i]));
}

// Slots by hand: tiles of experts 2, none, 0, 2 with empty slots among them, rows of x twice or
// never, rows of out in another order.
struct ExpertSlots {
  explicit ExpertSlots(int tile) : experts({2, -1, 0, 2}) {
    const size_t count = experts.size() * static_cast<size_t>(tile);
    input.assign(count, -1);
    output.assign(count, -1);
    for (size_t slot = 0; slot < count; ++slot) {
      if (slot % 3 == 1 || experts[slot / static_cast<size_t>(tile)] < 0) continue;
      input[slot] = static_cast<int32_t>((slot * 5 + 1) % kTokens);
      output[slot] = pairs++;
    }
    for (int32_t& row : output)  // the last first
      if (row >= 0) row = pairs - 1 - row;
  }
  static constexpr int32_t kTokens = 11;
  std::vector<int32_t> experts, input, output;
  int32_t pairs = 0;
};

struct ExpertCase {
  WeightFormat format;
  DType activations = DType::kBF16;
  int tile = 8;
};

constexpr int64_t kExpertColumns = 96, kExpertRows = 37;

std::vector<float> experts_by_ref(const ExpertSlots& s, const TestWeights& w,
                                  const std::vector<float>& x) {
  TestBackend backend({.device = "ref"});
  std::vector<float> gathered(static_cast<size_t>(s.pairs) * kExpertColumns);
  std::vector<int32_t> ids(static_cast<size_t>(s.pairs));
  for (size_t slot = 0; slot < s.input.size(); ++slot) {
    if (s.input[slot] < 0) continue;
    ids[static_cast<size_t>(s.output[slot])] =
        s.experts[slot / (s.input.size() / s.experts.size())];
    std::copy_n(x.begin() + s.input[slot] * kExpertColumns, kExpertColumns,
                gathered.begin() + s.output[slot] * kExpertColumns);
  }
  const auto prepared = (*backend).prepare(w.view);
  const Tensor out = backend.put(std::vector<float>(static_cast<size_t>(s.pairs) * kExpertRows),
                                 {s.pairs, kExpertRows});
  const LinearTarget target = {prepared.get(), out};
  backend.ops().moe_linear(*backend, {backend.put(gathered, {s.pairs, kExpertColumns}),
                                      backend.put_ids(ids, {s.pairs, 1}),
                                      {&target, 1}});
  return backend.get(out);
}

std::vector<float> experts_by_simt(const ExpertCase& c, const ExpertSlots& s, const TestWeights& w,
                                   const std::vector<float>& x, const simt::Schedule& schedule) {
  simt::SimtTestBackend backend(c.activations, schedule);
  const auto prepared = (*backend).prepare(w.view);
  const auto ids = [&](const std::vector<int32_t>& values) {
    return backend.put_ids(values, {static_cast<int64_t>(values.size())}).as<int32_t>();
  };
  const gpu::Slots slots = {.count = static_cast<int64_t>(s.input.size()),
                            .tile = c.tile,
                            .input = ids(s.input),
                            .output = ids(s.output),
                            .experts = ids(s.experts)};
  // A row more, which nothing may write.
  const int64_t rows = s.pairs + 1;
  const Tensor out = backend.put(std::vector<float>(static_cast<size_t>(rows * kExpertRows), 77),
                                 {rows, kExpertRows});
  const LinearTarget target = {prepared.get(), out};
  const Tensor in = backend.put(x, {ExpertSlots::kTokens, kExpertColumns}, c.activations);
  simt::multiply_float(gpu_of(backend), in, slots, {&target, 1});
  return backend.get(out);
}

void check_experts(const ExpertCase& c) {
  SCOPED_TRACE(
      fmt::format("{} x {}, tiles of {}", to_string(c.format), name(c.activations), c.tile));
  const ExpertSlots slots(c.tile);
  TestWeights w(c.format, 3, kExpertRows, kExpertColumns, true);
  const auto x =
      simt::rounded(random_values(ExpertSlots::kTokens * kExpertColumns, 9), c.activations);
  std::vector<float> expected = experts_by_ref(slots, w, x);
  const double scale = largest(expected);
  expected.insert(expected.end(), kExpertRows, 77.0f);
  const std::vector<float> first = experts_by_simt(c, slots, w, x, {});
  expect_close(first, expected, DType::kF32, scale);
  const simt::Schedule random = {.order = simt::Order::kRandom, .seed = 5};
  EXPECT_TRUE(experts_by_simt(c, slots, w, x, random) == first);
}

TEST(SimtFloat, ExpertsThroughSlots) {
  for (const WeightFormat& format : float_formats())
    for (DType activations : {format.dtype, DType::kF16})
      for (int tile : {8, 16, 32, 64})
        check_experts({.format = format, .activations = activations, .tile = tile});
}

}  // namespace
}  // namespace mica
