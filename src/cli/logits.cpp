// mica logits: the logits of given tokens as a file, the tool by which everything is compared.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>

#include "checkpoint/safetensors.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "engine/single.h"

namespace mica {
namespace {

struct LogitsFlags {
  ModelFlags model;
  std::string tokens;
  std::string output;
  int32_t step = 0;
};

std::vector<int32_t> parse_tokens(const std::string& text, int64_t vocab_size) {
  std::string spaced = text;
  std::replace(spaced.begin(), spaced.end(), ',', ' ');
  std::istringstream in(spaced);
  std::vector<int32_t> tokens;
  for (std::string word; in >> word;) {
    char* end = nullptr;
    const long value = std::strtol(word.c_str(), &end, 10);
    if (*end != '\0' || value < 0 || value >= vocab_size)
      throw Error(ErrorKind::kUsage, "--tokens: expected ids from 0 to {}, found '{}'",
                  vocab_size - 1, word);
    tokens.push_back(static_cast<int32_t>(value));
  }
  if (tokens.empty()) throw Error(ErrorKind::kUsage, "--tokens: expected at least one token id");
  return tokens;
}

void run(const LogitsFlags& flags) {
  const LoadedModel loaded = load(flags.model, /*with_text=*/false);
  const int64_t vocab = loaded.model->config().vocab_size;
  const std::vector<int32_t> tokens = parse_tokens(flags.tokens, vocab);
  const std::vector<float> logits = all_logits(*loaded.backend, *loaded.model, tokens, flags.step);
  const int64_t count = static_cast<int64_t>(tokens.size());
  Tensor out{const_cast<float*>(logits.data()), DType::kF32, {count, vocab}};
  write_safetensors(flags.output, {{"logits", out}}, {{"format", "mlx"}});
}

}  // namespace

void add_logits_command(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command =
      app.add_subcommand("logits", "Write the logits of every position of a token sequence");
  add_model_flags(*command, flags->model);
  command->add_option("--tokens", flags->tokens, "Token ids: \"1 2 3\"")->required();
  command->add_option("--output", flags->output, "Safetensors file: logits [T, vocab] f32")
      ->required();
  command->add_option("--prefill-step-size", flags->step, "Tokens at once (default: all)")
      ->check(CLI::NonNegativeNumber);
  command->callback([flags] { run(*flags); });
}

}  // namespace mica
