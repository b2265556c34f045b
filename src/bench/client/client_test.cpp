// The client against the scripted engine in the same process. Nothing here depends on how fast the
// machine is: only on the order of things, and that nothing comes before its cause.
#include "bench/client/client.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "bench/client/fetch.h"
#include "fake_engine/ask.h"
#include "fake_engine/engine.h"

namespace mica {
namespace {

using fake::ask;
using fake::chat_request;
using fake::FakeEngine;
using fake::Script;
using fake::Truth;

Script quick() {
  Script script;
  script.timing.first_token_ms = 2;
  script.timing.interval_ms = 1;
  return script;
}

class Engine {  // that runs
 public:
  explicit Engine(const Script& script) : engine_(script) { engine_.start(); }
  FakeEngine* operator->() { return &engine_; }

 private:
  FakeEngine engine_;
};

double absolute(const Client& client, double time) {
  return fake::seconds(client.epoch()) + time;
}

TEST(Client, TimesComeAfterTheirCauses) {
  Engine engine(quick());
  Client client({.url = engine->url()});
  const RequestSample record = ask(client, chat_request(20));
  ASSERT_EQ(record.status, RequestStatus::kOk) << record.error;
  const Truth truth = engine->truths().at(0);
  EXPECT_LE(absolute(client, record.sent), truth.received);
  EXPECT_LE(record.sent, record.first_byte);
  EXPECT_LE(record.first_byte, record.first_response);
  EXPECT_LE(record.first_response, record.first_token);  // the role chunk comes at once
  ASSERT_EQ(truth.sent.size(), 20u);
  std::vector<double> tokens;
  for (const ChunkRecord& chunk : record.chunks)
    if (chunk.kind == ChunkKind::kAnswer) tokens.push_back(chunk.time);
  ASSERT_EQ(tokens.size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_GE(absolute(client, tokens[i]), truth.sent[i]) << i;
  EXPECT_EQ(record.first_token, tokens.front());
  EXPECT_EQ(record.first_answer, tokens.front());
  EXPECT_EQ(record.last_token, tokens.back());
  EXPECT_GE(record.ended, record.last_token);
  EXPECT_GE(record.first_token - record.sent, 0.002);
  EXPECT_EQ(record.finish_reason, "length");
  EXPECT_EQ(record.completion_tokens, 20);
  EXPECT_EQ(record.prompt_tokens, 6);
  EXPECT_EQ(record.chunks.front().kind, ChunkKind::kRole);
  EXPECT_EQ(record.chunks.back().kind, ChunkKind::kUsage);
  const ClientCost cost = client.cost();
  EXPECT_EQ(cost.chunks, 23);  // a role, 20 tokens, the end, the counts
  EXPECT_EQ(cost.connections, 1);
  EXPECT_GT(cost.cpu_seconds, 0);
}

TEST(Client, ReadsReasoningAndToolCalls) {
  Script script = quick();
  script.answer.reasoning_tokens = 3;
  script.answer.tool_call = true;
  script.answer.tokens_per_chunk = 2;
  for (const char* field : {"reasoning", "reasoning_content"}) {
    script.answer.reasoning_field = field;
    Engine engine(script);
    const RequestSample record = ask(engine->url(), chat_request(7));
    ASSERT_EQ(record.status, RequestStatus::kOk) << record.error;
    EXPECT_NE(record.reasoning, "");
    EXPECT_EQ(record.answer, "");
    EXPECT_NE(record.tool_calls.find("look_up"), std::string::npos);
    EXPECT_EQ(nlohmann::json::parse(record.tool_calls).size(), 2u);
    EXPECT_LE(record.first_token, record.first_answer);  // in one read when the machine is busy
    EXPECT_EQ(record.reasoning_tokens, 3);
    EXPECT_EQ(record.finish_reason, "tool_calls");
  }
}

TEST(Client, SpeaksEveryDialect) {
  for (const char* dialect : {"openai", "vllm", "sglang", "llamacpp", "trtllm", "mlx", "mica"})
    for (const bool stream : {true, false})
      for (const bool chat : {true, false}) {
        Script script = fake::read_script({{"dialect", dialect}});
        script.timing = quick().timing;
        script.answer.cached_tokens = 4;
        Engine engine(script);
        RequestSpec spec = chat_request(6, "hello there", stream);
        if (!chat) {
          spec.path = "/v1/completions";
          nlohmann::json body = {{"prompt", "hello there"}, {"max_tokens", 6}, {"stream", stream}};
          if (stream) body["stream_options"] = {{"include_usage", true}};
          spec.body = body.dump();
        }
        const RequestSample record = ask(engine->url(), spec);
        const auto what = testing::Message() << dialect << (stream ? " stream" : " whole")
                                             << (chat ? " chat: " : " text: ") << record.error;
        EXPECT_EQ(record.status, RequestStatus::kOk) << what;
        EXPECT_EQ(record.completion_tokens, 6) << what;
        EXPECT_EQ(record.prompt_tokens, chat ? 6 : 2) << what;
        EXPECT_EQ(record.cached_tokens, 4) << what;
        EXPECT_NE(record.answer, "") << what;
        EXPECT_EQ(record.finish_reason, "length") << what;
        EXPECT_EQ(record.server_decode != RequestSample::kNever,
                  script.dialect == fake::Dialect::kLlamaCpp)
            << what;
      }
}

TEST(Client, BytesMayComeInAnyPieces) {
  Script script = quick();
  const std::string whole = [&] {
    Engine engine(script);
    return ask(engine->url(), chat_request(5)).answer;
  }();
  script.answer.keep_alive_ms = 1;
  for (const int64_t bytes : {1, 7, 100}) {
    script.answer.split_bytes = bytes;
    Engine engine(script);
    const RequestSample record = ask(engine->url(), chat_request(5));
    EXPECT_EQ(record.status, RequestStatus::kOk) << record.error;
    EXPECT_EQ(record.answer, whole);
  }
}

TEST(Client, TakesStreamsOfAnyTypeAndFraming) {
  for (const char* type :
       {"text/event-stream", "text/event-stream;charset=utf-8", "text/plain", ""})
    for (const char* framing : {"chunked", "close"}) {
      Script script = quick();
      script.answer.content_type = type;
      script.answer.framing = framing;
      Engine engine(script);
      Client client({.url = engine->url()});
      for (int i = 0; i < 2; ++i)
        EXPECT_EQ(ask(client, chat_request(3)).status, RequestStatus::kOk) << type << framing;
      EXPECT_EQ(engine->connections(), std::string(framing) == "close" ? 2 : 1);
    }
}

TEST(Client, KeepsConnectionsOrNot) {
  for (const bool keep : {true, false}) {
    Engine engine(quick());
    Client client({.url = engine->url(), .keep_alive = keep});
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(ask(client, chat_request(3, "again", i % 2 == 0)).status, RequestStatus::kOk);
    EXPECT_EQ(engine->connections(), keep ? 1 : 4);
    EXPECT_EQ(client.cost().connections, keep ? 1 : 4);
  }
}

TEST(Client, AnEndThatCrossesARequestIsNoAnswer) {
  fake::Script script = quick();
  script.answer.framing = "chunked_once";
  Engine engine(script);
  Client client({.url = engine->url()});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(client, chat_request(3)).status, RequestStatus::kOk);
  EXPECT_EQ(engine->connections(), 20);
  EXPECT_EQ(engine->truths().size(), 20u);
}

TEST(Client, SendsWhenDue) {
  Engine engine(quick());
  Client client({.url = engine->url()});
  std::vector<RequestSample> records;
  const auto keep = [&](RequestSample record) { records.push_back(std::move(record)); };
  for (const double due : {0.05, 0.02, 0.08}) {
    RequestSpec spec = chat_request(1);
    spec.id = static_cast<int64_t>(due * 100);
    spec.due = due;
    client.submit(spec, keep);
  }
  EXPECT_EQ(client.open(), 3u);
  client.run();
  EXPECT_EQ(client.open(), 0u);
  ASSERT_EQ(records.size(), 3u);
  for (const RequestSample& record : records) {
    EXPECT_EQ(record.status, RequestStatus::kOk);
    EXPECT_GE(record.sent, record.due);
  }
}

TEST(Client, RunsClosedLoops) {
  Engine engine(quick());
  Client client({.url = engine->url()});
  int done = 0, left = 40;
  std::function<void()> next = [&] {
    if (left-- <= 0) return;
    client.submit(chat_request(3), [&](RequestSample record) {
      EXPECT_EQ(record.status, RequestStatus::kOk) << record.error;
      ++done;
      next();
    });
  };
  for (int i = 0; i < 8; ++i) next();
  bool ticked = false;
  client.at(0.01, [&] { ticked = true; });
  client.run();
  EXPECT_EQ(done, 40);
  EXPECT_TRUE(ticked);
  EXPECT_LE(engine->connections(), 16);
}

TEST(Client, CancelsWithWhatCame) {
  Script script = quick();
  script.faults = {{.kind = "hang", .after_chunks = 3}};
  Engine engine(script);
  Client client({.url = engine->url()});
  RequestSample first, second;
  const auto handle = client.submit(chat_request(), [&](RequestSample r) { first = std::move(r); });
  client.submit(chat_request(), [&](RequestSample r) { second = std::move(r); });
  RequestSpec later = chat_request();
  later.due = 1000;
  RequestSample third;
  client.submit(later, [&](RequestSample r) { third = std::move(r); });
  client.at(0.3, [&] { client.cancel(handle); });
  client.at(0.4, [&] {
    EXPECT_EQ(client.open(), 2u);
    client.cancel(handle);  // it has ended
    client.cancel_all();
  });
  client.run();
  for (const RequestSample* record : {&first, &second}) {
    EXPECT_EQ(record->status, RequestStatus::kCancelled);
    EXPECT_EQ(record->output_tokens(), 3);
  }
  EXPECT_EQ(third.status, RequestStatus::kCancelled);
  EXPECT_EQ(third.sent, RequestSample::kNever);
}

TEST(Client, StopsFromAnotherThread) {
  Script script = quick();
  script.faults = {{.kind = "hang", .at = "head"}};
  Engine engine(script);
  Client client({.url = engine->url()});
  std::vector<RequestStatus> ended;
  for (int i = 0; i < 3; ++i)
    client.submit(chat_request(), [&](RequestSample r) { ended.push_back(r.status); });
  client.at(3600, [] { FAIL(); });
  std::thread stopper([&] {
    while (engine->truths().size() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    client.stop();
  });
  client.run();
  stopper.join();
  EXPECT_EQ(ended, std::vector<RequestStatus>(3, RequestStatus::kCancelled));
}

TEST(Client, LetsExceptionsOfCallbacksOut) {
  Engine engine(quick());
  Client client({.url = engine->url()});
  int calls = 0;
  for (int i = 0; i < 6; ++i)
    client.submit(chat_request(2), [&](RequestSample) {
      if (++calls == 2) throw std::runtime_error("enough");
    });
  EXPECT_THROW(client.run(), std::runtime_error);
  EXPECT_EQ(client.open(), 4u);
  client.run();
  EXPECT_EQ(calls, 6);
}

TEST(Client, ForgetsOpenRequestsAtItsEnd) {
  Script script = quick();
  script.faults = {{.kind = "hang"}};
  Engine engine(script);
  {
    Client client({.url = engine->url()});
    client.submit(chat_request(), [](RequestSample) { FAIL(); });
    client.at(0.05, [] { throw std::runtime_error("leave"); });
    EXPECT_THROW(client.run(), std::runtime_error);
  }
}

TEST(Client, SendsHeadersAndKeys) {
  Script script = quick();
  script.api_key = "secret";
  Engine engine(script);
  EXPECT_EQ(ask(engine->url(), chat_request()).http_status, 401);
  Client client({.url = engine->url(), .api_key = "secret", .headers = {{"X-Run", "7"}}});
  RequestSpec spec = chat_request();
  spec.headers = {{"X-Request-Id", "a"}};
  EXPECT_EQ(ask(client, spec).status, RequestStatus::kOk);
}

TEST(Client, FetchesPages) {
  Engine engine(quick());
  const RequestSample models = fetch({.url = engine->url()}, "GET", "/v1/models");
  EXPECT_EQ(models.status, RequestStatus::kOk) << models.error;
  EXPECT_NE(models.body.find("fake-model"), std::string::npos);
  EXPECT_EQ(fetch({.url = engine->url()}, "POST", "/reset_prefix_cache").status,
            RequestStatus::kOk);
  EXPECT_EQ(engine->cache_resets(), 1);
  const RequestSample absent = fetch({.url = engine->url() + "/v2"}, "GET", "/models");
  EXPECT_EQ(absent.status, RequestStatus::kHttpError);
  EXPECT_EQ(absent.http_status, 404);
  EXPECT_EQ(absent.error, "Not Found");
}

TEST(Client, RefusesUrlsThatAreNone) {
  EXPECT_THROW(Client({.url = "localhost:8000"}), Error);
  EXPECT_THROW(Client({.url = "https://localhost", .ca_file = "/absent"}), Error);
}

}  // namespace
}  // namespace mica
