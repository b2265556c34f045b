#include "bench/eval/eval_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "temp_folder.h"

namespace mica {
namespace {

EvalHead head() {
  return {.kind = "gsm8k",
          .source = "test.jsonl",
          .questions_hash = "abc",
          .questions = 2,
          .model = "fake",
          .max_tokens = 100,
          .fields = {{"temperature", "0"}},
          .started = "2026-01-31T12:00:00Z"};
}

EvalRecord record(const std::string& id, const std::string& answer) {
  EvalRecord record{.id = id, .prompt_hash = "h" + id, .answer = answer};
  record.outcome = Outcome::kWrong;
  record.why = "found 1";
  record.finish_reason = "stop";
  record.completion_tokens = 7;
  record.reasoning_bytes = 3;
  record.seconds = 1.5;
  record.instructions = {{"punctuation:no_comma", false, true, "found 1 commas"}};
  return record;
}

std::string error_of(const std::filesystem::path& path, const EvalHead& head) {
  try {
    EvalFile file(path, head);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(EvalFile, GoesOn) {
  const TempFolder folder;
  const auto path = folder.path() / "new" / "eval.jsonl";
  {
    EvalFile file(path, head());
    EXPECT_TRUE(file.records().empty());
    file.append(record("1", "a"));
    file.append(record("2", "b, \xff\n"));
    file.append(record("1", "c"));
    EXPECT_NE(error_of(path, head()).find("another process"), std::string::npos);
  }
  EvalHead later = head();
  later.url = "http://elsewhere";
  later.started = "now";
  const EvalFile file(path, later);
  EXPECT_EQ(file.started(), head().started);
  ASSERT_EQ(file.records().size(), 2u);
  EXPECT_EQ(file.records()[0].id, "1");
  EXPECT_EQ(file.records()[0].answer, "c");
  EXPECT_EQ(file.records()[0].completion_tokens, 7);
  EXPECT_EQ(file.records()[0].prompt_tokens, RequestSample::kUnknown);
  EXPECT_EQ(file.records()[0].seconds, 1.5);
  EXPECT_EQ(file.records()[0].outcome, Outcome::kWrong);
  EXPECT_EQ(file.records()[1].answer, "b, \ufffd\n");
}

TEST(EvalFile, AnUnfinishedLineIsCutOff) {
  const TempFolder folder;
  const auto path = folder.path() / "eval.jsonl";
  std::string whole;
  {
    EvalFile file(path, head());
    file.append(record("1", "a"));
    file.append(record("2", "b"));
    whole = read_text_file(path);
  }
  // Whatever was written when the process was killed.
  for (size_t size = 0; size < whole.size(); ++size) {
    write_text_file(path, whole.substr(0, size));
    size_t before = 0;
    {
      EvalFile file(path, head());
      before = file.records().size();
      file.append(record("3", "c"));
    }
    EvalFile again(path, head());
    ASSERT_EQ(again.records().size(), before + 1) << size;
    EXPECT_EQ(again.records().back().id, "3");
  }
}

TEST(EvalFile, OtherQuestionsModelsAndSettingsAreRefused) {
  const TempFolder folder;
  const auto path = folder.path() / "eval.jsonl";
  { EvalFile file(path, head()); }
  const auto changed = [&](auto change) {
    EvalHead other = head();
    change(other);
    return error_of(path, other);
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos && text.find("--output") != std::string::npos;
  };
  EXPECT_EQ(changed([](EvalHead&) {}), "none");
  EXPECT_EQ(changed([](EvalHead& h) { h.fields = {{"temperature", " 0"}}; }), "none");
  EXPECT_TRUE(has(changed([](EvalHead& h) { h.model = "other"; }),
                  "model: the file has fake, now it is other"));
  EXPECT_TRUE(
      has(changed([](EvalHead& h) { h.questions_hash = "abd"; }), "questions: the file has"));
  EXPECT_TRUE(has(changed([](EvalHead& h) { h.kind = "ifeval"; }), "kind of questions"));
  EXPECT_TRUE(has(changed([](EvalHead& h) { h.shots = 3; }), "shots: the file has 0, now it is 3"));
  EXPECT_TRUE(has(changed([](EvalHead& h) { h.max_tokens = 50; }), "tokens of an answer"));
  EXPECT_TRUE(has(changed([](EvalHead& h) { h.system = "x"; }), "system message"));
  EXPECT_TRUE(
      has(changed([](EvalHead& h) { h.fields = {}; }), "has temperature=0, now it is none"));
}

TEST(EvalFile, OtherFilesAreRefused) {
  const TempFolder folder;
  const auto path = folder.path() / "eval.jsonl";
  const std::pair<const char*, const char*> cases[] = {
      {"{\"question\": \"A\"}\n", "eval.jsonl:1: expected the first line of an eval's file"},
      {"text\n", "eval.jsonl:1: expected JSON"},
      {"\n", "eval.jsonl:1: expected JSON"},
  };
  for (const auto& [text, part] : cases) {
    write_text_file(path, text);
    EXPECT_NE(error_of(path, head()).find(part), std::string::npos) << text;
    EXPECT_EQ(read_text_file(path), text) << "it is left as it was";
  }
  std::filesystem::remove(path);
  { EvalFile file(path, head()); }
  std::ofstream(path, std::ios::app) << "{\"id\": \"1\"}\n";
  EXPECT_NE(error_of(path, head()).find("eval.jsonl:2: expected a member 'prompt_hash'"),
            std::string::npos);
}

}  // namespace
}  // namespace mica
