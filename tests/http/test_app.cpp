#include "http/test_app.h"

#include <fmt/format.h>

namespace mica::test {

EngineOptions TestApp::default_engine() {
  EngineOptions options;
  options.max_context = 2048;
  options.kv_bytes = size_t{64} << 20;
  return options;
}

TestApp::TestApp(EngineOptions engine_options, RequestDefaults defaults, AppOptions app_options)
    : text(test_text_model()) {
  fake_options.vocabulary = kVocabulary;
  model = std::make_unique<fake::FakeModel>(fake_options);
  model->on_forward = [this](auto) {
    ++arrived;
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.wait(lock, [&] { return !held_; });
    --waiting_;
    changed_.notify_all();
  };
  engine = std::make_unique<Engine>(backend, *model, engine_options);
  served.engine = engine.get();
  served.text = text.get();
  embedder = std::make_unique<Embedder>(backend, *model, *engine,
                                        EmbedderOptions{.pooling = {.pooling = Pooling::kLast}});
  served.embedder = embedder.get();
  scorer = std::make_unique<PromptScorer>(backend, *model, *engine, PromptScorerOptions{});
  served.scorer = scorer.get();
  served.vocabulary = kVocabulary;
  served.id = "org/fake-model";
  served.aliases = {"fake-model"};
  served.device = "fake: fake";
  served.fingerprint = "mica-test";
  served.created = 1700000000;
  served.defaults = std::move(defaults);
  app_options.http.port = 0;
  app = std::make_unique<App>(std::move(app_options));
  served.metrics = &app->metrics();
}

TestApp::~TestApp() {
  open();
  app->stop();
  engine.reset();
}

void TestApp::make_ready() {
  app->set_ready(served);
}

std::string TestApp::expected_text(const std::vector<int32_t>& prompt, int32_t max_tokens,
                                   const SamplingParams& sampling) const {
  Request request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.sampling = sampling;
  request.stop_token_ids = {kEnd};
  std::vector<int32_t> tokens = fake::expected_answer(request, fake_options);
  if (!tokens.empty() && tokens.back() == kEnd) tokens.pop_back();
  return text->tokenizer().decode(tokens, /*skip_special_tokens=*/true);
}

std::vector<int32_t> TestApp::chat_prompt(const std::string& user) const {
  return text->encode("<|im_start|>user\n" + user + "<|im_end|>\n<|im_start|>assistant\n");
}

void TestApp::speak(const std::string& text_to_speak) {
  const std::lock_guard lock(mutex_);
  script_ = text->tokenizer().encode(text_to_speak, /*add_special_tokens=*/false);
  script_.push_back(kEnd);
  backend.on_sample = [this](const SampleParams& params) {
    const std::lock_guard script_lock(mutex_);
    for (size_t i = 0; i < params.rows.size(); ++i) {
      const SampleRow& row = params.rows[i];
      if (row.given >= 0) continue;
      const int32_t token = row.draw < script_.size() ? script_[row.draw] : kEnd;
      const auto word = static_cast<size_t>(token / 32);
      if (row.allowed.empty() || (row.allowed[word] >> (token % 32) & 1) != 0)
        params.results[i].token = token;
    }
  };
}

void TestApp::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void TestApp::open() {
  std::unique_lock lock(mutex_);
  held_ = false;
  changed_.notify_all();
  changed_.wait(lock, [&] { return waiting_ == 0; });  // or a hold() that follows would keep them
}

bool TestApp::engine_is_idle() const {
  return eventually([&] {
    const EngineStats stats = engine->stats();
    return stats.running == 0 && stats.waiting == 0;
  });
}

Json chat(const std::string& user, const Json& further) {
  Json body = {{"messages", {{{"role", "user"}, {"content", user}}}}, {"max_tokens", 8}};
  for (const auto& [key, value] : further.items()) body[key] = value;
  return body;
}

}  // namespace mica::test
