#include "bench/client/answer_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace mica {
namespace {

constexpr const char* kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
constexpr const char* kJsonHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

std::string framed(const std::string& bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string word(const std::string& text) {
  return framed(R"(data: {"choices":[{"index":0,"delta":{"content":")" + text + "\"}}]}\n\n");
}

std::string whole(const std::string& head, const std::string& body) {
  return fmt::format("{}Content-Length: {}\r\n\r\n{}", head, body.size(), body);
}

const std::string kDone = framed("data: [DONE]\n\n"), kEnd = "0\r\n\r\n";
const std::string kFinish =
    framed("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");

struct Outcome {
  RequestSample record;
  bool decided = false, finished = false, reusable = false;
};

// Bytes come in portions of `step`, one a second.
Outcome read(const std::string& bytes, AnswerForm form = AnswerForm::kStream, bool cut = false,
             size_t step = 1 << 20, int64_t limit = 1 << 20) {
  Outcome out;
  AnswerReader reader(out.record, form, /*keep_body=*/false, limit);
  double time = 1;
  for (size_t at = 0; at < bytes.size(); at += step, ++time)
    reader.feed(std::string_view(bytes).substr(at, step), time);
  if (cut) reader.connection_ended("reset by peer", time);
  out.decided = reader.decided();
  out.finished = reader.finished();
  out.reusable = reader.reusable();
  return out;
}

TEST(AnswerReader, ReadsAStreamInAnyPortions) {
  const std::string bytes =
      kStreamHead + framed(": hello\n\n") +
      framed("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n") +
      framed("data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"r\"}}]}\n\n") +
      word("one") + word(" two") + kFinish +
      framed("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n") +
      kDone + kEnd;
  for (const size_t step :
       {size_t{1}, size_t{2}, size_t{3}, size_t{17}, size_t{1000}, bytes.size()}) {
    const Outcome out = read(bytes, AnswerForm::kStream, false, step);
    const RequestSample& record = out.record;
    EXPECT_TRUE(out.decided && out.finished && out.reusable) << step;
    EXPECT_EQ(record.status, RequestStatus::kOk) << record.error;
    EXPECT_EQ(record.answer, "one two");
    EXPECT_EQ(record.reasoning, "r");
    EXPECT_EQ(record.finish_reason, "stop");
    EXPECT_EQ(record.prompt_tokens, 3);
    EXPECT_EQ(record.output_tokens(), 4);
    ASSERT_EQ(record.chunks.size(), 6u);
    const ChunkKind kinds[] = {ChunkKind::kRole,   ChunkKind::kReasoning, ChunkKind::kAnswer,
                               ChunkKind::kAnswer, ChunkKind::kRole,      ChunkKind::kUsage};
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(record.chunks[i].kind, kinds[i]) << i;
  }
}

TEST(AnswerReader, TakesTimesOfTheBytesThatEndAnEvent) {
  RequestSample record;
  AnswerReader reader(record, AnswerForm::kStream, false, 1 << 20);
  reader.feed("HTTP/1.1 200 OK\r\n", 1);
  reader.feed("Content-Type: text/event-stream\r\n\r\n: comment\n\n", 2);
  reader.feed("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n", 3);
  reader.feed("data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"a\"}}]}\n", 4);
  reader.feed("\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n", 5);
  reader.feed("data: {\"choices\":[{\"delta\":{\"content\":\"c\"}}]}\n\n", 6);
  reader.feed("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", 7);
  reader.feed("data: [DONE]\n\n", 8);
  EXPECT_EQ(record.first_byte, 1);
  EXPECT_EQ(record.first_response, 3);
  EXPECT_EQ(record.first_token, 5);
  EXPECT_EQ(record.first_answer, 5);
  EXPECT_EQ(record.last_token, 6);
  EXPECT_EQ(record.ended, 8);
  EXPECT_EQ(record.status, RequestStatus::kOk);
  EXPECT_EQ(record.output_tokens(), 3);
  EXPECT_FALSE(reader.finished());
  EXPECT_FALSE(reader.reusable());
}

TEST(AnswerReader, JoinsToolCalls) {
  const auto call = [](const std::string& text) {
    return framed(
        R"(data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":")" + text +
        "\"}}]}}]}\n\n");
  };
  const RequestSample record = read(kStreamHead + call("a") + call("b") + kDone + kEnd).record;
  EXPECT_EQ(
      record.tool_calls,
      R"([{"index":0,"function":{"arguments":"a"}},{"index":0,"function":{"arguments":"b"}}])");
  EXPECT_EQ(record.first_token, record.first_answer);
  EXPECT_EQ(record.chunks.size(), 2u);
}

TEST(AnswerReader, ReadsWholeAnswers) {
  const Outcome out =
      read(whole(kJsonHead, R"({"choices":[{"text":"hi","finish_reason":"length"}],)"
                            R"("usage":{"prompt_tokens":2,"completion_tokens":1}})"),
           AnswerForm::kWhole, false, 9);
  EXPECT_EQ(out.record.status, RequestStatus::kOk) << out.record.error;
  EXPECT_EQ(out.record.answer, "hi");
  EXPECT_EQ(out.record.output_tokens(), 1);
  EXPECT_EQ(out.record.first_token, out.record.ended);
  EXPECT_TRUE(out.reusable);
}

TEST(AnswerReader, KeepsPlainBodies) {
  const Outcome out = read("HTTP/1.1 200 OK\r\n\r\nvllm:x 1\n", AnswerForm::kPlain, true, 5);
  EXPECT_EQ(out.record.status, RequestStatus::kOk);
  EXPECT_EQ(out.record.body, "vllm:x 1\n");
  EXPECT_FALSE(out.reusable);
}

TEST(AnswerReader, SkipsInterimResponses) {
  const Outcome out =
      read("HTTP/1.1 100 Continue\r\n\r\n" + std::string(kStreamHead) + word("a") + kDone + kEnd,
           AnswerForm::kStream, false, 4);
  EXPECT_EQ(out.record.status, RequestStatus::kOk) << out.record.error;
  EXPECT_EQ(out.record.http_status, 200);
}

struct Fault {
  const char* what;
  std::string bytes;
  bool cut;
  RequestStatus status;
  const char* error;   // a part of it
  const char* answer;  // that is kept
};

TEST(AnswerReader, CallsEveryFaultByItsName) {
  const std::string one = kStreamHead + word("one");
  const std::string open =
      "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
      "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n";
  const auto status = [](const char* line, const std::string& body) {
    return whole("HTTP/1.1 " + std::string(line) + "\r\n", body);
  };
  using S = RequestStatus;
  const std::vector<Fault> faults = {
      {"429", status("429 Too Many Requests", R"({"error":{"message":"slow down"}})"), false,
       S::kHttpError, "slow down", ""},
      {"503 cut short", "HTTP/1.1 503 x\r\nContent-Length: 99\r\n\r\nloading", true, S::kHttpError,
       "loading", ""},
      {"redirect", status("307 Temporary Redirect", ""), false, S::kHttpError, "", ""},
      {"no head", "", true, S::kDropped, "before the answer: reset by peer", ""},
      {"half a head", "HTTP/1.1 200 OK\r\nCont", true, S::kDropped, "before the answer", ""},
      {"dropped", one, true, S::kDropped, "within the answer after 1 pieces", "one"},
      {"dropped in a chunk's frame", one + "8", true, S::kDropped, "reset by peer", "one"},
      {"dropped in an event", one + word(" two").substr(0, 30), true, S::kDropped, "", "one"},
      {"dropped after the finish", one + kFinish, true, S::kDropped, "finish_reason 'stop'", "one"},
      {"dropped after [DONE]", one + kDone, true, S::kOk, "", "one"},
      {"closed without [DONE]", open, true, S::kDropped, "without [DONE]", "one"},
      {"closed within an event", open + "data: {\"choi", true, S::kDropped, "without [DONE]",
       "one"},
      {"closed after half of [DONE]", open + "data: [DONE]", true, S::kOk, "", "one"},
      {"no [DONE]", one + kFinish + kEnd, false, S::kMalformed, "ended without [DONE]", "one"},
      {"broken JSON", one + framed("data: {\"choices\":[{\"del\n\n"), false, S::kMalformed,
       "expected a JSON object, found '{\"choices", "one"},
      {"an error event", one + framed("data: {\"error\":{\"message\":\"CUDA died\"}}\n\n"), false,
       S::kServerError, "CUDA died", "one"},
      {"an event called error", one + framed("event: error\ndata: {\"message\":\"oops\"}\n\n"),
       false, S::kServerError, "oops", "one"},
      {"llama.cpp's error", one + framed("error: {\"message\":\"oops\"}\n\n"), false,
       S::kServerError, "oops", "one"},
      {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", false, S::kMalformed, "is no HTTP", ""},
      {"a bad chunk size", one + "zz\r\n", false, S::kMalformed, "is no HTTP", "one"},
      {"a web page", whole("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "<html>hello"), false,
       S::kMalformed, "<html>hello", ""},
      {"a whole answer instead", whole(kJsonHead, R"({"choices":[{"text":"one"}]})"), false,
       S::kMalformed, "expected a stream", "one"},
      {"an error with status 200", whole(kJsonHead, R"({"error":"no"})"), false, S::kServerError,
       "no", ""},
      {"an empty body", "HTTP/1.1 204 No Content\r\n\r\n", false, S::kMalformed, "without [DONE]",
       ""},
      {"a large head", "HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x'), false, S::kMalformed,
       "is no HTTP", ""},
  };
  for (const Fault& fault : faults)
    for (const size_t step : {size_t{1} << 20, size_t{1}, size_t{7}}) {
      const Outcome out = read(fault.bytes, AnswerForm::kStream, fault.cut, step);
      EXPECT_TRUE(out.decided) << fault.what;
      EXPECT_EQ(out.record.status, fault.status) << fault.what << ": " << out.record.error;
      EXPECT_NE(out.record.error.find(fault.error), std::string::npos)
          << fault.what << ": " << out.record.error;
      EXPECT_EQ(out.record.answer, fault.answer) << fault.what;
      EXPECT_EQ(out.record.error.empty(),
                out.record.ok() || fault.bytes.starts_with("HTTP/1.1 307"));
    }
}

TEST(AnswerReader, EndsAnAnswerOverTheLimit) {
  std::string bytes = kStreamHead;
  for (int i = 0; i < 100; ++i) bytes += word("0123456789");
  const Outcome out = read(bytes, AnswerForm::kStream, false, 100, 2000);
  EXPECT_EQ(out.record.status, RequestStatus::kMalformed);
  EXPECT_NE(out.record.answer, "");
}

TEST(AnswerReader, KeepsTheFirstDecision) {
  RequestSample record;
  AnswerReader reader(record, AnswerForm::kStream, false, 1 << 20);
  reader.feed(kStreamHead + word("one"), 1);
  reader.decide(RequestStatus::kTimeout, "no byte for 5 s", 6);
  reader.feed(kDone + kEnd, 7);
  reader.connection_ended("closed", 8);
  EXPECT_EQ(record.status, RequestStatus::kTimeout);
  EXPECT_EQ(record.error, "no byte for 5 s");
  EXPECT_EQ(record.answer, "one");
  EXPECT_EQ(record.ended, 6);
}

}  // namespace
}  // namespace mica
