#include <gtest/gtest.h>

#include "ops/attention/test_case.h"
#include "ops/cuda/gpu_backend.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

std::string describe(const AttentionCase& c) {
  return fmt::format(
      "{} queries, {} cache of {} bits, heads {}/{} of {}, blocks of {}, window {}, cap {}{}",
      name(c.query), name(c.cache), c.kv_bits, c.heads, c.kv_heads, c.head_dim, c.block_size,
      c.window, c.softcap, c.sinks ? ", sinks" : "");
}

std::vector<float> run_ref(const AttentionCase& c) {
  TestBackend backend({.device = "ref"});
  AttentionSetup setup(backend, c);
  setup.run();
  return setup.result();
}

std::vector<float> run_simt(const AttentionCase& c, const simt::Schedule& schedule = {},
                            bool deterministic = false) {
  simt::SimtTestBackend backend(c.query, schedule,
                                {.device = "simt", .deterministic = deterministic});
  AttentionSetup setup(backend, c);
  setup.run();
  return setup.result();
}

// Tensor cores get what codes stand for rounded to their dtype, `ref` as it is.
double scale_of(const AttentionCase& c) {
  return c.kv_bits > 0 && c.query != DType::kF32 ? 1 : 0.5;
}

void check(const AttentionCase& c) {
  SCOPED_TRACE(describe(c));
  expect_close(run_simt(c), run_ref(c), c.query, scale_of(c));
}

void check_schedules(const AttentionCase& c) {
  SCOPED_TRACE(describe(c));
  const std::vector<float> first = run_simt(c);
  expect_close(first, run_ref(c), c.query, scale_of(c));
  std::vector<simt::Schedule> schedules = simt::all_schedules(2);
  schedules.push_back({.order = simt::Order::kRandom, .seed = 3, .os_threads = 2});
  for (const simt::Schedule& schedule : schedules)
    EXPECT_TRUE(run_simt(c, schedule) == first) << "another result under another schedule";
}

// Decode, a chunk behind a past, and a chunk from the start of a sequence.
const std::vector<AttentionSequence> kMixed = {{.past = 100, .queries = 1, .seed = 1},
                                               {.past = 0, .queries = 1, .seed = 2},
                                               {.past = 30, .queries = 21, .seed = 3},
                                               {.past = 0, .queries = 37, .seed = 4}};
const std::vector<AttentionSequence> kDecode = {{.past = 150, .queries = 1, .seed = 1},
                                                {.past = 0, .queries = 1, .seed = 2},
                                                {.past = 63, .queries = 1, .seed = 3}};

TEST(SimtAttention, HeadSizes) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32})
    for (int64_t head_dim : {8, 64, 72, 80, 96, 128, 192, 256, 512})
      for (const auto& sequences : {kMixed, kDecode})
        check({.sequences = sequences,
               .heads = 2,
               .kv_heads = 1,
               .head_dim = head_dim,
               .cache = dtype,
               .query = dtype});
}

TEST(SimtAttention, QuantizedHeadSizes) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32})
    for (int bits : {8, 4})
      for (int64_t head_dim : {64, 80, 96, 128, 256, 512})
        for (const auto& sequences : {kMixed, kDecode})
          check({.sequences = sequences,
                 .heads = 2,
                 .kv_heads = 1,
                 .head_dim = head_dim,
                 .cache = dtype,
                 .query = dtype,
                 .kv_bits = bits});
}

TEST(SimtAttention, QuantizedGroupsAndBlockSizes) {
  for (DType dtype : {DType::kBF16, DType::kF32})
    for (int bits : {8, 4})
      for (int group : {32, 128})
        for (int64_t block_size : {8, 32, 256})
          check({.sequences = kMixed,
                 .heads = 7,
                 .kv_heads = 1,
                 .head_dim = 128,
                 .block_size = block_size,
                 .cache = dtype,
                 .query = dtype,
                 .kv_bits = bits,
                 .kv_group = group});
}

// Scales of another dtype than the activations go to the f32 kernel.
TEST(SimtAttention, QuantizedMixedDtypes) {
  const DType dtypes[] = {DType::kF32, DType::kBF16, DType::kF16};
  for (DType query : dtypes)
    for (DType cache : dtypes)
      check({.sequences = kMixed, .head_dim = 48, .cache = cache, .query = query, .kv_bits = 4});
}

TEST(SimtAttention, QuantizedWindowSoftcapSinks) {
  for (int bits : {8, 4})
    for (int64_t window : {1, 65, 500})
      check({.sequences = kMixed,
             .heads = 6,
             .head_dim = 32,
             .block_size = 8,
             .cache = DType::kBF16,
             .window = window,
             .softcap = 2,
             .sinks = true,
             .query = DType::kBF16,
             .kv_bits = bits});
}

TEST(SimtAttention, QuantizedLongContextIsSplit) {
  for (int64_t queries : {1, 40})
    check({.sequences = {{.past = 2600, .queries = 1, .seed = 1},
                         {.past = 511, .queries = queries, .seed = 3}},
           .heads = 3,
           .kv_heads = 1,
           .head_dim = 32,
           .block_size = 32,
           .cache = DType::kBF16,
           .query = DType::kBF16,
           .kv_bits = 8});
}

TEST(SimtAttention, QuantizedIsTheSameUnderEverySchedule) {
  for (DType dtype : {DType::kBF16, DType::kF32})
    for (int64_t head_dim : {80, 256})
      check_schedules({.sequences = {{.past = 150, .queries = 1, .seed = 1},
                                     {.past = 20, .queries = 17, .seed = 2}},
                       .heads = 3,
                       .kv_heads = 1,
                       .head_dim = head_dim,
                       .cache = dtype,
                       .window = 100,
                       .query = dtype,
                       .kv_bits = 4});
}

TEST(SimtAttention, GroupsOfHeads) {
  for (int64_t group : {1, 2, 3, 4, 7, 8, 16, 20})
    for (const auto& sequences : {kMixed, kDecode})
      check({.sequences = sequences,
             .heads = 2 * group,
             .kv_heads = 2,
             .head_dim = 16,
             .cache = DType::kBF16,
             .query = DType::kBF16});
}

TEST(SimtAttention, BlockSizes) {
  for (int64_t block_size : {8, 16, 32, 64, 128, 256})
    for (DType dtype : {DType::kF16, DType::kF32})
      check({.sequences = kMixed,
             .head_dim = 32,
             .block_size = block_size,
             .cache = dtype,
             .query = dtype});
}

TEST(SimtAttention, MixedDtypes) {
  const DType dtypes[] = {DType::kF32, DType::kBF16, DType::kF16};
  for (DType query : dtypes)
    for (DType cache : dtypes)
      for (const auto& sequences : {kMixed, kDecode})
        check({.sequences = sequences, .head_dim = 40, .cache = cache, .query = query});
}

TEST(SimtAttention, WindowSoftcapSinks) {
  for (DType dtype : {DType::kBF16, DType::kF32})
    for (int64_t window : {0, 1, 7, 64, 65, 500})
      for (float softcap : {0.0f, 2.0f})
        for (bool sinks : {false, true})
          check({.sequences = kMixed,
                 .heads = 6,
                 .head_dim = 24,
                 .block_size = 8,
                 .cache = dtype,
                 .window = window,
                 .softcap = softcap,
                 .sinks = sinks,
                 .query = dtype});
}

TEST(SimtAttention, LongContextIsSplit) {
  for (DType dtype : {DType::kBF16, DType::kF32})
    for (int64_t window : {0, 1000}) {
      AttentionCase c = {.sequences = {{.past = 2600, .queries = 1, .seed = 1},
                                       {.past = 70, .queries = 1, .seed = 2},
                                       {.past = 511, .queries = 1, .seed = 3}},
                         .heads = 3,
                         .kv_heads = 1,
                         .head_dim = 16,
                         .block_size = 32,
                         .cache = dtype,
                         .window = window,
                         .sinks = true,
                         .query = dtype};
      check(c);
      c.sequences[1].queries = 5;   // no longer mere decode
      c.sequences[2].queries = 40;  // a wide tile, alone
      check(c);
    }
}

TEST(SimtAttention, SplitRowsOfSeveralTiles) {
  check({.sequences = {{.past = 900, .queries = 1, .seed = 1}},
         .heads = 20,
         .kv_heads = 1,
         .head_dim = 16,
         .cache = DType::kF16,
         .query = DType::kF16});
  check({.sequences = {{.past = 1300, .queries = 50, .seed = 1}},
         .heads = 3,
         .kv_heads = 1,
         .head_dim = 16,
         .cache = DType::kF16,
         .window = 1100,
         .query = DType::kF16});
}

TEST(SimtAttention, ManySequences) {
  AttentionCase c = {.heads = 2,
                     .kv_heads = 1,
                     .head_dim = 8,
                     .block_size = 8,
                     .cache = DType::kF16,
                     .query = DType::kF16};
  for (uint32_t s = 0; s < 70; ++s)
    c.sequences.push_back({.past = s % 7 == 0 ? 300 : s % 13, .queries = 1, .seed = s});
  check(c);
  for (size_t s = 0; s < 70; s += 9) c.sequences[s].queries = 1 + static_cast<int64_t>(s);
  check(c);
}

TEST(SimtAttention, TheSameUnderEverySchedule) {
  for (DType dtype : {DType::kBF16, DType::kF32})
    for (int64_t head_dim : {40, 256, 512})
      check_schedules({.sequences = {{.past = 150, .queries = 1, .seed = 1},
                                     {.past = 20, .queries = 17, .seed = 2}},
                       .heads = 3,
                       .kv_heads = 1,
                       .head_dim = head_dim,
                       .cache = dtype,
                       .window = 100,
                       .softcap = 20,
                       .sinks = true,
                       .query = dtype});
}

TEST(SimtAttention, NoTokens) {
  EXPECT_TRUE(run_simt({.sequences = {{.past = 5, .queries = 0}}}).empty());
  EXPECT_TRUE(run_simt({.sequences = {}}).empty());
}

// Padding of a recorded step.
TEST(SimtAttention, EmptySequencesGiveZeros) {
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    simt::SimtTestBackend backend(dtype);
    const AttentionCase c = {
        .sequences = kDecode, .head_dim = 40, .cache = dtype, .sinks = true, .query = dtype};
    AttentionSetup setup(backend, c);
    const std::vector<int32_t> lengths = {0, 1, 0};
    (*backend).upload(setup.params().batch->kv_lengths.data, lengths.data(), 12);
    setup.run();
    const std::vector<float> result = setup.result();
    const auto row = static_cast<size_t>(c.heads * c.head_dim);
    for (size_t i = 0; i < result.size(); ++i)
      EXPECT_EQ(result[i] == 0, i / row != 1) << i << " is " << result[i];
  }
}

TEST(SimtAttention, RefusesOtherSizes) {
  for (int64_t head_dim : {4, 20, 520})
    EXPECT_THROW(run_simt({.sequences = kDecode, .head_dim = head_dim}), Error);
  for (int64_t block_size : {4, 24, 512})
    EXPECT_THROW(run_simt({.sequences = kDecode, .head_dim = 8, .block_size = block_size}), Error);
}

// A recorded step of decode serves other lengths than those it was recorded with.
TEST(SimtAttention, RecordedDecodeServesOtherLengths) {
  for (bool deterministic : {false, true}) {
    const AttentionCase recorded = {.sequences = {{.past = 3, .queries = 1, .seed = 1},
                                                  {.past = 700, .queries = 1, .seed = 2},
                                                  {.past = 0, .queries = 1, .seed = 3}},
                                    .heads = 3,
                                    .kv_heads = 1,
                                    .head_dim = 8,
                                    .cache = DType::kBF16,
                                    .query = DType::kBF16,
                                    .table_columns = 80,
                                    .cache_blocks = 200};
    AttentionCase replayed = recorded;
    replayed.sequences[0].past = 1200;
    replayed.sequences[1].past = 5;
    replayed.sequences[2].past = 600;

    simt::SimtTestBackend backend(DType::kBF16, {},
                                  {.device = "simt", .deterministic = deterministic});
    AttentionSetup setup(backend, recorded), next(backend, replayed);
    setup.run();  // scratch memory has its size
    gpu::Stream& stream = gpu::as_gpu(*backend).stream();
    stream.synchronize();
    stream.begin_capture();
    setup.run();
    const auto graph = stream.end_capture();
    const auto overwrite = [&](const Tensor& to, const Tensor& from) {
      ASSERT_EQ(to.bytes(), from.bytes());
      stream.copy(to.data, from.data, to.bytes());
    };
    const AttentionParams &a = setup.params(), &b = next.params();
    overwrite(a.q, b.q);
    overwrite(a.cache.keys, b.cache.keys);
    overwrite(a.cache.values, b.cache.values);
    overwrite(a.batch->kv_lengths, b.batch->kv_lengths);
    overwrite(a.batch->positions, b.batch->positions);
    overwrite(a.batch->block_table, b.batch->block_table);
    stream.replay(*graph);
    expect_close(setup.result(), run_ref(replayed), DType::kBF16);
  }
}

// The rows of sequence `s` in the result of a case.
std::vector<float> rows_of(const AttentionCase& c, const std::vector<float>& result, size_t s) {
  const auto row = static_cast<size_t>(c.heads * c.head_dim);
  size_t begin = 0;
  for (size_t i = 0; i < s; ++i) begin += static_cast<size_t>(c.sequences[i].queries) * row;
  const size_t count = static_cast<size_t>(c.sequences[s].queries) * row;
  return {result.begin() + static_cast<std::ptrdiff_t>(begin),
          result.begin() + static_cast<std::ptrdiff_t>(begin + count)};
}

TEST(SimtAttention, DeterministicBitsDoNotDependOnTheBatch) {
  const std::pair<DType, int> kinds[] = {{DType::kBF16, 0}, {DType::kF32, 0}, {DType::kBF16, 8}};
  for (const auto& [dtype, bits] : kinds) {
    AttentionCase c = {.sequences = {{.past = 1100, .queries = 1, .seed = 1},
                                     {.past = 20, .queries = 1, .seed = 2},
                                     {.past = 500, .queries = 30, .seed = 3},
                                     {.past = 1000, .queries = 5, .seed = 4}},
                       .heads = 6,
                       .kv_heads = 2,
                       .head_dim = bits > 0 ? 48 : 24,
                       .cache = dtype,
                       .window = 900,
                       .softcap = 10,
                       .sinks = true,
                       .query = dtype,
                       .kv_bits = bits};
    const std::vector<float> together = run_simt(c, {}, true);
    expect_close(together, run_ref(c), dtype);
    for (size_t s = 0; s < c.sequences.size(); ++s) {
      AttentionCase alone = c;
      alone.sequences = {c.sequences[s]};
      alone.block_size = 32;
      EXPECT_TRUE(run_simt(alone, {}, true) == rows_of(c, together, s)) << name(dtype) << " " << s;
    }
    // So many sequences that blocks fold their splits.
    AttentionCase many = c;
    for (uint32_t s = 0; s < 6; ++s)
      many.sequences.push_back({.past = 40 * s, .queries = 1, .seed = s});
    const std::vector<float> among = run_simt(many, {}, true);
    for (size_t s = 0; s < c.sequences.size(); ++s)
      EXPECT_TRUE(rows_of(many, among, s) == rows_of(c, together, s)) << name(dtype) << " " << s;
  }
}

// More rows than blocks at once: each block takes several items.
TEST(SimtAttention, DeterministicBlocksTakeSeveralItems) {
  for (int64_t head_dim : {64, 256}) {
    AttentionCase c = {.sequences = {{.past = 560, .queries = 36, .seed = 1}},
                       .heads = 32,
                       .kv_heads = 1,
                       .head_dim = head_dim,
                       .cache = DType::kF16,
                       .window = 100,
                       .query = DType::kF16};
    const std::vector<float> whole = run_simt(c, {}, true);
    expect_close(whole, run_ref(c), DType::kF16, 0.5);
    c.sequences = {{.past = 595, .queries = 1, .seed = 1}};
    const std::vector<float> last = run_simt(c, {}, true);
    EXPECT_TRUE(std::equal(last.begin(), last.end(), whole.end() - 32 * head_dim));
  }
}

TEST(SimtAttention, DeterministicBitsDoNotDependOnChunks) {
  const std::pair<int64_t, int> kinds[] = {{16, 0}, {72, 0}, {256, 0}, {264, 0}, {48, 8}, {32, 4}};
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32})
    for (const auto& [head_dim, bits] : kinds) {
      // The end of a prompt of two or three splits.
      const int64_t tokens = head_dim <= 128 ? 1100 : 560;
      AttentionCase c = {.sequences = {{.past = tokens - 100, .queries = 100, .seed = 1}},
                         .heads = 2,
                         .kv_heads = 1,
                         .head_dim = head_dim,
                         .block_size = 32,
                         .cache = dtype,
                         .window = 700,
                         .sinks = true,
                         .query = dtype,
                         .kv_bits = bits};
      const std::vector<float> whole = run_simt(c, {}, true);
      for (int64_t chunk : {1, 3, 40}) {
        const int64_t step = chunk == 1 ? 33 : chunk == 3 ? 48 : chunk;
        for (int64_t past = tokens - 100; past < tokens; past += step) {
          c.sequences = {{.past = past, .queries = std::min(chunk, tokens - past), .seed = 1}};
          const std::vector<float> part = run_simt(c, {}, true);
          const auto begin = whole.begin() + (past - tokens + 100) * c.heads * c.head_dim;
          EXPECT_TRUE(std::equal(part.begin(), part.end(), begin))
              << describe(c) << ", chunk " << chunk << " at " << past;
        }
      }
    }
}

}  // namespace
}  // namespace mica
