// What holds whatever clients and the engine do: states, limits, disconnects, faults, the end.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "http/test_app.h"

namespace mica::test {
namespace {

using std::chrono::milliseconds;

std::string post_text(const std::string& path, const Json& body, const char* headers = "") {
  const std::string text = body.dump();
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(text.size()) +
         "\r\n" + headers + "\r\n" + text;
}

TEST(Server, SaysThatItLoads) {
  TestApp app;
  const Reply health = app.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(Json::parse(health.body)["status"], "loading");
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const Reply reply = app.post(path, chat("x"));
    EXPECT_EQ(reply.status, 503);
    EXPECT_FALSE(reply.header("Retry-After").empty());
    EXPECT_EQ(Json::parse(reply.body)["error"]["type"], "server_error");
  }
  EXPECT_EQ(app.get("/v1/models").status, 503);
  app.make_ready();
  const Json ready = Json::parse(app.get("/health").body);
  EXPECT_EQ(ready["status"], "ok");
  EXPECT_EQ(ready["device"], "fake: fake");
  EXPECT_EQ(ready["model"], "org/fake-model");
}

TEST(Server, SaysWhyItFailed) {
  TestApp app;
  app.app->set_failed("no such checkpoint");
  const Reply health = app.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(Json::parse(health.body)["status"], "error");
  EXPECT_EQ(Json::parse(health.body)["reason"], "no such checkpoint");
}

TEST(Server, RoutesAndMethods) {
  TestApp app;
  app.make_ready();
  EXPECT_EQ(app.get("/nowhere").status, 404);
  EXPECT_TRUE(Json::parse(app.get("/nowhere").body)["error"]["message"].is_string());
  const Reply wrong = app.get("/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "POST, OPTIONS");
  const Reply options = ask(app.port(), "OPTIONS", "/v1/chat/completions");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.header("Access-Control-Allow-Origin"), "*");
  const Reply head = ask(app.port(), "HEAD", "/health");
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.header("Content-Length"), "0");
  EXPECT_EQ(app.get("/health?x=1").status, 200);
}

TEST(Server, ConnectionsAreKeptAndMayPipeline) {
  TestApp app;
  app.make_ready();
  Client client(app.port());
  for (int i = 0; i < 3; ++i) {
    client.request("POST", "/v1/chat/completions", chat("k", {{"stream", i == 1}}).dump());
    const auto reply = client.reply();
    ASSERT_TRUE(reply && reply->complete);
    EXPECT_EQ(reply->status, 200);
  }
  std::string two;
  for (int i = 0; i < 2; ++i) two += post_text("/v1/chat/completions", chat("p"));
  client.send(two);
  for (int i = 0; i < 2; ++i) {
    const auto reply = client.reply();
    ASSERT_TRUE(reply && reply->complete);
    EXPECT_EQ(reply->status, 200);
  }
}

TEST(Server, OldProtocolAndExpectations) {
  TestApp app;
  app.make_ready();
  const std::string body = chat("old", {{"stream", true}}).dump();
  Client old(app.port());
  old.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body);
  const auto reply = old.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header("Transfer-Encoding"), "");
  EXPECT_EQ(reply->events().back(), "[DONE]");

  Client careful(app.port());
  careful.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  ASSERT_TRUE(careful.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  careful.send(body);
  EXPECT_EQ(careful.reply()->status, 100);
  EXPECT_EQ(careful.reply()->events().back(), "[DONE]");
}

TEST(Server, MalformedHttpIsRefused) {
  TestApp app;
  app.make_ready();
  const std::pair<std::string, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET  HTTP/1.1\r\n\r\n", 400},
      {"GET nopath HTTP/1.1\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"POST /v1/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
      {"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413},
      {"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"GET / HTTP/1.1\r\nX: " + std::string(70000, 'a') + "\r\n\r\n", 431},
      {"POST /v1/completions HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
       415},
  };
  for (const auto& [bytes, status] : cases) {
    Client client(app.port());
    client.send(bytes);
    const auto reply = client.reply();
    ASSERT_TRUE(reply) << bytes.substr(0, 60);
    EXPECT_EQ(reply->status, status) << bytes.substr(0, 60);
    EXPECT_TRUE(Json::parse(reply->body).contains("error"));
  }
  EXPECT_EQ(app.get("/health").status, 200);
}

TEST(Server, DisconnectEndsTheWork) {
  for (const bool stream : {false, true}) {
    TestApp app;
    app.make_ready();
    app.hold();
    Client client(app.port());
    client.request("POST", "/v1/chat/completions",
                   chat("gone", {{"stream", stream}, {"max_tokens", 1500}, {"ignored", 1}}).dump());
    ASSERT_TRUE(eventually([&] { return app.engine->stats().requests == 1; }));
    ASSERT_TRUE(eventually([&] { return app.app->active_requests() == 1; }));
    client.close();
    EXPECT_TRUE(eventually([&] { return app.app->active_requests() == 0; }));
    app.open();
    EXPECT_TRUE(app.engine_is_idle());
    EXPECT_EQ(app.engine->stats().cancelled, 1u);
    EXPECT_LE(app.engine->stats().generated_tokens, 2u);
    EXPECT_TRUE(eventually([&] { return app.app->connections() == 0; }));
  }
}

TEST(Server, HalfAnswerIsNotLostByTheNextRequest) {
  // The client sends its next request before the answer is there: no disconnect.
  TestApp app;
  app.make_ready();
  app.hold();
  Client client(app.port());
  client.send(post_text("/v1/chat/completions", chat("1")));
  ASSERT_TRUE(eventually([&] { return app.engine->stats().requests == 1; }));
  client.send(post_text("/v1/chat/completions", chat("2")));
  app.open();
  for (const char* user : {"1", "2"})
    EXPECT_EQ(Json::parse(client.reply()->body)["choices"][0]["message"]["content"],
              app.expected_text(app.chat_prompt(user), 8));
}

TEST(Server, FullQueueIsSaidAtOnce) {
  EngineOptions options = TestApp::default_engine();
  options.max_batch_sequences = 1;
  options.max_queue = 1;
  TestApp app(options);
  app.make_ready();
  app.hold();
  Client first(app.port()), second(app.port());
  first.request("POST", "/v1/chat/completions", chat("1").dump());
  ASSERT_TRUE(eventually([&] { return app.engine->stats().running == 1; }));
  second.request("POST", "/v1/chat/completions", chat("2").dump());
  ASSERT_TRUE(eventually([&] { return app.app->active_requests() == 2; }));
  ASSERT_TRUE(eventually([&] { return app.engine->stats().waiting == 1; }));
  for (const bool stream : {false, true}) {
    const Reply reply = app.post("/v1/chat/completions", chat("3", {{"stream", stream}}));
    EXPECT_EQ(reply.status, 429);
    EXPECT_FALSE(reply.header("Retry-After").empty());
    EXPECT_EQ(Json::parse(reply.body)["error"]["type"], "rate_limit_error");
  }
  app.open();
  EXPECT_EQ(first.reply()->status, 200);
  EXPECT_EQ(second.reply()->status, 200);
}

TEST(Server, LateRequestsEnd) {
  RequestDefaults defaults;
  defaults.timeout = milliseconds(200);
  TestApp app(TestApp::default_engine(), defaults);
  app.make_ready();
  app.model->after_append = [](auto) { std::this_thread::sleep_for(milliseconds(20)); };
  const Reply reply = app.post("/v1/chat/completions", chat("slow", {{"max_tokens", 1500}}));
  EXPECT_EQ(reply.status, 504);
  const Reply stream =
      app.post("/v1/chat/completions", chat("slow", {{"max_tokens", 1500}, {"stream", true}}));
  EXPECT_EQ(stream.status, 200);
  EXPECT_FALSE(stream.complete);
  EXPECT_EQ(Json::parse(stream.events().back())["error"]["type"], "timeout_error");
}

TEST(Server, StuckEngineDoesNotKeepRequests) {
  RequestDefaults defaults;
  defaults.timeout = milliseconds(100);
  TestApp app(TestApp::default_engine(), defaults);
  app.make_ready();
  app.hold();
  EXPECT_EQ(app.post("/v1/chat/completions", chat("x")).status, 504);
  app.open();
  EXPECT_TRUE(app.engine_is_idle());
}

TEST(Server, FaultsOfTheEngineReachEveryRequest) {
  TestApp app;
  app.make_ready();
  std::atomic<int> steps{0};
  app.model->after_append = [&](auto) {
    if (++steps > 5) throw std::runtime_error("the device is gone");
  };
  const Reply stream =
      app.post("/v1/chat/completions", chat("x", {{"max_tokens", 500}, {"stream", true}}));
  // A status when the fault is seen before the first text is out, else an event in its place.
  EXPECT_TRUE(stream.status == 500 || (stream.status == 200 && !stream.complete)) << stream.head;
  EXPECT_NE(stream.body.find("the device is gone"), std::string::npos);
  EXPECT_EQ(stream.body.find("[DONE]"), std::string::npos);
  ASSERT_TRUE(eventually([&] {
    (void)app.post("/v1/chat/completions", chat("y"));
    return !app.engine->healthy();
  }));
  const Reply after = app.post("/v1/chat/completions", chat("z"));
  EXPECT_EQ(after.status, 503);
  const Reply health = app.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(Json::parse(health.body)["status"], "error");
}

TEST(Server, SlowReadersAreBounded) {
  TestApp app;
  app.make_ready();
  Client client(app.port());
  // Each token is worth some kilobytes: far more than the socket and the buffer hold.
  client.request("POST", "/v1/chat/completions",
                 chat("slow", {{"max_tokens", 2000},
                               {"stream", true},
                               {"logprobs", true},
                               {"top_logprobs", 20},
                               {"n", 16}})
                     .dump());
  ASSERT_TRUE(eventually([&] { return app.engine->stats().requests == 16; }));
  EXPECT_TRUE(app.engine_is_idle());
  EXPECT_EQ(app.get("/health").status, 200);
  client.close();
  EXPECT_TRUE(eventually([&] { return app.app->active_requests() == 0; }));
}

TEST(Server, QuietStreamsShowThatTheyLive) {
  TestApp app;
  app.make_ready();
  app.hold();
  Client client(app.port());
  client.request("POST", "/v1/chat/completions", chat("wait", {{"stream", true}}).dump());
  EXPECT_TRUE(client.read_until(": keepalive\n\n"));
  app.open();
  EXPECT_EQ(client.reply()->events().back(), "[DONE]");
}

TEST(Server, EndingLetsRunningRequestsFinish) {
  TestApp app;
  app.make_ready();
  app.hold();
  Client running(app.port()), idle(app.port());
  idle.request("GET", "/health");
  ASSERT_EQ(idle.reply()->status, 200);
  running.request("POST", "/v1/chat/completions", chat("last").dump());
  ASSERT_TRUE(eventually([&] { return app.engine->stats().requests == 1; }));
  app.app->drain();
  EXPECT_TRUE(idle.at_end());
  EXPECT_TRUE(eventually([&] {
    try {
      return Client(app.port()).at_end();
    } catch (const std::runtime_error&) {
      return true;  // refused
    }
  }));
  app.open();
  const auto reply = running.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->header("Connection"), "close");
}

TEST(Server, StopEndsWhatRuns) {
  TestApp app;
  app.make_ready();
  app.hold();
  Client client(app.port());
  client.request("POST", "/v1/chat/completions", chat("x", {{"stream", true}}).dump());
  ASSERT_TRUE(eventually([&] { return app.engine->stats().requests == 1; }));
  app.app->stop();
  EXPECT_TRUE(client.at_end());
}

TEST(Server, PortInUseIsTheUsersError) {
  TestApp app;
  AppOptions options;
  options.http.port = app.port();
  try {
    App second(options);
    FAIL() << "two servers on one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("--port"), std::string::npos);
  }
}

TEST(Server, ManyAtOnceAllAnswered) {
  TestApp app;
  app.make_ready();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i)
    threads.emplace_back([&, i] {
      const std::string user = "user " + std::to_string(i);
      const Reply reply = app.post("/v1/chat/completions", chat(user, {{"max_tokens", 30}}));
      if (reply.status == 200 && Json::parse(reply.body)["choices"][0]["message"]["content"] ==
                                     app.expected_text(app.chat_prompt(user), 30))
        ++right;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 32);
}

// Of this process: a line of /proc/self/status.
int64_t status_of(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (word == key + ":") {
      int64_t value = 0;
      file >> value;
      return value;
    }
  return 0;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

TEST(Server, HoldsAThousandStreams) {
  constexpr size_t kStreams = 1000;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 2 * kStreams + 100) GTEST_SKIP() << "too few file descriptors";
  EngineOptions options = TestApp::default_engine();
  options.max_batch_sequences = kStreams;
  options.max_queue = kStreams;
  options.max_context = 256;
  TestApp app(options);
  app.make_ready();
  app.hold();
  const int64_t memory = status_of("VmRSS"), threads = status_of("Threads");
  std::vector<Client> clients;
  for (size_t i = 0; i < kStreams; ++i) {
    clients.emplace_back(app.port());
    clients.back().patience = milliseconds(120000);
    clients.back().request(
        "POST", "/v1/chat/completions",
        chat("stream " + std::to_string(i), {{"stream", true}, {"max_tokens", 20}}).dump());
  }
  const auto in_engine = [&] {
    const EngineStats stats = app.engine->stats();
    return static_cast<size_t>(stats.running + stats.waiting);
  };
  ASSERT_TRUE(eventually([&] { return in_engine() >= kStreams; }));
  EXPECT_EQ(app.app->active_requests(), kStreams);
  EXPECT_EQ(status_of("Threads"), threads);  // none per connection
  const int64_t held = status_of("VmRSS") - memory;
  EXPECT_LT(held, 200 * 1024);  // kB
  const double before = cpu_seconds();
  app.open();
  size_t whole = 0, tokens = 0;
  for (Client& client : clients) {
    const auto reply = client.reply();
    if (reply && reply->complete && reply->events().back() == "[DONE]") ++whole;
  }
  tokens = app.engine->stats().generated_tokens;
  EXPECT_EQ(whole, kStreams);
  std::printf("1,000 streams: %.1f MB more, %lld threads in all, %.1f us of CPU a token, all in\n",
              static_cast<double>(held) / 1024, static_cast<long long>(threads),
              (cpu_seconds() - before) * 1e6 / static_cast<double>(tokens));
}

}  // namespace
}  // namespace mica::test
