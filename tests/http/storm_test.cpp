// Ten thousand requests of every kind at once: good ones, clients that leave in each state, slow
// readers, bodies that are too large, cut or wrong, and an engine that fails now and then. Every
// request that waits for its answer gets the right one, and nothing is left behind.
#include <array>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <random>
#include <thread>

#include "http/test_app.h"

namespace mica::test {
namespace {

constexpr int kRequests = 10000;
constexpr int kClients = 24;

enum class Kind {
  kWhole,
  kStream,
  kSlowReader,
  kLeavesInTheHead,
  kLeavesInTheBody,
  kLeavesUnanswered,
  kLeavesInTheStream,
  kOversized,
  kCutJson,
  kWrongField,
  kNoRoute,
  kWrongMethod,
  kKinds
};

// About 30 % of the requests are left by their clients.
Kind kind_of(std::mt19937& generator) {
  static constexpr std::array<std::pair<Kind, int>, static_cast<size_t>(Kind::kKinds)> kShares = {{
      {Kind::kWhole, 26},
      {Kind::kStream, 22},
      {Kind::kSlowReader, 1},
      {Kind::kLeavesInTheHead, 4},
      {Kind::kLeavesInTheBody, 6},
      {Kind::kLeavesUnanswered, 10},
      {Kind::kLeavesInTheStream, 10},
      {Kind::kOversized, 3},
      {Kind::kCutJson, 6},
      {Kind::kWrongField, 6},
      {Kind::kNoRoute, 3},
      {Kind::kWrongMethod, 3},
  }};
  int roll = static_cast<int>(generator() % 100);
  for (const auto& [kind, share] : kShares)
    if ((roll -= share) < 0) return kind;
  return Kind::kWhole;
}

size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

class Storm : public testing::Test {
 protected:
  // One client's requests, one after the other.
  void run(uint32_t seed, int requests) {
    std::mt19937 generator(seed);
    for (int i = 0; i < requests; ++i) {
      const Kind kind = kind_of(generator);
      const std::string user = "question " + std::to_string(generator() % 50);
      play(kind, user, 1 + static_cast<int32_t>(generator() % 24));
      ++played_[static_cast<size_t>(kind)];
    }
  }

  void play(Kind kind, const std::string& user, int32_t max_tokens) {
    const std::string path = "/v1/chat/completions";
    const Json body = chat(user, {{"max_tokens", max_tokens}});
    const Json stream = chat(user, {{"max_tokens", max_tokens}, {"stream", true}});
    Client client(app_.port());
    switch (kind) {
      case Kind::kWhole:
        client.request("POST", path, body.dump());
        return expect_whole(client.reply(), user, max_tokens);
      case Kind::kStream:
        client.request("POST", path, stream.dump());
        return expect_stream(client.reply(), user, max_tokens);
      case Kind::kSlowReader:
        client.request("POST", path, stream.dump());
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return expect_stream(client.reply(), user, max_tokens);
      case Kind::kLeavesInTheHead: return client.send("POST /v1/chat/compl");
      case Kind::kLeavesInTheBody:
        return client.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 999\r\n\r\n{");
      case Kind::kLeavesUnanswered: return client.request("POST", path, body.dump());
      case Kind::kLeavesInTheStream:
        client.request("POST", path, chat(user, {{"max_tokens", 500}, {"stream", true}}).dump());
        // The head comes with the first text.
        if (!client.read_until("\r\n\r\n")) note("no head of a stream");
        return;
      case Kind::kOversized:
        client.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n");
        return expect_status(client.reply(), 413);
      case Kind::kCutJson:
        client.request("POST", path, body.dump().substr(0, body.dump().size() - 2));
        return expect_status(client.reply(), 400);
      case Kind::kWrongField:
        client.request("POST", path, chat(user, {{"temperature", -1}}).dump());
        return expect_status(client.reply(), 400);
      case Kind::kNoRoute:
        client.request("POST", "/v1/nothing", body.dump());
        return expect_status(client.reply(), 404);
      case Kind::kWrongMethod:
        client.request("GET", path);
        return expect_status(client.reply(), 405);
      case Kind::kKinds: break;
    }
  }

  void expect_status(const std::optional<Reply>& reply, int status) {
    const int found = reply ? reply->status : 0;
    if (found != status) note(fmt::format("status {} in place of {}", found, status));
  }

  void expect_whole(const std::optional<Reply>& reply, const std::string& user,
                    int32_t max_tokens) {
    if (!reply || !reply->complete) return note("no whole answer to a whole request");
    if (reply->status == 500) return count_failed();
    if (reply->status != 200) return note("status " + std::to_string(reply->status));
    const Json answer = Json::parse(reply->body);
    const std::string text = answer["choices"][0]["message"]["content"].is_null()
                                 ? ""
                                 : answer["choices"][0]["message"]["content"].get<std::string>();
    if (text != app_.expected_text(app_.chat_prompt(user), max_tokens)) note("another text");
  }

  void expect_stream(const std::optional<Reply>& reply, const std::string& user,
                     int32_t max_tokens) {
    if (!reply) return note("no answer to a stream");
    if (reply->status == 500) return count_failed();
    if (reply->status != 200) return note("status " + std::to_string(reply->status));
    std::string text;
    for (const std::string& event : reply->events()) {
      if (event == "[DONE]") continue;
      const Json chunk = Json::parse(event);
      if (chunk.contains("error")) return count_failed();
      for (const Json& choice : chunk["choices"])
        if (choice["delta"].contains("content") && choice["delta"]["content"].is_string())
          text += choice["delta"]["content"].get<std::string>();
    }
    if (!reply->complete) return note("a stream without its end");
    if (text != app_.expected_text(app_.chat_prompt(user), max_tokens)) note("another text");
  }

  void note(const std::string& problem) {
    const std::lock_guard lock(mutex_);
    if (problems_.size() < 20) problems_.push_back(problem);
  }
  void count_failed() { ++failed_; }

  TestApp app_;
  std::mutex mutex_;
  std::vector<std::string> problems_;
  std::atomic<int> failed_{0};
  std::array<std::atomic<int>, static_cast<size_t>(Kind::kKinds)> played_{};
};

TEST_F(Storm, EveryRequestGetsItsAnswerAndNothingIsLeft) {
  std::atomic<uint32_t> calls{0};
  std::atomic<int> thrown{0};
  app_.model->after_append = [&](auto) {
    if (++calls % 997 != 0) return;
    ++thrown;
    throw std::runtime_error("injected");
  };
  app_.make_ready();
  const size_t files = open_files();
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back(
        [this, i] { run(static_cast<uint32_t>(i) + 1, (kRequests + kClients - 1) / kClients); });
  for (std::thread& client : clients) client.join();

  EXPECT_EQ(problems_, std::vector<std::string>());
  for (const auto& count : played_) EXPECT_GT(count.load(), 20);
  EXPECT_GT(thrown.load(), 0);
  // Only the requests of a failed step fail.
  ASSERT_TRUE(app_.engine_is_idle());
  const EngineStats stats = app_.engine->stats();
  EXPECT_LE(failed_.load(), static_cast<int>(stats.failed));
  EXPECT_LE(stats.failed, static_cast<uint64_t>(thrown.load()) * 32);
  EXPECT_TRUE(app_.engine->healthy());
  EXPECT_EQ(stats.blocks_used, 0);
  EXPECT_TRUE(eventually([&] { return app_.app->connections() == 0; }));
  EXPECT_EQ(app_.app->active_requests(), 0u);
  EXPECT_LE(open_files(), files + 1);
  // And it still answers.
  EXPECT_EQ(app_.post("/v1/chat/completions", chat("still there?")).status, 200);
}

}  // namespace
}  // namespace mica::test
