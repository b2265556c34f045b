// Decode speed through the engine: scheduler, sampler and events as a server has them, without
// HTTP.
#pragma once

#include <vector>

#include "engine/engine.h"

namespace mica {

// Steps in which every sequence got a token.
struct EngineDecode {
  std::vector<double> step_seconds;
  double between_steps = 0;  // seconds from the end of one step's work to the next, mean
};

// `streams` sequences at once, each with a prompt of `prompt` tokens.
class EngineBench {
 public:
  EngineBench(Backend& backend, Model& model, int32_t streams, int32_t prompt, int32_t tokens,
              int32_t step_tokens, const KvQuantOptions& kv_quant = {});
  // Decodes about `tokens` tokens of each together. Throws Error where a request ends otherwise.
  EngineDecode decode();

 private:
  int32_t streams_, prompt_, tokens_;
  int64_t vocabulary_;
  Engine engine_;
};

}  // namespace mica
