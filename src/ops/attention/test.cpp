#include <gtest/gtest.h>

#include "ops/attention/test_case.h"
#include "tolerance.h"

namespace mica {
namespace {

std::vector<float> run(const BackendOptions& options, const AttentionCase& c) {
  TestBackend backend(options);
  AttentionSetup setup(backend, c);
  setup.run();
  return setup.result();
}

void compare(const AttentionCase& c) {
  const std::vector<float> expected = run({.device = "ref"}, c);
  for (const BackendOptions& options : tested_backends()) {
    SCOPED_TRACE(fmt::format("{} {} heads {}/{} dim {} block {} window {}", options.isa,
                             options.threads, c.heads, c.kv_heads, c.head_dim, c.block_size,
                             c.window));
    expect_close(run(options, c), expected, DType::kF32);
  }
}

const std::vector<AttentionSequence> kRagged = {
    {.past = 0, .queries = 1, .seed = 1},   {.past = 130, .queries = 1, .seed = 2},
    {.past = 0, .queries = 67, .seed = 3},  {.past = 63, .queries = 1, .seed = 4},
    {.past = 29, .queries = 17, .seed = 5}, {.past = 64, .queries = 2, .seed = 6},
};

TEST(Attention, HeadSizes) {
  for (int64_t head_dim : {1, 3, 8, 16, 20, 40, 64, 72, 80, 96, 128, 200, 256})
    for (DType cache : {DType::kF32, DType::kBF16, DType::kF16})
      compare({.sequences = kRagged, .head_dim = head_dim, .cache = cache});
}

TEST(Attention, GroupsAndBlockSizes) {
  for (int64_t block_size : {1, 16, 32, 100})
    for (int64_t ratio : {1, 4, 7, 16})
      compare({.sequences = kRagged,
               .heads = 2 * ratio,
               .head_dim = 32,
               .block_size = block_size,
               .cache = DType::kBF16});
}

TEST(Attention, WindowSoftcapSinks) {
  for (int64_t window : {0, 1, 7, 64, 65, 500})
    for (float softcap : {0.0f, 2.0f})
      for (bool sinks : {false, true})
        compare({.sequences = kRagged,
                 .cache = DType::kBF16,
                 .window = window,
                 .softcap = softcap,
                 .sinks = sinks});
}

TEST(Attention, LongContextIsSplit) {
  compare({.sequences = {{.past = 2600, .queries = 1, .seed = 1},
                         {.past = 511, .queries = 3, .seed = 2}},
           .cache = DType::kBF16,
           .sinks = true});
  compare({.sequences = {{.past = 2600, .queries = 1, .seed = 1}},
           .cache = DType::kF16,
           .window = 1000});
}

TEST(Attention, QuantizedHeadSizes) {
  for (int bits : {8, 4})
    for (int64_t head_dim : {16, 48, 64, 80, 96, 128, 256})
      for (DType scales : {DType::kF32, DType::kBF16, DType::kF16})
        compare({.sequences = kRagged, .head_dim = head_dim, .cache = scales, .kv_bits = bits});
}

TEST(Attention, QuantizedGroupsAndBlockSizes) {
  for (int bits : {8, 4})
    for (int group : {32, 128})
      for (int64_t block_size : {1, 32, 100})
        for (int64_t ratio : {1, 7})
          compare({.sequences = kRagged,
                   .heads = 2 * ratio,
                   .head_dim = 128,
                   .block_size = block_size,
                   .cache = DType::kBF16,
                   .kv_bits = bits,
                   .kv_group = group});
}

TEST(Attention, QuantizedWindowSoftcapSinks) {
  for (int bits : {8, 4})
    for (int64_t window : {1, 64, 65, 500})
      for (float softcap : {0.0f, 2.0f})
        compare({.sequences = kRagged,
                 .cache = DType::kBF16,
                 .window = window,
                 .softcap = softcap,
                 .sinks = softcap > 0,
                 .kv_bits = bits});
}

TEST(Attention, EmptyBatch) {
  for (const BackendOptions& options : tested_backends())
    EXPECT_TRUE(run(options, {.sequences = {{.past = 5, .queries = 0}}}).empty());
}

// The rows of sequence `s` in the result of a case.
std::vector<float> rows_of(const AttentionCase& c, const std::vector<float>& result, size_t s) {
  size_t begin = 0;
  const auto row = static_cast<size_t>(c.heads * c.head_dim);
  for (size_t i = 0; i < s; ++i) begin += static_cast<size_t>(c.sequences[i].queries) * row;
  const size_t count = static_cast<size_t>(c.sequences[s].queries) * row;
  return {result.begin() + static_cast<std::ptrdiff_t>(begin),
          result.begin() + static_cast<std::ptrdiff_t>(begin + count)};
}

TEST(Attention, BitsDoNotDependOnTheBatch) {
  const std::pair<int64_t, int> kinds[] = {{40, 0}, {64, 0}, {100, 0}, {64, 8}, {96, 4}};
  for (const BackendOptions& options : tested_backends())
    for (const auto& [head_dim, bits] : kinds) {
      AttentionCase c{.sequences = kRagged,
                      .heads = 14,
                      .head_dim = head_dim,
                      .cache = DType::kBF16,
                      .window = 70,
                      .kv_bits = bits};
      c.sequences.push_back({.past = 1500, .queries = 1, .seed = 9});
      const std::vector<float> together = run(options, c);
      for (size_t s = 0; s < c.sequences.size(); ++s) {
        AttentionCase alone = c;
        alone.sequences = {c.sequences[s]};
        EXPECT_EQ(run(options, alone), rows_of(c, together, s)) << options.isa << " " << s;
      }
    }
}

TEST(Attention, BitsDoNotDependOnThreadsAndBlockSize) {
  for (const char* isa : {"portable", ""}) {
    AttentionCase c{.sequences = {{.past = 2100, .queries = 1, .seed = 1},
                                  {.past = 1000, .queries = 40, .seed = 2}},
                    .cache = DType::kBF16};
    const std::vector<float> expected = run({.threads = 1, .isa = isa}, c);
    for (int threads : {2, 5}) EXPECT_EQ(run({.threads = threads, .isa = isa}, c), expected);
    c.block_size = 32;
    EXPECT_EQ(run({.threads = 2, .isa = isa}, c), expected);
  }
}

TEST(Attention, BitsDoNotDependOnChunks) {
  constexpr int64_t kTokens = 700;
  const std::tuple<int64_t, DType, int> kinds[] = {
      {24, DType::kF32, 0}, {24, DType::kBF16, 0}, {32, DType::kBF16, 8}, {32, DType::kF16, 4}};
  for (const char* isa : {"portable", ""})
    for (int64_t window : {0, 300})
      for (const auto& [head_dim, cache, bits] : kinds) {
        AttentionCase c{.sequences = {{.past = 0, .queries = kTokens, .seed = 1}},
                        .head_dim = head_dim,
                        .cache = cache,
                        .window = window,
                        .softcap = 30,
                        .sinks = true,
                        .kv_bits = bits};
        const std::vector<float> whole = run({.threads = 2, .isa = isa}, c);
        for (int64_t chunk : {1, 7, 512}) {
          // Chunks of 1 are many: every 53rd stands for all.
          const int64_t step = chunk == 1 ? 53 : chunk;
          for (int64_t past = 0; past < kTokens; past += step) {
            c.sequences = {{.past = past, .queries = std::min(chunk, kTokens - past), .seed = 1}};
            const std::vector<float> part = run({.threads = 2, .isa = isa}, c);
            const auto begin = whole.begin() + past * c.heads * c.head_dim;
            ASSERT_TRUE(std::equal(part.begin(), part.end(), begin))
                << isa << " window " << window << " chunk " << chunk << " at " << past;
          }
        }
      }
}

}  // namespace
}  // namespace mica
