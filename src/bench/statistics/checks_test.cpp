#include "bench/statistics/checks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench_records.h"

namespace mica {
namespace {

std::vector<Mark> check(const std::vector<RequestSample>& records,
                        const CheckOptions& options = {}) {
  return check_run(records, summarize(records), options);
}

const Mark* find(const std::vector<Mark>& marks, const std::string& code) {
  const auto found =
      std::find_if(marks.begin(), marks.end(), [&](const Mark& mark) { return mark.code == code; });
  return found == marks.end() ? nullptr : &*found;
}

Severity severity_of(const std::vector<Mark>& marks, const std::string& code) {
  const Mark* mark = find(marks, code);
  EXPECT_TRUE(mark) << code;
  return mark ? mark->severity : Severity::kNote;
}

TEST(Checks, ASteadyRunHasNoMarks) {
  EXPECT_EQ(check(steady_run(120)), std::vector<Mark>{});
  const std::vector<Mark> few = check(steady_run(12));
  ASSERT_EQ(few.size(), 1u);
  EXPECT_EQ(few[0].code, "few_requests");
}

// 12,105 prompt tokens with the first token after 4.3 ms were seen in practice: a cache's work.
TEST(Checks, AnImpossiblePrefillRate) {
  std::vector<RequestSample> records = steady_run(100, {.ttft = 2, .prompt = 12105});
  EXPECT_FALSE(find(check(records), "impossible_prefill"));
  records[40] = streamed(40, {.sent = records[40].sent, .ttft = 0.0043, .prompt = 12105});
  const std::vector<Mark> marks = check(records);
  EXPECT_EQ(severity_of(marks, "impossible_prefill"), Severity::kInvalid);
  EXPECT_NE(find(marks, "impossible_prefill")->text.find("1 of 100"), std::string::npos);
  // A warm run that says so is none.
  records[40].cached_tokens = 12000;
  EXPECT_FALSE(find(check(records, {.cold = false}), "impossible_prefill"));
}

TEST(Checks, TheRateThatIsPossibleFollowsFromTheModel) {
  EXPECT_NEAR(plausible_prefill_rate(8e9, 1e15), 62500, 1);
  const std::vector<RequestSample> records = steady_run(100, {.ttft = 0.1, .prompt = 10000});
  EXPECT_FALSE(find(check(records), "impossible_prefill"));
  CheckOptions options;
  options.max_prefill_rate = plausible_prefill_rate(8e9, 1e15);
  options.max_prefill_from = "8B on a slow one";
  const std::vector<Mark> marks = check(records, options);
  ASSERT_TRUE(find(marks, "impossible_prefill"));
  EXPECT_NE(find(marks, "impossible_prefill")->text.find("(8B on a slow one)"), std::string::npos);
}

TEST(Checks, AnswersInOneOrTwoChunksTellNoDecodeRate) {
  std::vector<RequestSample> records = steady_run(100, {.tokens = 2});
  EXPECT_FALSE(find(check(records), "decode_not_told"));
  for (size_t i = 0; i < 40; ++i) records[i].completion_tokens = 8;
  const std::vector<Mark> marks = check(records);
  EXPECT_EQ(severity_of(marks, "decode_not_told"), Severity::kNote);
  EXPECT_EQ(find(marks, "decode_not_told")->text.find("40 of 100"), 0u);
}

TEST(Checks, CachedTokensInAColdRun) {
  std::vector<RequestSample> records = steady_run(100, {.prompt = 1000});
  records[3].cached_tokens = 32;
  EXPECT_EQ(severity_of(check(records), "cached_in_cold_run"), Severity::kNote);
  for (RequestSample& record : records) record.cached_tokens = 800;
  EXPECT_EQ(severity_of(check(records), "cached_in_cold_run"), Severity::kInvalid);
  EXPECT_FALSE(find(check(records, {.cold = false}), "cached_in_cold_run"));
}

TEST(Checks, LengthsThatDiffer) {
  std::vector<RequestSample> records = steady_run(100);
  records[8].prompt_tokens = 116;
  EXPECT_EQ(severity_of(check(records), "input_length"), Severity::kWarning);
  records = steady_run(100);
  records[8].completion_tokens = records[8].counted_output = 7;
  EXPECT_FALSE(find(check(records), "output_length"));  // at most 11 were asked for
  EXPECT_EQ(severity_of(check(records), "output_shorter"), Severity::kWarning);
  EXPECT_FALSE(find(check(records, {.exact_output = true}), "output_shorter"));
  EXPECT_EQ(severity_of(check(records, {.exact_output = true}), "output_length"),
            Severity::kInvalid);
  for (size_t i = 0; i < 100; i += 2) records[i].completion_tokens = records[i].counted_output = 4;
  EXPECT_TRUE(find(check(records), "output_lengths_vary"));
}

TEST(Checks, CountsOfTokens) {
  std::vector<RequestSample> records = steady_run(100);
  records[2].counted_output = 10;  // the end of sequence has no text
  EXPECT_FALSE(find(check(records), "usage_differs"));
  records[2].counted_output = 5;
  EXPECT_EQ(severity_of(check(records), "usage_differs"), Severity::kWarning);
  // Behind an end that is ignored nothing may follow that is text; more text than tokens can't be.
  EXPECT_FALSE(find(check(records, {.exact_output = true}), "usage_differs"));
  records[2].counted_output = 20;
  EXPECT_TRUE(find(check(records, {.exact_output = true}), "usage_differs"));
  records[2].completion_tokens = records[2].counted_output = RequestSample::kUnknown;
  EXPECT_TRUE(find(check(records), "tokens_guessed"));
  records = steady_run(100);
  for (RequestSample& r : records) r.completion_tokens = r.counted_output = r.wanted_output = 33;
  EXPECT_TRUE(find(check(records), "tokens_bundled"));
}

TEST(Checks, Failures) {
  EXPECT_EQ(severity_of(check({}), "nothing_measured"), Severity::kInvalid);
  EXPECT_EQ(severity_of(check({failed(0, 0, RequestStatus::kTimeout)}), "failed_requests"),
            Severity::kInvalid);
  std::vector<RequestSample> records = steady_run(100);
  records.push_back(failed(100, 1, RequestStatus::kDropped));
  const std::vector<Mark> marks = check(records);
  EXPECT_EQ(severity_of(marks, "failed_requests"), Severity::kWarning);
  EXPECT_NE(
      find(marks, "failed_requests")->text.find("1 of 101 requests did not finish: 1 dropped"),
      std::string::npos);
}

TEST(Checks, EmptyAnswers) {
  std::vector<RequestSample> records = steady_run(100);
  RequestSample& r = records[50];
  r.answer.clear();
  r.first_token = r.first_answer = r.last_token = RequestSample::kNever;
  r.chunks.clear();
  EXPECT_TRUE(find(check(records), "empty_answers"));
}

TEST(Checks, RequestsSentLate) {
  std::vector<RequestSample> records = steady_run(100);
  for (RequestSample& record : records) record.due = record.sent - 0.002;
  EXPECT_FALSE(find(check(records, {.open_loop = true}), "sent_late"));
  for (size_t i = 0; i < 20; ++i) records[i].due = records[i].sent - 0.3;
  EXPECT_TRUE(find(check(records, {.open_loop = true}), "sent_late"));
}

TEST(Checks, DriftAndOutliers) {
  std::vector<RequestSample> records;
  for (int i = 0; i < 100; ++i)
    records.push_back(streamed(i, {.sent = 1.0 * i, .ttft = 0.1 + 0.0002 * i}));
  EXPECT_EQ(severity_of(check(records), "drift"), Severity::kWarning);
  records = steady_run(100);
  records[0] = streamed(0, {.ttft = 0.4});
  EXPECT_EQ(severity_of(check(records), "outliers"), Severity::kNote);
}

}  // namespace
}  // namespace mica
