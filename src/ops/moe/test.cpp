#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "backend_test.h"
#include "ops/moe/moe.h"
#include "tolerance.h"

namespace mica {
namespace {

using Scoring = MoeRouteParams::Scoring;

struct Routes {
  std::vector<float> ids, weights;
};

Routes route(const BackendOptions& options, Scoring scoring, bool normalize,
             const std::vector<float>& scores, int64_t experts, int64_t chosen) {
  TestBackend backend(options);
  const auto tokens = static_cast<int64_t>(scores.size()) / experts;
  const auto pairs = static_cast<size_t>(tokens * chosen);
  MoeRouteParams p{.scoring = scoring, .normalize = normalize};
  p.scores = backend.put(scores, {tokens, experts});
  p.ids = backend.put_ids(std::vector<int32_t>(pairs, -1), {tokens, chosen});
  p.weights = backend.put(std::vector<float>(pairs), {tokens, chosen});
  backend.ops().moe_route(*backend, p);
  return {backend.get(p.ids), backend.get(p.weights)};
}

TEST(MoeRoute, AgreesWithReference) {
  for (const BackendOptions& options : tested_backends())
    for (auto [experts, chosen] :
         {std::pair<int64_t, int64_t>{1, 1}, {4, 2}, {8, 8}, {60, 4}, {128, 8}, {512, 10}})
      for (int64_t tokens : {1, 33})
        for (Scoring scoring : {Scoring::kSoftmaxThenTopK, Scoring::kTopKThenSoftmax})
          for (bool normalize : {false, true}) {
            SCOPED_TRACE(fmt::format("{} {}/{}", options.isa, chosen, experts));
            std::vector<float> scores = random_values(tokens * experts, 1, 3);
            for (float& score : scores) score = std::round(score * 4) / 4;  // ties
            const Routes found = route(options, scoring, normalize, scores, experts, chosen);
            const Routes expected =
                route({.device = "ref"}, scoring, normalize, scores, experts, chosen);
            EXPECT_EQ(found.ids, expected.ids);
            expect_close(found.weights, expected.weights, DType::kF32, 0.1);
          }
}

TEST(MoeRoute, KnownValues) {
  const std::vector<float> scores = {0, std::log(2.0f), std::log(2.0f), std::log(5.0f)};
  const auto on_ref = [&](Scoring scoring, bool normalize) {
    return route({.device = "ref"}, scoring, normalize, scores, 4, 2);
  };
  const Routes plain = on_ref(Scoring::kSoftmaxThenTopK, false);
  EXPECT_EQ(plain.ids, (std::vector<float>{3, 1}));
  expect_close(plain.weights, {0.5f, 0.2f}, DType::kF32);
  expect_close(on_ref(Scoring::kSoftmaxThenTopK, true).weights, {5 / 7.0f, 2 / 7.0f}, DType::kF32);
  expect_close(on_ref(Scoring::kTopKThenSoftmax, false).weights, {5 / 7.0f, 2 / 7.0f}, DType::kF32);
}

TEST(MoeRoute, NanScoresStayInRange) {
  const float nan = std::nanf("");
  for (const BackendOptions& options : tested_backends()) {
    const Routes routes = route(options, Scoring::kSoftmaxThenTopK, true, {nan, 1, nan, nan}, 4, 3);
    std::set<float> distinct(routes.ids.begin(), routes.ids.end());
    EXPECT_EQ(distinct.size(), 3u);
    EXPECT_EQ(routes.ids[0], 1);
    for (float id : routes.ids) EXPECT_TRUE(id >= 0 && id < 4);
  }
}

TEST(MoeCombine, AgreesWithReference) {
  for (const BackendOptions& options : tested_backends())
    for (int64_t tokens : {1, 5, 40})
      for (int64_t size : {1, 17, 512})
        for (bool add : {false, true}) {
          const auto run = [&](const BackendOptions& on) {
            TestBackend backend(on);
            MoeCombineParams p{.add = add};
            p.x = backend.put_activations(random_values(tokens * 3 * size, 1), {tokens * 3, size});
            p.weights = backend.put(random_values(tokens * 3, 2), {tokens, 3});
            p.out = backend.put_activations(random_values(tokens * size, 3), {tokens, size});
            backend.ops().moe_combine(*backend, p);
            return backend.get(p.out);
          };
          expect_close(run(options), run({.device = "ref"}), DType::kF32);
        }
}

}  // namespace
}  // namespace mica
