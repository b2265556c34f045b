// A server in this process over the fake model: 260 tokens, one per byte and four special ones.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/prompt_scorer.h"
#include "http/http_client.h"
#include "http/test_text.h"
#include "server/app.h"

namespace mica::test {

using Json = nlohmann::ordered_json;

// Waits for it; false after 20 s.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

struct TestApp {
  explicit TestApp(EngineOptions engine_options = default_engine(), RequestDefaults defaults = {},
                   AppOptions app_options = {});
  explicit TestApp(AppOptions app_options)
      : TestApp(default_engine(), {}, std::move(app_options)) {}
  ~TestApp();
  static EngineOptions default_engine();

  void make_ready();
  uint16_t port() const { return app->port(); }
  Reply get(const std::string& path) { return ask(port(), "GET", path); }
  Reply post(const std::string& path, const Json& body) {
    return ask(port(), "POST", path, body.dump());
  }
  // What the answer to a prompt must be: text before the end token or the limit.
  std::string expected_text(const std::vector<int32_t>& prompt, int32_t max_tokens,
                            const SamplingParams& sampling = {}) const;
  std::vector<int32_t> chat_prompt(const std::string& user) const;
  // The engine stops at its next step until `open`.
  void hold();
  void open();
  // From now on the model answers every prompt with this text and its end token; where a constraint
  // forbids a token of it, with another one.
  void speak(const std::string& text);
  // Waits until nothing runs or waits in the engine; false after 20 s.
  bool engine_is_idle() const;

  std::atomic<int> arrived{0};  // steps that began
  std::unique_ptr<TextModel> text;
  fake::FakeOptions fake_options;
  fake::FakeBackend backend;
  std::unique_ptr<fake::FakeModel> model;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<PromptScorer> scorer;
  ServedModel served;
  std::unique_ptr<App> app;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int waiting_ = 0;  // steps that hold() keeps
  std::vector<int32_t> script_;
};

Json chat(const std::string& user, const Json& further = Json::object());

}  // namespace mica::test
