// moe_route and moe_combine.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "ops/moe/moe.h"
#include "ops/simt/test_backend.h"
#include "tolerance.h"

namespace mica {
namespace {

using Scoring = MoeRouteParams::Scoring;

struct RouteCase {
  Scoring scoring = Scoring::kSoftmaxThenTopK;
  bool normalize = true;
  int64_t experts = 1, chosen = 1;
};

struct Routes {
  std::vector<float> ids, weights;
};

Routes route(TestBackend& backend, const RouteCase& c, const std::vector<float>& scores) {
  const auto tokens = static_cast<int64_t>(scores.size()) / c.experts;
  const auto pairs = static_cast<size_t>(tokens * c.chosen);
  MoeRouteParams p{.scoring = c.scoring, .normalize = c.normalize};
  p.scores = backend.put(scores, {tokens, c.experts});
  p.ids = backend.put_ids(std::vector<int32_t>(pairs, -1), {tokens, c.chosen});
  p.weights = backend.put(std::vector<float>(pairs), {tokens, c.chosen});
  backend.ops().moe_route(*backend, p);
  return {backend.get(p.ids), backend.get(p.weights)};
}

// The same under every schedule.
Routes route_on_simt(const RouteCase& c, const std::vector<float>& scores) {
  simt::SimtTestBackend backend(DType::kBF16);
  const Routes first = route(backend, c, scores);
  for (const simt::Schedule& schedule : simt::all_schedules(1)) {
    simt::SimtTestBackend other(DType::kBF16, schedule);
    const Routes again = route(other, c, scores);
    EXPECT_EQ(again.ids, first.ids);
    EXPECT_TRUE(simt::same_bits(again.weights, first.weights));
  }
  return first;
}

TEST(SimtMoeRoute, AgreesWithReference) {
  for (auto [experts, chosen] : {std::pair<int64_t, int64_t>{1, 1},
                                 {4, 2},
                                 {8, 8},
                                 {60, 4},
                                 {128, 8},
                                 {129, 1},
                                 {257, 6},
                                 {512, 10},
                                 {1024, 32}})
    for (int64_t tokens : {0, 1, 9})
      for (Scoring scoring : {Scoring::kSoftmaxThenTopK, Scoring::kTopKThenSoftmax})
        for (bool normalize : {false, true}) {
          if (tokens == 9 && experts > 256) continue;
          SCOPED_TRACE(fmt::format("{}/{} of {} tokens", chosen, experts, tokens));
          const RouteCase c = {scoring, normalize, experts, chosen};
          std::vector<float> scores = random_values(tokens * experts, 1, 3);
          for (float& score : scores) score = std::round(score * 4) / 4;  // ties, -0
          TestBackend ref({.device = "ref"});
          const Routes expected = route(ref, c, scores);
          const Routes found = route_on_simt(c, scores);
          EXPECT_EQ(found.ids, expected.ids);
          expect_close(found.weights, expected.weights, DType::kF32, 0.1);
        }
}

TEST(SimtMoeRoute, ExtremeScores) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> scores = {-kInfinity, 1e-40f, -1e-40f, 3e38f, -3e38f, -0.0f, 0.0f};
  const RouteCase c = {.experts = 7, .chosen = 7};
  EXPECT_EQ(route_on_simt(c, scores).ids, (std::vector<float>{3, 1, 5, 6, 2, 4, 0}));
}

TEST(SimtMoeRoute, NanScoresStayInRange) {
  const float nan = std::nanf(""), lowest = -std::numeric_limits<float>::infinity();
  for (const std::vector<float>& scores :
       {std::vector<float>{nan, 1, -nan, nan}, {nan, -nan, nan, nan}, {lowest, nan, nan, lowest}})
    for (Scoring scoring : {Scoring::kSoftmaxThenTopK, Scoring::kTopKThenSoftmax}) {
      const Routes routes = route_on_simt({scoring, false, 4, 3}, scores);
      const std::set<float> distinct(routes.ids.begin(), routes.ids.end());
      EXPECT_EQ(distinct.size(), 3u);
      for (float id : routes.ids) EXPECT_TRUE(id >= 0 && id < 4);
    }
  EXPECT_EQ(route_on_simt({.experts = 4, .chosen = 3}, {nan, 1, -nan, nan}).ids[0], 1);
  EXPECT_EQ(route_on_simt({.experts = 4, .chosen = 3}, {nan, lowest, 0, nan}).ids,
            (std::vector<float>{2, 1, 0}));
}

struct CombineCase {
  DType dtype = DType::kF32;
  int64_t tokens = 1, size = 1, chosen = 3;
  bool add = false;
  int64_t shift = 0;
};

std::vector<float> combine(TestBackend& backend, const CombineCase& c, DType dtype) {
  const Shape shape{c.tokens * c.chosen, c.size};
  MoeCombineParams p{.add = c.add};
  p.x = simt::put_shifted(backend, simt::rounded(random_values(shape.elements(), 1), c.dtype),
                          shape, dtype, c.shift);
  p.weights = backend.put(random_values(c.tokens * c.chosen, 2), {c.tokens, c.chosen});
  p.out = backend.put(simt::rounded(random_values(c.tokens * c.size, 3), c.dtype),
                      {c.tokens, c.size}, dtype);
  backend.ops().moe_combine(*backend, p);
  return backend.get(p.out);
}

void check(const CombineCase& c) {
  SCOPED_TRACE(fmt::format("{} {} x {} of {}, add {} shift {}", name(c.dtype), c.tokens, c.size,
                           c.chosen, c.add, c.shift));
  TestBackend ref({.device = "ref"});
  simt::SimtTestBackend backend(c.dtype);
  const std::vector<float> found = combine(backend, c, c.dtype);
  expect_close(found, combine(ref, c, DType::kF32), c.dtype, c.dtype == DType::kF32 ? 1 : 0.01);
  for (const simt::Schedule& schedule : simt::all_schedules(1)) {
    simt::SimtTestBackend other(c.dtype, schedule);
    EXPECT_EQ(combine(other, c, c.dtype), found);
  }
}

TEST(SimtMoeCombine, AgreesWithReference) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (auto [tokens, size, chosen] : {std::array<int64_t, 3>{0, 8, 2},
                                        {1, 1, 1},
                                        {5, 17, 3},
                                        {2, 513, 2},
                                        {3, 512, 8},
                                        {1, 1040, 11},
                                        {2, 64, 32}})
      for (bool add : {false, true})
        check({.dtype = dtype, .tokens = tokens, .size = size, .chosen = chosen, .add = add});
}

TEST(SimtMoeCombine, Unaligned) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    check({.dtype = dtype, .tokens = 2, .size = 72, .add = true, .shift = 1});
}

}  // namespace
}  // namespace mica
