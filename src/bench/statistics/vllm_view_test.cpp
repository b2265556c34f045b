#include "bench/statistics/vllm_view.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "bench_records.h"
#include "test_data.h"

namespace mica {
namespace {

using Json = nlohmann::json;

RequestSample record_from(const Json& json) {
  RequestSample record;
  record.sent = json.at("sent");
  record.ended = json.at("ended");
  record.status = json.at("ok") ? RequestStatus::kOk : RequestStatus::kHttpError;
  record.prompt_tokens = json.at("prompt_tokens");
  record.completion_tokens = json.at("completion_tokens");
  const std::string kinds = json.at("kinds");
  for (size_t i = 0; i < kinds.size(); ++i) {
    const ChunkKind kind = kinds[i] == 'u'   ? ChunkKind::kUsage
                           : kinds[i] == 'r' ? ChunkKind::kRole
                                             : ChunkKind::kAnswer;
    record.chunks.push_back({json.at("times").at(i), kind, 1});
  }
  return record;
}

// tools/golden_bench_metrics.py recorded the run and made the figures with numpy.
TEST(VllmView, ARecordedRunHasThatToolsFigures) {
  const Json golden = Json::parse(read_text_file(source_path("tests/golden/bench_metrics.json")));
  std::vector<RequestSample> records;
  for (const Json& request : golden.at("requests")) records.push_back(record_from(request));
  const auto view = vllm_view(records, golden.at("duration"),
                              parse_limits(golden.at("limits").get<std::string>()));
  EXPECT_GT(golden.at("figures").at("failed"), 0);
  EXPECT_GT(golden.at("figures").at("request_goodput"), 0);
  EXPECT_EQ(view.size(), golden.at("figures").size());
  for (const auto& [name, figure] : golden.at("figures").items()) {
    ASSERT_TRUE(view.contains(name)) << name;
    const double expected = figure;
    EXPECT_NEAR(view.at(name), expected, 1e-9 * std::max(1.0, std::abs(expected))) << name;
  }
}

TEST(VllmView, ARoleCountsAsAToken) {
  const RequestSample record = streamed(0, {.sent = 1, .ttft = 0.2, .tail = 5});
  const auto view = vllm_view(std::vector{record}, 10);
  EXPECT_NEAR(view.at("mean_ttft_ms"), 199, 1e-6);
  EXPECT_NEAR(view.at("mean_e2el_ms"), 300, 1e-6);  // not until the end of the stream
  EXPECT_FALSE(view.contains("request_goodput"));
}

TEST(VllmView, OfNothing) {
  const auto view = vllm_view({}, 1);
  EXPECT_EQ(view.at("completed"), 0);
  EXPECT_EQ(view.at("p99_itl_ms"), 0);
  EXPECT_EQ(view.at("max_output_tokens_per_s"), 0);
}

}  // namespace
}  // namespace mica
