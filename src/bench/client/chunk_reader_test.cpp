#include "bench/client/chunk_reader.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

AnswerPiece read(const std::string& json) {
  ChunkReader reader;
  return reader.read(json);
}

std::string delta(const std::string& members) {
  return R"({"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{)" + members +
         "}}]}";
}

TEST(ChunkReader, TellsKindsApart) {
  EXPECT_EQ(read(delta(R"("role":"assistant","content":"")")).kind, ChunkKind::kRole);
  EXPECT_EQ(read(delta(R"("role":"assistant","content":null)")).kind, ChunkKind::kRole);
  EXPECT_EQ(read(delta("")).kind, ChunkKind::kRole);
  EXPECT_EQ(read(delta(R"("content":"a")")).kind, ChunkKind::kAnswer);
  EXPECT_EQ(read(delta(R"("reasoning":"a")")).kind, ChunkKind::kReasoning);
  EXPECT_EQ(read(delta(R"("reasoning_content":"a")")).kind, ChunkKind::kReasoning);
  EXPECT_EQ(read(delta(R"("tool_calls":[{"index":0}])")).kind, ChunkKind::kToolCall);
  EXPECT_EQ(read(delta(R"("tool_calls":[])")).kind, ChunkKind::kRole);
  EXPECT_EQ(read(R"({"choices":[{"text":"a"}]})").kind, ChunkKind::kAnswer);
  EXPECT_EQ(read(R"({"choices":[{"text":""}]})").kind, ChunkKind::kRole);
  EXPECT_EQ(read(R"({"choices":[],"usage":{"prompt_tokens":1}})").kind, ChunkKind::kUsage);
  EXPECT_EQ(read(R"({"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}})").kind,
            ChunkKind::kRole);
}

TEST(ChunkReader, KeepsAllTextOfAPiece) {
  const AnswerPiece piece = read(delta(R"("content":"b","reasoning":"a","reasoning_content":"a")"));
  EXPECT_EQ(piece.kind, ChunkKind::kReasoning);
  EXPECT_EQ(piece.reasoning, "a");
  EXPECT_EQ(piece.answer, "b");
  EXPECT_EQ(piece.text_bytes(), 2u);
  EXPECT_EQ(
      read(delta(R"("tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}])")).tool_calls,
      R"([{"index":0,"function":{"arguments":"{\"a\""}}])");
  EXPECT_EQ(read(delta(R"("content":"\u00e9\ud83d\ude00")")).answer, "é😀");
}

TEST(ChunkReader, ReadsWholeAnswers) {
  const AnswerPiece piece =
      read(R"({"choices":[{"message":{"role":"assistant","content":"b","reasoning_content":"a"},)"
           R"("finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":2}})");
  EXPECT_EQ(piece.answer, "b");
  EXPECT_EQ(piece.reasoning, "a");
  EXPECT_EQ(piece.finish_reason, "length");
  EXPECT_EQ(piece.prompt_tokens, 7);
  EXPECT_EQ(piece.completion_tokens, 2);
  EXPECT_EQ(piece.cached_tokens, RequestSample::kUnknown);
}

TEST(ChunkReader, ReadsEveryServersUsage) {
  const auto usage = [](const std::string& members) {
    return read(R"({"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,)" + members +
                "}}");
  };
  EXPECT_EQ(usage(R"("prompt_tokens_details":{"cached_tokens":8})").cached_tokens,
            8);  // OpenAI, vLLM
  EXPECT_EQ(usage(R"("prompt_tokens_details":null)").cached_tokens, RequestSample::kUnknown);
  EXPECT_EQ(usage(R"("cached_tokens":7)").cached_tokens, 7);
  EXPECT_EQ(usage(R"("prompt_cache_hit_tokens":6)").cached_tokens, 6);
  EXPECT_EQ(usage(R"("completion_tokens_details":{"reasoning_tokens":3})").reasoning_tokens, 3);
  EXPECT_EQ(usage(R"("reasoning_tokens":4)").reasoning_tokens, 4);  // SGLang
  EXPECT_EQ(usage(R"("reasoning_tokens":-4)").reasoning_tokens, RequestSample::kUnknown);
}

TEST(ChunkReader, ReadsTheTimingsOfLlamaCpp) {
  const std::string timings =
      R"("timings":{"cache_n":6,"prompt_n":4,"prompt_ms":12.5,"predicted_n":9,"predicted_ms":90}})";
  const AnswerPiece piece = read(R"({"choices":[{"delta":{},"finish_reason":"stop"}],)" + timings);
  EXPECT_EQ(piece.prompt_tokens, 10);
  EXPECT_EQ(piece.cached_tokens, 6);
  EXPECT_EQ(piece.completion_tokens, 9);
  EXPECT_DOUBLE_EQ(piece.server_prefill, 0.0125);
  EXPECT_DOUBLE_EQ(piece.server_decode, 0.09);
  // Its usage counts the same and wins.
  EXPECT_EQ(read(R"({"choices":[],"usage":{"prompt_tokens":11},)" + timings).prompt_tokens, 11);
}

TEST(ChunkReader, FindsErrors) {
  EXPECT_EQ(read(R"({"error":{"message":"out of memory","code":500}})").error, "out of memory");
  EXPECT_EQ(read(R"({"error":"busy"})").error, "busy");
  EXPECT_EQ(read(R"({"object":"error","message":"too long","code":400})").error, "too long");
  EXPECT_EQ(read(R"({"detail":"no such model"})").error, "no such model");
  EXPECT_EQ(read(R"({"error":{"code":7}})").error, R"({"error":{"code":7}})");
  EXPECT_NE(read(R"({"choices":[{"delta":{"content":"x"},"finish_reason":"abort"}]})").error, "");
  EXPECT_EQ(read(R"({"choices":[{"text":"a"}],"error":null})").error, "");
}

TEST(ChunkReader, SaysWhatIsNotTheDialect) {
  for (const char* text : {"", "{", "[1]", "7", R"({"choices":[{"delta":{"content":"a)", "{}",
                           R"({"a":1})", "\xff", "<html>", R"({"choices":{}})"}) {
    const AnswerPiece piece = read(text);
    EXPECT_NE(piece.malformed, "") << text;
    EXPECT_EQ(piece.text_bytes(), 0u);
  }
  // Members of other types than expected say nothing; they do no harm.
  for (const char* text :
       {R"({"choices":[1,null,[],{"delta":[]},{"delta":{"content":7,"tool_calls":{}}}]})",
        R"({"choices":[],"usage":{"prompt_tokens":"many","completion_tokens":1e300}})",
        R"({"choices":[{"text":null}],"usage":[],"timings":3})"}) {
    const AnswerPiece piece = read(text);
    EXPECT_EQ(piece.text_bytes(), 0u) << text;
    EXPECT_EQ(piece.completion_tokens, RequestSample::kUnknown) << text;
  }
}

TEST(ErrorText, FindsTheMessage) {
  EXPECT_EQ(error_text(R"({"error":{"message":"a\nb"}})"), "a b");
  EXPECT_EQ(error_text(R"({"detail":[{"loc":["body","foo"],"msg":"Extra inputs"}]})"),
            R"([{"loc":["body","foo"],"msg":"Extra inputs"}])");
  EXPECT_EQ(error_text("Bad Gateway\r\n"), "Bad Gateway  ");
  EXPECT_EQ(error_text(""), "");
  const std::string cut = error_text(std::string(299, 'x') + "é" + std::string(500, 'x'));
  EXPECT_EQ(cut, std::string(299, 'x') + "…");
  EXPECT_EQ(error_text("\xff\x80 x"), "   x");
}

}  // namespace
}  // namespace mica
