// One answer at the terminal: sampling flags, submission, streamed text, speed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/text_model.h"

namespace CLI {
class App;
}

namespace mica {

// mlx-lm's sampling flags (--temp --top-p …), with its defaults.
struct SamplingFlags {
  SamplingParams params;
  std::string seed;  // empty: a random one
};

void add_sampling_flags(CLI::App& command, SamplingFlags& flags);
// The parameters of one request; newline and end tokens are exempt from XTC.
SamplingParams resolve(const SamplingFlags& flags, const TextModel& text);

struct Answer {
  std::string text;
  FinishReason reason = FinishReason::kStop;
  int32_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
};

// Runs the request to its end. `print` gets each piece of text as it is complete; when `stop`
// returns true the answer is cancelled. Throws Error when the request fails.
Answer answer(Engine& engine, const TextModel& text, Request request,
              const std::function<void(const std::string&)>& print,
              const std::function<bool()>& stop);

// "Prompt: 12 tokens, 345.6 tokens-per-sec" and its siblings, as mlx-lm prints them.
std::string speed_report(const Answer& answer);

// Highest resident memory of this process so far, bytes.
size_t peak_memory();

}  // namespace mica
