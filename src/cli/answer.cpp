#include "cli/answer.h"

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <random>

namespace mica {

void add_sampling_flags(CLI::App& command, SamplingFlags& flags) {
  SamplingParams& p = flags.params;
  command.add_option("--temp", p.temperature, "Sampling temperature; 0 takes the likeliest token")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_option("--top-p", p.top_p, "Keep the likeliest tokens up to this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--min-p", p.min_p, "Drop tokens below this share of the likeliest one")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--top-k", p.top_k, "Keep the k likeliest tokens (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--xtc-probability", p.xtc_probability, "Chance of applying XTC to a token")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--xtc-threshold", p.xtc_threshold, "Probability above which XTC may remove")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
  command
      .add_option("--min-tokens-to-keep", p.min_tokens_to_keep, "Tokens that min-p always keeps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--repetition-penalty", p.repetition_penalty,
                  "Divides the logits of recent tokens (0 or 1: off)")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--repetition-context-size", p.repetition_context_size,
                  "How many recent tokens that counts")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--seed", flags.seed, "Seed of the draws (default: a random one)")
      ->check(CLI::NonNegativeNumber);
}

SamplingParams resolve(const SamplingFlags& flags, const TextModel& text) {
  SamplingParams params = flags.params;
  params.seed = flags.seed.empty() ? std::random_device{}() : std::stoull(flags.seed);
  if (params.xtc_probability > 0) {
    params.xtc_special_tokens = text.tokenizer().encode("\n", /*add_special_tokens=*/false);
    params.xtc_special_tokens.insert(params.xtc_special_tokens.end(), text.end_ids().begin(),
                                     text.end_ids().end());
  }
  return params;
}

Answer answer(Engine& engine, const TextModel& text, Request request,
              const std::function<void(const std::string&)>& print,
              const std::function<bool()>& stop) {
  const auto stream = engine.submit(std::move(request));
  if (!stream) throw Error(ErrorKind::kInternal, "[engine] the queue of a single request is full");
  StreamingDetokenizer detokenizer(text.tokenizer());
  Answer out;
  const auto emit = [&](const std::string& piece) {
    if (piece.empty()) return;
    out.text += piece;
    print(piece);
  };
  while (true) {
    if (stop()) stream->cancel();
    const auto event = stream->next(std::chrono::milliseconds(50));
    if (!event) continue;
    if (event->kind == Event::Kind::kToken) {
      if (!event->stop_token) emit(detokenizer.add(event->token.token));
    } else if (event->kind == Event::Kind::kFinished) {
      emit(detokenizer.finish());
      if (event->reason == FinishReason::kError) throw Error(ErrorKind::kInternal, event->error);
      out.reason = event->reason;
      out.prompt_tokens = event->prompt_tokens;
      out.cached_tokens = event->cached_tokens;
      out.completion_tokens = event->completion_tokens;
      out.prefill_seconds = event->prefill_seconds;
      out.decode_seconds = event->decode_seconds;
      return out;
    }
  }
}

std::string speed_report(const Answer& answer) {
  const auto rate = [](double tokens, double seconds) {
    return seconds > 0 ? tokens / seconds : 0.0;
  };
  const int32_t computed = answer.prompt_tokens - answer.cached_tokens;
  // The first token comes out of the prefill step; the others are decoded.
  return fmt::format(
      "Prompt: {} tokens, {:.3f} tokens-per-sec\n"
      "Generation: {} tokens, {:.3f} tokens-per-sec\n"
      "Peak memory: {:.3f} GB\n",
      answer.prompt_tokens, rate(computed, answer.prefill_seconds), answer.completion_tokens,
      rate(answer.completion_tokens - 1, answer.decode_seconds),
      static_cast<double>(peak_memory()) / 1e9);
}

size_t peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace mica
