// Every fault of the scripted engine, in a process of its own, is reported as what it is.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "bench/client/client.h"
#include "bench/client/fetch.h"
#include "fake_engine/ask.h"
#include "fake_engine/process.h"

namespace mica {
namespace {

using fake::ask;
using fake::chat_request;
using fake::FakeProcess;
using Json = nlohmann::json;

Json script(const Json& fault) {
  return {{"timing", {{"first_token_ms", 2}, {"interval_ms", 1}}}, {"faults", {fault}}};
}

struct Fault {
  Json fault;
  RequestStatus status;
  const char* error;  // a part of the message
  int tokens;         // that came before it
};

TEST(ClientFaults, HaveTheirNames) {
  using S = RequestStatus;
  const std::vector<Fault> faults = {
      {{{"kind", "drop"}, {"at", "head"}}, S::kDropped, "before the answer", 0},
      {{{"kind", "drop"}, {"at", "token"}}, S::kDropped, "within the answer", 0},
      {{{"kind", "drop"}, {"after_chunks", 4}}, S::kDropped, "within the answer after 5 pieces", 4},
      {{{"kind", "drop"}, {"after_chunks", 8}}, S::kDropped, "within the answer", 8},
      {{{"kind", "reset"}, {"at", "head"}}, S::kDropped, "", 0},
      {{{"kind", "reset"}, {"after_chunks", 3}}, S::kDropped, "", -1},  // a reset takes bytes along
      {{{"kind", "garbage"}}, S::kMalformed, "no HTTP", 0},
      {{{"kind", "status"}, {"status", 429}}, S::kHttpError, "scripted failure", 0},
      {{{"kind", "status"}, {"status", 500}, {"body", "Internal Server Error"}},
       S::kHttpError,
       "Internal Server Error",
       0},
      {{{"kind", "status"}, {"status", 503}}, S::kHttpError, "scripted failure", 0},
      {{{"kind", "error_event"}, {"after_chunks", 3}}, S::kServerError, "scripted failure", 3},
      {{{"kind", "invalid_json"}, {"after_chunks", 3}}, S::kMalformed, "expected a JSON object", 3},
      {{{"kind", "partial_json"}, {"after_chunks", 3}}, S::kDropped, "within the answer", 3},
      {{{"kind", "no_done"}}, S::kMalformed, "without [DONE]", 8},
      {{{"kind", "oversized"}, {"after_chunks", 3}}, S::kMalformed, "larger than 16 MB", 3},
      {{{"kind", "whole"}}, S::kMalformed, "expected a stream", 8},
      {{{"kind", "short"}, {"tokens", 5}}, S::kOk, "", 5},
      {{{"kind", "empty"}}, S::kOk, "", 0},
      {{{"kind", "pause"}, {"ms", 30}}, S::kOk, "", 8},
      {{{"kind", "crash"}, {"after_chunks", 3}}, S::kDropped, "within the answer", 3},
      {{{"kind", "exit"}, {"at", "head"}, {"status", 3}}, S::kDropped, "before the answer", 0},
  };
  for (const Fault& fault : faults) {
    FakeProcess engine(script(fault.fault));
    const RequestRecord record = ask(engine.url(), chat_request(8));
    const auto what = testing::Message() << fault.fault << ": " << record.error;
    EXPECT_EQ(record.status, fault.status) << what << name(record.status);
    EXPECT_NE(record.error.find(fault.error), std::string::npos) << what;
    EXPECT_EQ(record.error.empty(), record.ok()) << what;
    if (fault.tokens < 0) continue;
    const auto words =
        record.answer.empty() ? 0 : 1 + std::count(record.answer.begin(), record.answer.end(), ' ');
    EXPECT_EQ(words, fault.tokens) << what;
    if (fault.fault["kind"] == "status") {
      EXPECT_EQ(record.http_status, fault.fault["status"]) << what;
    }
    EXPECT_EQ(record.first_token == RequestRecord::kNever, fault.tokens == 0) << what;
    EXPECT_NE(record.ended, RequestRecord::kNever) << what;
  }
}

TEST(ClientFaults, HitWholeAnswersToo) {
  using S = RequestStatus;
  const std::pair<Json, RequestStatus> faults[] = {
      {{{"kind", "drop"}}, S::kDropped},
      {{{"kind", "crash"}, {"at", "head"}}, S::kDropped},
      {{{"kind", "status"}, {"status", 500}}, S::kHttpError},
      {{{"kind", "garbage"}}, S::kMalformed},
      {{{"kind", "hang"}}, S::kTimeout},
  };
  for (const auto& [fault, status] : faults) {
    FakeProcess engine(script(fault));
    RequestSpec spec = chat_request(8, "hello", /*stream=*/false);
    if (status == S::kTimeout) spec.deadlines.first_byte = 0.1;
    const RequestRecord record = ask(engine.url(), spec);
    EXPECT_EQ(record.status, status) << fault << record.error;
  }
}

TEST(ClientFaults, EndAtTheirDeadline) {
  struct Hang {
    Json fault;
    RequestDeadlines deadlines;
    const char* error;
    int tokens;
  };
  // Where several could end it, the others are far away.
  const std::vector<Hang> hangs = {
      {{{"kind", "hang"}, {"at", "head"}},
       {.first_byte = 0.1},
       "no byte of an answer within 0.1 s",
       0},
      {{{"kind", "hang"}, {"at", "token"}}, {.first_token = 0.2}, "no token within 0.2 s", 0},
      {{{"kind", "hang"}, {"after_chunks", 4}}, {.silence = 0.3}, "nothing more of the answer", 4},
      {{{"kind", "hang"}, {"after_chunks", 4}}, {.total = 1}, "no end of the answer within 1 s", 4},
      {{{"kind", "endless"}}, {.total = 0.5}, "no end of the answer", -1},
  };
  for (const Hang& hang : hangs) {
    FakeProcess engine(script(hang.fault));
    RequestSpec spec = chat_request(8);
    spec.deadlines = hang.deadlines;
    const RequestRecord record = ask(engine.url(), spec);
    EXPECT_EQ(record.status, RequestStatus::kTimeout) << record.error;
    EXPECT_NE(record.error.find(hang.error), std::string::npos) << record.error;
    if (hang.tokens >= 0) {
      EXPECT_EQ(record.output_tokens(), hang.tokens) << record.error;
    } else {
      EXPECT_GT(record.output_tokens(), 8);
    }
  }
}

TEST(ClientFaults, OthersAreNotTouched) {
  Json faults = {{{"kind", "drop"}, {"first", 1}, {"count", 1}},
                 {{"kind", "status"}, {"first", 3}, {"every", 2}}};
  FakeProcess engine(
      Json({{"timing", {{"first_token_ms", 2}, {"interval_ms", 1}}}, {"faults", faults}}));
  Client client({.url = engine.url()});
  std::string seen;
  for (int i = 0; i < 7; ++i) seen += name(ask(client, chat_request()).status) + std::string(" ");
  EXPECT_EQ(seen, "ok dropped ok http_error ok http_error ok ");
}

TEST(ClientFaults, ADeadEngineRefuses) {
  FakeProcess engine(script({{"kind", "crash"}, {"first", 1}}));
  Client client({.url = engine.url()});
  EXPECT_EQ(ask(client, chat_request()).status, RequestStatus::kOk);
  EXPECT_EQ(ask(client, chat_request()).status, RequestStatus::kDropped);
  EXPECT_EQ(engine.wait(), 128 + SIGABRT);
  const RequestRecord record = ask(client, chat_request());
  EXPECT_EQ(record.status, RequestStatus::kRefused);
  EXPECT_NE(record.error.find("Connection refused"), std::string::npos) << record.error;
  EXPECT_EQ(record.sent, RequestRecord::kNever);
}

TEST(ClientFaults, RefusedUntilItListens) {
  FakeProcess engine(Json({{"start", {{"listen_ms", 300}}}}));
  Client client({.url = engine.url()});
  int refused = 0;
  RequestRecord record = ask(client, chat_request(1));
  for (; record.status == RequestStatus::kRefused && refused < 10000; ++refused) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    record = ask(client, chat_request(1));
  }
  EXPECT_EQ(record.status, RequestStatus::kOk) << record.error;
  EXPECT_GT(refused, 0);
}

TEST(ClientFaults, AnotherServiceOnThePort) {
  const auto of = [](const char* identity) {
    FakeProcess engine(Json({{"start", {{"identity", identity}}}}));
    RequestSpec spec = chat_request();
    spec.deadlines.total = 1;
    return ask(engine.url(), spec);
  };
  const RequestRecord web = of("web");
  EXPECT_EQ(web.status, RequestStatus::kMalformed);
  EXPECT_NE(web.error.find("<!DOCTYPE html>"), std::string::npos) << web.error;
  const RequestRecord ssh = of("ssh");
  EXPECT_EQ(ssh.status, RequestStatus::kMalformed);
  EXPECT_NE(ssh.error.find("SSH-2.0"), std::string::npos) << ssh.error;
  EXPECT_EQ(of("silent").status, RequestStatus::kTimeout);
}

TEST(ClientFaults, AHostThatIsNone) {
  const RequestRecord record = ask("http://no-such-host.invalid:80", chat_request());
  EXPECT_EQ(record.status, RequestStatus::kRefused);
  EXPECT_NE(record.error.find("no-such-host.invalid"), std::string::npos) << record.error;
}

TEST(ClientFaults, StrictEnginesRefuseUnknownFields) {
  FakeProcess engine(Json({{"dialect", "trtllm"}}));
  RequestSpec spec = chat_request();
  spec.body.insert(1, "\"cache_prompt\":false,");
  const RequestRecord record = ask(engine.url(), spec);
  EXPECT_EQ(record.http_status, 400);
  EXPECT_NE(record.error.find("extra_forbidden"), std::string::npos) << record.error;
}

// All are open at one time: the engine answers none before the last one has come.
TEST(ClientLoad, HoldsAThousandStreams) {
  constexpr int kStreams = 1000;
  FakeProcess engine(
      Json({{"timing", {{"first_token_ms", 20}, {"interval_ms", 100}, {"gather", kStreams}}}}));
  Client client({.url = engine.url()});
  int ok = 0;
  int64_t tokens = 0;
  for (int i = 0; i < kStreams; ++i) {
    RequestSpec spec = chat_request(5, "question " + std::to_string(i));
    spec.deadlines.total = 300;
    client.submit(spec, [&](RequestRecord record) {
      ok += record.ok();
      tokens += record.completion_tokens;
      if (!record.ok()) ADD_FAILURE() << name(record.status) << ": " << record.error;
    });
  }
  client.run();
  EXPECT_EQ(ok, kStreams);
  EXPECT_EQ(tokens, 5 * kStreams);
  EXPECT_EQ(client.cost().connections, kStreams);
  const RequestRecord timeline = fetch({.url = engine.url()}, "GET", "/fake/timeline");
  const Json requests = Json::parse(timeline.body)["requests"];
  ASSERT_EQ(requests.size(), size_t{kStreams});
  for (const Json& request : requests) EXPECT_EQ(request["outcome"], "done");
}

}  // namespace
}  // namespace mica
