// What operators rely on: metrics, health, the watchdog, keys, ids, deadlines, an orderly end.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "http/test_app.h"

namespace mica::test {
namespace {

using std::chrono::milliseconds;

// The value of the sample whose line begins so, or -1.
double sample(const std::string& page, const std::string& begin) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(begin, 0) == 0) return std::strtod(line.c_str() + line.rfind(' '), nullptr);
  return -1;
}

std::optional<Reply> ask_with(uint16_t port, const std::string& method, const std::string& path,
                              const std::string& headers, const std::string& body = "") {
  Client client(port);
  client.request(method, path, body, headers);
  return client.reply();
}

const std::string kModel = "{model_name=\"org/fake-model\"";

TEST(Metrics, CountWhatWasAnswered) {
  TestApp app;
  app.make_ready();
  const Reply whole = app.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 5}});
  ASSERT_EQ(whole.status, 200);
  const Json usage = Json::parse(whole.body)["usage"];
  app.post("/v1/chat/completions", chat("x", {{"stream", true}, {"n", 2}}));
  app.post("/v1/completions", {{"prompt", ""}});
  app.get("/nowhere");
  std::string page;
  ASSERT_TRUE(eventually([&] {
    page = app.get("/metrics").body;
    return sample(page, "mica:http_requests_total" + kModel + ",route=\"none\",status=\"404\"") ==
           1;
  })) << page;
  EXPECT_EQ(sample(page, "mica:http_requests_total" + kModel +
                             ",route=\"/v1/completions\",status=\"200\""),
            1);
  EXPECT_EQ(sample(page, "mica:http_rejected_total" + kModel + ",reason=\"not_found\""), 1);
  EXPECT_EQ(sample(page, "vllm:e2e_request_latency_seconds_count" + kModel), 3);
  EXPECT_EQ(sample(page, "vllm:time_to_first_token_seconds_count" + kModel), 3);
  EXPECT_EQ(sample(page, "vllm:request_queue_time_seconds_count" + kModel), 3);
  const double generated = sample(page, "vllm:generation_tokens_total" + kModel);
  EXPECT_GE(generated, usage["completion_tokens"].get<double>() + 2);
  EXPECT_EQ(sample(page, "vllm:request_generation_tokens_sum" + kModel), generated);
  EXPECT_EQ(sample(page, "vllm:inter_token_latency_seconds_count" + kModel), generated - 3);
  const double ended =
      sample(page, "vllm:request_success_total" + kModel + ",finished_reason=\"stop\"") +
      sample(page, "vllm:request_success_total" + kModel + ",finished_reason=\"length\"");
  EXPECT_EQ(ended, 3);
  EXPECT_EQ(sample(page, "mica:engine_healthy" + kModel), 1);
  EXPECT_GT(sample(page, "mica:kv_blocks" + kModel), 0);
  EXPECT_GT(sample(page, "process_resident_memory_bytes"), 1e6);
  EXPECT_NE(page.find("mica:build_info" + kModel + ",version=\""), std::string::npos);
}

TEST(Metrics, OnlyAnEngineThatHasFailedIsNotHealthy) {
  AppOptions options;
  options.http.port = 0;
  App unloaded(options);
  ModelSpec spec;
  spec.id = "org/fake-model";
  spec.load = [] { return nullptr; };
  unloaded.models().add(std::move(spec));
  unloaded.set_ready();
  EXPECT_EQ(sample(ask(unloaded.port(), "GET", "/metrics").body, "mica:engine_healthy" + kModel),
            1);

  TestApp app;
  app.make_ready();
  app.model->on_forward = [](auto) { throw Error(ErrorKind::kDevice, "[test] it is lost"); };
  ASSERT_TRUE(eventually([&] {
    app.post("/v1/completions", {{"prompt", "abc"}});
    return !app.engine->healthy();
  }));
  EXPECT_EQ(sample(app.get("/metrics").body, "mica:engine_healthy" + kModel), 0);
}

TEST(Metrics, AnswersThatClientsLeaveAreAborted) {
  TestApp app;
  app.make_ready();
  app.hold();
  {
    Client client(app.port());
    client.request("POST", "/v1/chat/completions", chat("x", {{"stream", true}}).dump());
    ASSERT_TRUE(eventually([&] { return app.engine->stats().running == 1; }));
  }
  EXPECT_TRUE(eventually(
      [&] { return app.app->metrics().ended[static_cast<size_t>(AnswerEnd::kAbort)] == 1; }));
  app.open();
  EXPECT_TRUE(eventually([&] {
    return sample(app.get("/metrics").body, "mica:http_requests_total" + kModel +
                                                ",route=\"/v1/chat/completions\",status=\"0\"") ==
           1;
  }));
}

// Each family has its head once, before its samples; buckets rise and end with +Inf.
TEST(Metrics, PageIsWellFormed) {
  TestApp app;
  app.make_ready();
  app.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 5}});
  const Reply reply = app.get("/metrics");
  EXPECT_EQ(reply.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  std::istringstream lines(reply.body);
  std::string family, bucket_of;
  double last = 0;
  std::vector<std::string> seen;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# HELP ", 0) == 0) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_EQ(std::count(seen.begin(), seen.end(), family), 0) << family;
      seen.push_back(family);
      ASSERT_TRUE(std::getline(lines, line));
      EXPECT_EQ(line.rfind("# TYPE " + family + " ", 0), 0U) << line;
      continue;
    }
    EXPECT_EQ(line.rfind(family, 0), 0U) << line;
    if (line.rfind(family + "_bucket", 0) != 0) continue;
    const double value = std::strtod(line.c_str() + line.rfind(' '), nullptr);
    EXPECT_GE(value, bucket_of == family ? last : 0) << line;
    bucket_of = family;
    last = value;
    if (line.find("le=\"+Inf\"") == std::string::npos) continue;
    EXPECT_EQ(value, sample(reply.body, family + "_count")) << line;
  }
  EXPECT_GT(seen.size(), 30U);
}

TEST(Health, TellsOfEngineAndWatchdog) {
  TestApp app;
  app.make_ready();
  app.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 2}});
  for (const char* path : {"/health", "/v1/health"}) {
    const Reply reply = app.get(path);
    ASSERT_EQ(reply.status, 200);
    const Json health = Json::parse(reply.body);
    EXPECT_EQ(health["status"], "ok");
    EXPECT_GE(health["engine"]["steps"].get<int>(), 2);
    EXPECT_GE(health["engine"]["last_step_age_seconds"].get<double>(), 0);
    EXPECT_EQ(health["watchdog"]["stuck"], false);
    EXPECT_EQ(health["watchdog"]["timeout_seconds"], 300);
  }
  EXPECT_FALSE(Json::parse(app.get("/version").body)["version"].get<std::string>().empty());
}

TEST(Health, GeneratesAToken) {
  TestApp app;
  EXPECT_EQ(app.get("/health?generate=1").status, 503);  // still loading
  app.make_ready();
  const uint64_t before = app.engine->stats().generated_tokens;
  const Reply reply = app.get("/health?x=2&generate=1");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(Json::parse(reply.body)["generated"], true);
  EXPECT_EQ(app.engine->stats().generated_tokens, before + 1);
}

TEST(Health, SaysThatNoTokenComes) {
  AppOptions options;
  options.health_timeout = milliseconds(300);
  TestApp app(options);
  app.make_ready();
  app.hold();
  // Both wait for the same token.
  Client first(app.port()), second(app.port());
  for (Client* client : {&first, &second}) client->request("GET", "/health?generate=1");
  for (Client* client : {&first, &second}) {
    const auto reply = client->reply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 503);
    EXPECT_EQ(Json::parse(reply->body)["reason"], "no token within 0.3 seconds");
  }
  const EngineStats stats = app.engine->stats();
  EXPECT_EQ(stats.running + stats.waiting, 1);
  app.open();
  EXPECT_TRUE(eventually([&] { return app.get("/health?generate=1").status == 200; }));
}

TEST(Health, AFullQueueIsNoFault) {
  EngineOptions engine = TestApp::default_engine();
  engine.max_queue = 1;
  engine.max_batch_sequences = 1;
  TestApp app(engine);
  app.make_ready();
  app.model->on_forward = [](auto) { std::this_thread::sleep_for(milliseconds(20)); };
  Client running(app.port()), waiting(app.port());
  running.request("POST", "/v1/completions",
                  Json{{"prompt", "ab"}, {"max_tokens", 400}, {"stream", true}}.dump());
  ASSERT_TRUE(eventually([&] { return app.engine->stats().running == 1; }));
  waiting.request("POST", "/v1/completions", Json{{"prompt", "ab"}, {"max_tokens", 400}}.dump());
  ASSERT_TRUE(eventually([&] { return app.engine->stats().waiting == 1; }));
  const Reply reply = app.get("/health?generate=1");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(Json::parse(reply.body)["generated"], false);
  EXPECT_EQ(Json::parse(reply.body)["reason"], "the queue is full");
}

TEST(Admin, ForgetsThePrefixCache) {
  AppOptions options;
  options.keys.add("k");
  TestApp app(options);
  app.make_ready();
  const std::string body = Json{{"prompt", std::string(200, 'a')}, {"max_tokens", 2}}.dump();
  const auto cached = [&] {
    const auto reply = ask_with(app.port(), "POST", "/v1/completions", "x-api-key: k\r\n", body);
    return Json::parse(reply->body)["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  EXPECT_EQ(cached(), 0);
  EXPECT_GT(cached(), 0);
  EXPECT_EQ(ask(app.port(), "POST", "/reset_prefix_cache").status, 401);
  EXPECT_EQ(ask_with(app.port(), "POST", "/reset_prefix_cache", "x-api-key: k\r\n")->status, 200);
  EXPECT_EQ(cached(), 0);
}

TEST(WatchdogTest, EndsWhatIsStuckAndRecovers) {
  AppOptions options;
  options.watchdog_timeout = milliseconds(400);
  TestApp app(options);
  app.make_ready();
  app.hold();
  Client whole(app.port()), stream(app.port());
  whole.request("POST", "/v1/completions", Json{{"prompt", "ab"}, {"max_tokens", 4}}.dump());
  stream.request("POST", "/v1/completions",
                 Json{{"prompt", "ab"}, {"max_tokens", 4}, {"stream", true}}.dump());
  for (Client* client : {&whole, &stream}) {
    const auto reply = client->reply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 503);
    EXPECT_EQ(Json::parse(reply->body)["error"]["code"], "engine_stuck");
  }
  const Reply health = app.get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(Json::parse(health.body)["status"], "stuck");
  EXPECT_EQ(app.post("/v1/completions", {{"prompt", "x"}}).status, 503);
  EXPECT_EQ(sample(app.get("/metrics").body, "mica:engine_stuck" + kModel), 1);
  app.open();
  EXPECT_TRUE(eventually([&] { return app.get("/health").status == 200; }));
  EXPECT_EQ(app.post("/v1/completions", {{"prompt", "x"}}).status, 200);
  EXPECT_EQ(sample(app.get("/metrics").body, "mica:engine_stuck_total" + kModel), 1);
}

TEST(Keys, ProtectWhatCostsAndLeaveHealthOpen) {
  AppOptions options;
  options.keys.add("sk-first");
  options.keys.add("sk-second");
  TestApp app(options);
  app.make_ready();
  const std::string body = chat("x").dump();
  const auto status = [&](const std::string& headers) {
    return ask_with(app.port(), "POST", "/v1/chat/completions", headers, body)->status;
  };
  const auto refused = ask_with(app.port(), "POST", "/v1/chat/completions", "", body);
  EXPECT_EQ(refused->status, 401);
  EXPECT_EQ(refused->header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(Json::parse(refused->body)["error"]["code"], "invalid_api_key");
  EXPECT_EQ(status("Authorization: Bearer sk-first\r\n"), 200);
  EXPECT_EQ(status("authorization: bearer sk-second\r\n"), 200);
  EXPECT_EQ(status("X-Api-Key: sk-second\r\n"), 200);
  for (const char* wrong :
       {"Authorization: Bearer sk-firs\r\n", "Authorization: Bearer sk-first2\r\n",
        "Authorization: sk-first\r\n", "Authorization: Bearer \r\n", "x-api-key: \r\n",
        "x-api-key: sk-third\r\n", "Authorization: Basic sk-first\r\n"})
    EXPECT_EQ(status(wrong), 401) << wrong;
  for (const char* open : {"/health", "/v1/health", "/version", "/v1/models"})
    EXPECT_EQ(app.get(open).status, 200) << open;
  EXPECT_EQ(app.get("/metrics").status, 401);
  EXPECT_EQ(ask_with(app.port(), "GET", "/metrics", "x-api-key: sk-first\r\n")->status, 200);
  EXPECT_EQ(ask(app.port(), "OPTIONS", "/v1/chat/completions").status, 204);
}

TEST(Keys, MetricsMayBePublic) {
  AppOptions options;
  options.keys.add("k");
  options.metrics_public = true;
  TestApp app(options);
  app.make_ready();
  EXPECT_EQ(app.get("/metrics").status, 200);
}

TEST(Keys, FilesHaveOneALine) {
  const std::string path = ::testing::TempDir() + "mica_keys";
  std::ofstream(path) << "# team a\n key-a \r\n\nkey-b";
  ApiKeys keys;
  keys.add_file(path);
  EXPECT_TRUE(keys.allow("key-a"));
  EXPECT_TRUE(keys.allow("key-b"));
  EXPECT_FALSE(keys.allow("# team a"));
  EXPECT_FALSE(keys.allow(""));
  std::ofstream(path) << "# nothing\n";
  EXPECT_THROW(keys.add_file(path), Error);
  EXPECT_THROW(keys.add_file(path + ".absent"), Error);
  EXPECT_THROW(keys.add("  "), Error);
  EXPECT_THROW(keys.add("two words"), Error);
  std::remove(path.c_str());
}

TEST(RequestIds, AreTheClientsOrMade) {
  TestApp app;
  app.make_ready();
  const auto mine = ask_with(app.port(), "GET", "/health", "X-Request-Id: trace-7.a\r\n");
  EXPECT_EQ(mine->header("X-Request-Id"), "trace-7.a");
  const auto hostile = ask_with(app.port(), "GET", "/health", "X-Request-Id: a b<script>\r\n");
  EXPECT_EQ(hostile->header("X-Request-Id").rfind("req-", 0), 0U);
  const std::string one = app.get("/nowhere").header("X-Request-Id");
  EXPECT_EQ(one.size(), 36U);
  EXPECT_NE(one, app.get("/nowhere").header("X-Request-Id"));
  const auto stream = ask_with(app.port(), "POST", "/v1/chat/completions", "X-Request-Id: s-1\r\n",
                               chat("x", {{"stream", true}}).dump());
  EXPECT_EQ(stream->header("X-Request-Id"), "s-1");
  Client broken(app.port());
  broken.send("nonsense\r\n\r\n");
  EXPECT_FALSE(broken.reply()->header("X-Request-Id").empty());
}

TEST(Deadlines, ClientsMayAskForLess) {
  RequestDefaults defaults;
  defaults.timeout = std::chrono::hours(1);
  TestApp app(TestApp::default_engine(), defaults);
  app.make_ready();
  app.model->on_forward = [](auto) { std::this_thread::sleep_for(milliseconds(20)); };
  const std::string body = Json{{"prompt", "ab"}, {"max_tokens", 1000}}.dump();
  const auto late =
      ask_with(app.port(), "POST", "/v1/completions", "X-Request-Timeout: 0.2\r\n", body);
  EXPECT_EQ(late->status, 504);
  EXPECT_NE(late->body.find("longer than 0.2 seconds"), std::string::npos) << late->body;
  for (const char* wrong : {"soon", "-1", "0", "nan", "1e99"}) {
    const auto reply = ask_with(app.port(), "POST", "/v1/completions",
                                std::string("X-Request-Timeout: ") + wrong + "\r\n", body);
    EXPECT_EQ(reply->status, 400) << wrong;
  }
  EXPECT_TRUE(app.engine_is_idle());
}

TEST(Cors, PreflightNamesWhatClientsSend) {
  AppOptions options;
  options.http.allowed_origins = "https://a.example, https://b.example";
  options.keys.add("k");
  TestApp app(options);
  const auto preflight = ask_with(app.port(), "OPTIONS", "/v1/chat/completions",
                                  "Origin: https://b.example\r\n"
                                  "Access-Control-Request-Method: POST\r\n");
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(preflight->header("Access-Control-Allow-Origin"), "https://b.example");
  const std::string headers = preflight->header("Access-Control-Allow-Headers");
  for (const char* name : {"Authorization", "Content-Type", "X-Api-Key", "X-Request-Id"})
    EXPECT_NE(headers.find(name), std::string::npos) << name;
  const auto other = ask_with(app.port(), "GET", "/health", "Origin: https://c.example\r\n");
  EXPECT_EQ(other->header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(other->header("Vary"), "Origin");
}

TEST(Limits, AreOptions) {
  AppOptions options;
  options.http.max_body_bytes = 1000;
  options.http.max_header_bytes = 500;
  options.http.max_connections = 2;
  TestApp app(options);
  app.make_ready();
  const auto large = ask_with(app.port(), "POST", "/v1/completions", "", std::string(1001, 'x'));
  EXPECT_EQ(large->status, 413);
  const auto wide =
      ask_with(app.port(), "GET", "/health", "X-Long: " + std::string(600, 'x') + "\r\n");
  EXPECT_EQ(wide->status, 431);
  ASSERT_TRUE(eventually([&] { return app.app->connections() == 0; }));
  Client first(app.port()), second(app.port());
  for (Client* client : {&first, &second}) {
    client->request("GET", "/health");
    EXPECT_EQ(client->reply()->status, 200);
  }
  Client third(app.port());
  EXPECT_EQ(third.reply()->status, 503);
  first.request("GET", "/metrics");
  const std::string page = first.reply()->body;
  EXPECT_EQ(sample(page, "mica:http_rejected_total" + kModel + ",reason=\"too_many_connections\""),
            1);
  EXPECT_EQ(sample(page, "mica:http_rejected_total" + kModel + ",reason=\"body_too_large\""), 1);
}

// A request that was accepted is answered, also if the server ends before a worker came to it.
TEST(Draining, LosesNoAcceptedRequest) {
  TestApp app;
  app.make_ready();
  app.hold();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<Client>(app.port()));
    clients.back()->request("POST", "/v1/completions",
                            Json{{"prompt", "ab"}, {"max_tokens", 4}}.dump());
  }
  // One whose body is still on its way is told, not cut off.
  Client slow(app.port());
  slow.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"prom");
  ASSERT_TRUE(eventually([&] { return app.app->active_requests() == 41; }));
  app.app->drain();
  app.open();
  for (auto& client : clients) {
    const auto reply = client->reply();
    ASSERT_TRUE(reply && reply->complete);
    EXPECT_EQ(reply->status, 200) << reply->body;
    EXPECT_EQ(reply->header("Connection"), "close");
  }
  EXPECT_TRUE(eventually([&] { return app.app->active_requests() == 1; }));
  slow.send("pt\": \"a\"     }");
  const auto reply = slow.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(Json::parse(reply->body)["error"]["code"], "shutting_down");
  EXPECT_TRUE(eventually([&] { return app.app->active_requests() == 0; }));
}

}  // namespace
}  // namespace mica::test
