// Request bytes to the engine's door: target, JSON, every check, template, tokens. The first byte
// chooses the endpoint. Whatever comes in gives a job or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "engine/embedder.h"
#include "engine/fake_model.h"
#include "engine/prompt_scorer.h"
#include "http/test_text.h"
#include "server/anthropic_request.h"
#include "server/embeddings_endpoint.h"
#include "server/http_text.h"
#include "server/openai_endpoint.h"
#include "server/requested_model.h"
#include "server/responses_request.h"
#include "server/token_endpoints.h"

namespace {

struct World {
  World()
      : text(mica::test::test_text_model()),
        model(options()),
        engine(backend, model, small()),
        embedder(backend, model, engine, {.pooling = {.pooling = mica::Pooling::kLast}}),
        scorer(backend, model, engine, {}) {
    served.engine = &engine;
    served.embedder = &embedder;
    served.scorer = &scorer;
    served.text = text.get();
    served.vocabulary = mica::test::kVocabulary;
    served.id = "fake";
  }
  static mica::fake::FakeOptions options() {
    mica::fake::FakeOptions options;
    options.vocabulary = mica::test::kVocabulary;
    return options;
  }
  static mica::EngineOptions small() {
    mica::EngineOptions options;
    options.kv_bytes = size_t{4} << 20;
    options.max_context = 512;
    return options;
  }
  std::unique_ptr<mica::TextModel> text;
  mica::fake::FakeBackend backend;
  mica::fake::FakeModel model;
  mica::Engine engine;
  mica::Embedder embedder;
  mica::PromptScorer scorer;
  mica::ServedModel served;
  std::shared_ptr<mica::ResponseStore> store = std::make_shared<mica::ResponseStore>();
};

// What the embedder's thread relies on.
void check(const mica::EmbeddingsRequest& request, const World& world) {
  MICA_CHECK(!request.inputs.empty());
  MICA_CHECK(request.dimensions >= 0 && request.dimensions <= world.embedder.size());
  for (const std::vector<int32_t>& tokens : request.inputs) {
    MICA_CHECK(!tokens.empty() &&
               tokens.size() <= static_cast<size_t>(world.embedder.max_tokens()));
    for (const int32_t token : tokens) MICA_CHECK(token >= 0 && token < mica::test::kVocabulary);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  (void)mica::parse_target(bytes);
  (void)mica::requested_model(bytes);
  try {
    switch (data[0] % 11) {
      case 0: (void)mica::chat_job(bytes, world.served); break;
      case 1: (void)mica::text_job(bytes, world.served); break;
      case 2: (void)mica::messages_job(bytes, world.served); break;
      case 3: (void)mica::responses_job(bytes, world.served, world.store); break;
      case 4: (void)mica::tokenize(bytes, world.served); break;
      case 5: (void)mica::detokenize(bytes, world.served); break;
      case 6: check(mica::parse_embeddings(bytes, world.served), world); break;
      case 7: (void)mica::apply_template(bytes, world.served); break;
      case 8: (void)mica::count_chat_tokens(bytes, world.served); break;
      case 9: (void)mica::count_message_tokens(bytes, world.served); break;
      case 10: (void)mica::count_response_tokens(bytes, world.served, world.store); break;
    }
  } catch (const mica::Error&) {
  }
  return 0;
}
