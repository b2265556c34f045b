// Evals against the scripted engine, which knows some of the answers.
#include "bench/eval/run_eval.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "bench/eval/eval_summary.h"
#include "fake_engine/engine.h"
#include "temp_folder.h"

namespace mica {
namespace {

// Questions "What is word N?" with the answer N.
QuestionSet numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += fmt::format(
        "{{\"id\": \"q{0}\", \"prompt\": \"What is word{0}-?\", \"answer\": {0}, \"match\": "
        "\"number\", \"group\": \"{1}\"}}\n",
        i, i % 2 ? "odd" : "even");
  return parse_questions(text, "numbers.jsonl");
}

// Knows all answers but those to multiples of `wrong`.
fake::Script knows(int count, int wrong) {
  fake::Script script;
  script.timing.first_token_ms = script.timing.interval_ms = 0;
  for (int i = 0; i < count; ++i)
    script.answer.texts.push_back(
        {fmt::format("word{}-", i), fmt::format("It is {}", i % wrong == 0 ? i + 1 : i)});
  return script;
}

struct Fixture {
  explicit Fixture(const fake::Script& script) : engine(script) {
    engine.start();
    target = {.url = engine.url(), .model = "fake-model"};
    target.dialect.stream_usage = true;
    options.concurrency = 4;
    options.max_tokens = 64;
  }

  EvalHead head(const QuestionSet& set) const {
    return {.kind = name(set.kind),
            .source = set.source,
            .questions_hash = set.hash,
            .questions = static_cast<int64_t>(set.questions.size()),
            .model = target.model,
            .max_tokens = options.max_tokens};
  }

  EvalRun run(const QuestionSet& set) {
    EvalFile file(path(), head(set));
    Client client({.url = target.url});
    return run_eval(client, target, set, options, file);
  }
  EvalSummary summary(const QuestionSet& set, const EvalRun& run) const {
    return summarize_eval(head(set), set, run, options.limit);
  }
  std::filesystem::path path() const { return folder.path() / "eval.jsonl"; }

  TempFolder folder;
  fake::FakeEngine engine;
  EvalTarget target;
  EvalOptions options;
};

TEST(RunEval, ScoresWhatTheEngineKnows) {
  Fixture f(knows(40, 5));
  const QuestionSet set = numbers(40);
  const EvalRun run = f.run(set);
  EXPECT_EQ(run.asked, 40);
  const EvalSummary summary = f.summary(set, run);
  EXPECT_EQ(summary.score, (Proportion{32, 40}));
  EXPECT_EQ(summary.wrong, 8);
  EXPECT_TRUE(summary.complete());
  ASSERT_EQ(summary.groups.size(), 2u);
  EXPECT_EQ(summary.groups[0].name, "even");
  EXPECT_EQ(summary.groups[0].strict, (Proportion{16, 20}));
  EXPECT_EQ(summary.output_tokens, 120);
  EXPECT_EQ(run.records[5]->why, "found 6 (last number), expected 5");
  EXPECT_EQ(run.records[6]->why, "6 (last number)");
  EXPECT_EQ(run.records[6]->answer, "It is 6");

  // At most four at a time were with the engine.
  std::vector<fake::Truth> truths = f.engine.truths();
  ASSERT_EQ(truths.size(), 40u);
}

TEST(RunEval, AnswersWithinTheirReasoningAreTruncated) {
  fake::Script script = knows(4, 100);
  script.answer.reasoning_tokens = 2;
  Fixture f(script);
  const QuestionSet set = numbers(4);
  f.options.max_tokens = 2;
  EvalRun run = f.run(set);
  EvalSummary summary = f.summary(set, run);
  EXPECT_EQ(summary.truncated, 4);
  EXPECT_EQ(summary.cut, 4);
  EXPECT_EQ(summary.score, (Proportion{0, 4}));
  EXPECT_NE(summary_text(summary).find("truncated"), std::string::npos);

  // With room for it the answer alone counts.
  std::filesystem::remove(f.path());
  f.options.max_tokens = 3;
  run = f.run(set);
  EXPECT_EQ(run.records[3]->outcome, Outcome::kCorrect);
  EXPECT_EQ(run.records[3]->answer, "3");
  EXPECT_GT(run.records[3]->reasoning_bytes, 0);
}

TEST(RunEval, GoesOnWhereItStopped) {
  Fixture f(knows(30, 7));
  const QuestionSet set = numbers(30);
  f.options.limit = 12;
  EXPECT_EQ(f.run(set).asked, 12);
  f.options.limit = 0;
  const EvalRun run = f.run(set);
  EXPECT_EQ(run.asked, 18);
  EXPECT_EQ(f.summary(set, run).score, (Proportion{25, 30}));
  EXPECT_EQ(f.run(set).asked, 0);
  EXPECT_EQ(f.engine.truths().size(), 30u);
  f.options.limit = 7;
  const EvalRun fewer = f.run(set);
  EXPECT_EQ(f.summary(set, fewer).score, (Proportion{6, 7}));
}

TEST(RunEval, FailuresAreNoAnswers) {
  fake::Script script = knows(30, 100);
  script.faults.push_back({.kind = "status", .first = 0, .count = 12, .every = 4, .at = "head"});
  Fixture f(script);
  const QuestionSet set = numbers(30);
  EvalRun run = f.run(set);
  EvalSummary summary = f.summary(set, run);
  EXPECT_EQ(summary.failed, 3);
  EXPECT_EQ(summary.score.all, 27);
  EXPECT_FALSE(summary.complete());
  EXPECT_NE(summary_text(summary).find("with failed"), std::string::npos);
  EXPECT_EQ(f.run(set).asked, 0) << "failures are kept";
  f.options.retry_failed = true;
  run = f.run(set);
  EXPECT_EQ(run.asked, 3);
  EXPECT_EQ(f.summary(set, run).failed, 0);
  EXPECT_EQ(f.summary(set, run).score.all, 30);
}

TEST(RunEval, ADeadServerEndsIt) {
  const QuestionSet set = numbers(100);
  fake::Script script = knows(100, 1000);
  script.faults.push_back({.kind = "status", .first = 20, .at = "head"});
  Fixture f(script);
  try {
    f.run(set);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBackend);
    EXPECT_NE(std::string(error.what()).find("requests in a row failed"), std::string::npos);
  }
  // The next run asks the failed ones again.
  Fixture healthy(knows(100, 1000));
  EvalFile file(f.path(), f.head(set));
  EXPECT_EQ(file.records().size(), 20u);
  Client client({.url = healthy.target.url});
  EXPECT_EQ(run_eval(client, healthy.target, set, healthy.options, file).asked, 80);
}

TEST(RunEval, AnswersAreJudgedAnew) {
  Fixture f(knows(3, 100));
  const QuestionSet set = numbers(3);
  f.run(set);
  std::string text = read_text_file(f.path());
  const size_t at = text.find("\"correct\"");
  text.replace(at, 9, "\"wrong\"");
  write_text_file(f.path(), text);
  const EvalRun run = f.run(set);
  EXPECT_EQ(f.summary(set, run).correct, 2);  // the engine knows all but the first
}

// Evals in a process that is killed again and again; the last one ends it.
TEST(RunEval, OutlivesKill) {
  fake::Script script = knows(60, 7);
  script.timing.first_token_ms = 10;
  script.timing.interval_ms = 5;
  Fixture f(script);
  const QuestionSet set = numbers(60);
  int kills = 0;
  for (int64_t before = 0; kills < 8; ++kills) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(60);
      f.run(set);
      ::_exit(0);
    }
    ::usleep(20'000 + 13'000 * (kills % 5));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EvalFile file(f.path(), f.head(set));
    const auto kept = static_cast<int64_t>(file.records().size());
    EXPECT_GE(kept, before) << "nothing that was written is lost";
    before = kept;
  }
  const EvalRun run = f.run(set);
  EXPECT_EQ(f.summary(set, run).score, (Proportion{51, 60}));
  // Each question has one line.
  const std::string text = read_text_file(f.path());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 61);
}

TEST(EvalSummary, IsShownInThreeForms) {
  const QuestionSet set =
      parse_questions(R"({"key": 1, "prompt": "A", "instruction_id_list": ["punctuation:no_comma",)"
                      R"( "startend:quotation"], "kwargs": [{}, {}]})",
                      "input.jsonl");
  RequestSample request{.status = RequestStatus::kOk};
  request.answer = "Sure:\n\"red and blue\"";
  request.completion_tokens = 6;
  request.reasoning_tokens = 4;
  EvalRun run;
  run.records = {make_record(set.questions[0], request)};
  const EvalHead head{
      .kind = "ifeval", .source = "input.jsonl", .questions = 1, .model = "m", .max_tokens = 9};
  const EvalSummary summary = summarize_eval(head, set, run);
  EXPECT_EQ(summary_text(summary),
            "input.jsonl (ifeval) with m: 1 questions, at most 9 tokens\n"
            "  prompts, strict          0.0 %   0.0 % to 79.3 %   0 of 1\n"
            "  prompts, loose         100.0 %   20.7 % to 100.0 %   1 of 1\n"
            "  instructions, strict    50.0 %   9.5 % to 90.5 %   1 of 2\n"
            "  instructions, loose    100.0 %   34.2 % to 100.0 %   2 of 2\n"
            "  tokens                       6   an answer, of these 4 reasoning; longest 6\n"
            "\n"
            "  punctuation:no_comma   100.0 %     1 of 1     loose 100.0 %\n"
            "  startend:quotation       0.0 %     0 of 1     loose 100.0 %\n");
  const std::string markdown = summary_markdown(summary);
  EXPECT_NE(markdown.find("| prompts, loose | 100.0 % | 20.7 % to 100.0 % | 1 | 1 |\n"),
            std::string::npos);
  EXPECT_NE(markdown.find("| startend:quotation, loose | 100.0 %"), std::string::npos);
  const OrderedJson json = summary_json(summary);
  EXPECT_EQ(json["score"]["of"], 1);
  EXPECT_EQ(json["groups"]["startend:quotation"]["loose"]["right"], 1);
  EXPECT_EQ(json["eval"]["model"], "m");
}

TEST(EvalSummary, KnowsTheSecondsOfEarlierRuns) {
  const TempFolder folder;
  const auto path = folder.path() / "eval.summary.json";
  EvalSummary summary;
  summary.head.started = "2026-01-31T12:00:00Z";
  summary.seconds = 12.5;
  EXPECT_EQ(earlier_seconds(path, summary.head.started), 0);
  write_text_file(path, summary_json(summary).dump());
  EXPECT_EQ(earlier_seconds(path, summary.head.started), 12.5);
  EXPECT_EQ(earlier_seconds(path, "2026-02-01T12:00:00Z"), 0) << "of another eval";
  write_text_file(path, "{\"eval\"");
  EXPECT_EQ(earlier_seconds(path, summary.head.started), 0);
}

}  // namespace
}  // namespace mica
