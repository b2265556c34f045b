// Rows through their experts on the emulator: the grouping of pairs, and moe_linear on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ops/linear/linear.h"
#include "ops/linear/test_weights.h"
#include "ops/moe/cuda_group.h"
#include "ops/simt/test_backend.h"

namespace mica {
namespace {

// Different experts for each token; some are never taken.
std::vector<int32_t> routes(int64_t tokens, int64_t chosen, int64_t experts, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    std::set<int32_t> taken;
    while (static_cast<int64_t>(taken.size()) < chosen) {
      const auto id = static_cast<int32_t>(random() % static_cast<uint32_t>(experts));
      if (id % 5 != 3 && taken.insert(id).second) ids.push_back(id);
    }
  }
  return ids;
}

std::vector<int32_t> as_ints(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// What the slots must be, by the definition in cuda_group.h.
void check_groups(const std::vector<int32_t>& ids, int64_t experts, int64_t share, int tile,
                  const simt::Schedule& schedule) {
  simt::SimtTestBackend backend(DType::kBF16, schedule);
  const auto pairs = static_cast<int64_t>(ids.size());
  const simt::PairGroups groups = {backend.put_ids(ids, {pairs}), experts, share, tile};
  const int64_t tiles = groups.tiles();
  const Tensor memory =
      backend.put_ids(std::vector<int32_t>(groups.bytes() / 4, 12345678), {tiles * (2 * tile + 1)});
  const gpu::Slots slots = simt::group_pairs(gpu::as_gpu(*backend), groups, memory.as<std::byte>());
  ASSERT_EQ(slots.count, tiles * tile);
  const auto found = as_ints(backend.get(memory));
  const auto at = [&](const int32_t* from, int64_t i) {
    return found[static_cast<size_t>(from - memory.as<int32_t>() + i)];
  };
  int64_t used = 0;
  for (int32_t e = 0; e < experts; ++e) {
    std::vector<int32_t> own;
    for (int32_t i = 0; i < pairs; ++i)
      if (ids[static_cast<size_t>(i)] == e) own.push_back(i);
    const auto count = static_cast<int64_t>(own.size());
    for (int64_t i = 0; i < (count + tile - 1) / tile * tile; ++i) {
      const int64_t slot = used * tile + i;
      ASSERT_EQ(at(slots.experts, slot / tile), e);
      ASSERT_EQ(at(slots.input, slot), i < count ? own[static_cast<size_t>(i)] / share : -1);
      if (i >= count) continue;
      ASSERT_EQ(at(slots.output, slot), own[static_cast<size_t>(i)]);
    }
    used += (count + tile - 1) / tile;
  }
  ASSERT_LE(used, tiles);
  for (int64_t i = used; i < tiles; ++i) ASSERT_EQ(at(slots.experts, i), -1);
}

TEST(SimtPairGroups, SlotsByExpertInOrder) {
  for (const simt::Schedule& schedule : simt::all_schedules(1))
    for (const auto& [tokens, chosen, experts] :
         {std::array<int64_t, 3>{1, 4, 8}, {33, 2, 5}, {100, 8, 64}, {7, 3, 300}}) {
      const auto ids = routes(tokens, chosen, experts, 3);
      for (int tile : {8, 16, 64}) check_groups(ids, experts, chosen, tile, schedule);
    }
}

TEST(SimtPairGroups, OneExpertAllPairsEachItsOwnAndBadIds) {
  check_groups(std::vector<int32_t>(77, 4), 9, 1, 16, {});
  std::vector<int32_t> ids(20);
  for (int32_t i = 0; i < 20; ++i) ids[static_cast<size_t>(i)] = 19 - i;
  check_groups(ids, 20, 4, 8, {});
  ids[3] = -1;
  ids[4] = 20;
  ids[5] = 1 << 30;
  check_groups(ids, 20, 4, 8, {});
}

struct Case {
  WeightFormat format;
  DType dtype = DType::kBF16;
  int64_t tokens = 1, chosen = 3, experts = 16;
  bool own_rows = false;
};

struct Inputs {
  explicit Inputs(const Case& c)
      : ids(routes(c.tokens, c.chosen, c.experts, 11)),
        inputs(c.own_rows ? c.tokens * c.chosen : c.tokens),
        up(c.format, c.experts, 37, 192, true, 1),
        gate(c.format, c.experts, 16, 192, false, 2),
        x(simt::rounded(random_values(inputs * 192, 5), c.dtype)) {}
  std::vector<int32_t> ids;
  int64_t inputs;
  TestWeights up, gate;
  std::vector<float> x;
};

// Outputs of both targets; `gate` is added to what is there.
std::vector<std::vector<float>> run(TestBackend& backend, const Case& c, const Inputs& s,
                                    DType out_type) {
  const auto pairs = static_cast<int64_t>(s.ids.size());
  std::vector<std::unique_ptr<PreparedLinear>> prepared;
  std::vector<LinearTarget> targets;
  for (const TestWeights* w : {&s.up, &s.gate}) {
    prepared.push_back((*backend).prepare(w->view));
    const int64_t n = w->view.rows;
    targets.push_back(
        {prepared.back().get(),
         backend.put(std::vector<float>(static_cast<size_t>(pairs * n), 1), {pairs, n}, out_type),
         w == &s.gate});
  }
  backend.ops().moe_linear(*backend, {backend.put_activations(s.x, {s.inputs, 192}),
                                      backend.put_ids(s.ids, {c.tokens, c.chosen}), targets});
  return {backend.get(targets[0].out), backend.get(targets[1].out)};
}

double error_of(const std::vector<float>& found, const std::vector<float>& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(error / norm);
}

std::vector<float> expect_like_ref(const Case& c, const simt::Schedule& schedule = {}) {
  SCOPED_TRACE(fmt::format("{} {} of {} for {} tokens{}", to_string(c.format), c.chosen, c.experts,
                           c.tokens, c.own_rows ? ", own rows" : ""));
  const Inputs s(c);
  TestBackend ref({.device = "ref"});
  const auto expected = run(ref, c, s, DType::kF32);
  simt::SimtTestBackend backend(c.dtype, schedule);
  const auto found = run(backend, c, s, DType::kF32);
  const double allowed = c.dtype == DType::kF32 ? 2e-6 : 5e-5;
  for (size_t i = 0; i < 2; ++i) EXPECT_LT(error_of(found[i], expected[i]), allowed);
  return found[0];
}

const WeightFormat kQ4 = {{QuantMode::kAffine, 4, 64}, DType::kBF16};

TEST(SimtMoeLinear, AgreesWithReference) {
  for (const WeightFormat& format : {kQ4, WeightFormat{{QuantMode::kAffine, 3, 32}, DType::kF16},
                                     WeightFormat{{QuantMode::kMxfp4, 4, 32}, DType::kBF16},
                                     WeightFormat{{QuantMode::kNvfp4, 4, 16}, DType::kBF16}})
    for (int64_t tokens : {1, 2, 9, 40})
      for (bool own_rows : {false, true})
        expect_like_ref({.format = format, .tokens = tokens, .own_rows = own_rows});
}

// Tiles of every size: 8, 16, 32 and 64 slots, and pairs on their own.
TEST(SimtMoeLinear, EveryTile) {
  for (int64_t experts : {2, 3, 6, 13, 100})
    expect_like_ref({.format = kQ4, .tokens = 45, .chosen = 2, .experts = experts});
  expect_like_ref({.format = kQ4, .dtype = DType::kF32, .tokens = 12, .chosen = 2, .experts = 50});
  expect_like_ref({.format = kQ4, .dtype = DType::kF16, .tokens = 130, .chosen = 2, .experts = 2});
}

TEST(SimtMoeLinear, SameBitsUnderEveryScheduleAndForEveryNumberOfTokens) {
  const Case all = {.format = kQ4, .tokens = 40, .chosen = 2, .experts = 7};
  const auto first = expect_like_ref(all);
  for (const simt::Schedule& schedule : simt::all_schedules(1))
    EXPECT_EQ(expect_like_ref(all, schedule), first);
  for (int64_t tokens : {1, 3, 17}) {  // the routes and rows of the first tokens are the same
    Case fewer = all;
    fewer.tokens = tokens;
    const auto found = expect_like_ref(fewer);
    EXPECT_EQ(found, std::vector<float>(first.begin(),
                                        first.begin() + static_cast<int64_t>(found.size())));
  }
}

TEST(SimtMoeLinear, OutputInTheDtypeOfActivations) {
  for (int64_t tokens : {1, 20}) {
    const Case c = {.format = kQ4, .tokens = tokens};
    const Inputs s(c);
    simt::SimtTestBackend backend(c.dtype);
    const auto f32 = run(backend, c, s, DType::kF32), bf16 = run(backend, c, s, DType::kBF16);
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(bf16[i], simt::rounded(f32[i], DType::kBF16));
  }
}

TEST(SimtMoeLinear, NoTokens) {
  const Case c = {.format = kQ4, .tokens = 0};
  const Inputs s(c);
  simt::SimtTestBackend backend(c.dtype);
  for (const auto& out : run(backend, c, s, DType::kBF16)) EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace mica
