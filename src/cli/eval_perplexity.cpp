// mica eval --perplexity: how well a model of this process predicts a text, and how far it is from
// another.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "bench/eval/logit_file.h"
#include "bench/eval/model_logits.h"
#include "bench/eval/perplexity_report.h"
#include "cli/commands.h"
#include "cli/load.h"

namespace mica {
namespace {

constexpr int32_t kDefaultContext = 2048;

struct PerplexityFlags {
  ModelFlags model;
  std::string text, reference, reference_model, save_logits, output;
  int32_t context = 0, stride = 0;  // 0: by the model, half the context
  int64_t tokens = 0;
  KvQuantOptions kv;
};

struct TokenizedText {
  std::vector<int32_t> prefix;  // special tokens before each window
  std::vector<int32_t> tokens;
};

// What the tokenizer puts before a text (a BOS) begins each window, as the model was trained.
std::vector<int32_t> prefix_of(const Tokenizer& tokenizer) {
  const std::vector<int32_t> with = tokenizer.encode("a", /*add_special_tokens=*/true);
  const std::vector<int32_t> bare = tokenizer.encode("a", /*add_special_tokens=*/false);
  const auto begin = std::search(with.begin(), with.end(), bare.begin(), bare.end());
  return begin == with.end() ? std::vector<int32_t>{} : std::vector<int32_t>(with.begin(), begin);
}

TokenizedText tokenize(const TextModel& text, const std::string& content) {
  return {prefix_of(text.tokenizer()),
          text.tokenizer().encode(content, /*add_special_tokens=*/false)};
}

void check_same_tokens(const TextModel& reference, const TokenizedText& text,
                       const std::string& content) {
  const TokenizedText other = tokenize(reference, content);
  if (other.tokens != text.tokens || other.prefix != text.prefix)
    throw Error(ErrorKind::kUsage,
                "[eval] --reference-model: its tokenizer makes other tokens of this text than the "
                "model's; distributions over different tokens can't be compared");
}

WindowOptions window_options(const PerplexityFlags& flags, const ModelConfig& config,
                             const TokenizedText& text) {
  WindowOptions options;
  const int64_t most = config.max_position_embeddings;
  options.context = flags.context;
  if (options.context == 0)
    options.context =
        static_cast<int32_t>(most > 0 ? std::min<int64_t>(most, kDefaultContext) : kDefaultContext);
  if (most > 0 && options.context > most)
    log_warning("[eval] --context {}: the model was made for {} tokens", options.context, most);
  options.stride = flags.stride > 0 ? flags.stride : std::max(1, options.context / 2);
  options.prefix = static_cast<int32_t>(text.prefix.size());
  options.most_tokens = flags.tokens;
  return options;
}

int64_t predicted_bytes(const TextModel& text, const std::vector<int32_t>& tokens,
                        const std::vector<Window>& windows) {
  int64_t bytes = 0;
  for (const Window& window : windows)
    bytes += static_cast<int64_t>(
        text.tokenizer()
            .decode(std::span(tokens).subspan(window.scored, window.predicted()), false)
            .size());
  return bytes;
}

WindowProgress progress_to_log() {
  using Clock = std::chrono::steady_clock;
  return [next = Clock::now() + std::chrono::seconds(5)](size_t done, size_t all) mutable {
    if (Clock::now() < next) return;
    next = Clock::now() + std::chrono::seconds(5);
    log_info("[eval] {} of {} windows", done, all);
  };
}

Perplexity run_alone(const PerplexityFlags& flags, LogitSource& model, const TokenizedText& text,
                     const std::vector<Window>& windows, const WindowOptions& options) {
  std::optional<LogitFileWriter> writer;
  if (!flags.save_logits.empty()) {
    log_info("[eval] {}: {:.1f} MB", flags.save_logits,
             static_cast<double>(LogitFileWriter::bytes(model.vocab_size(), windows)) / 1e6);
    writer.emplace(flags.save_logits, model.vocab_size(), text.tokens, windows, options);
  }
  LogitSink sink;
  if (writer) sink = [&writer](std::span<const float> rows) { writer->add(rows); };
  const Perplexity result =
      measure_perplexity(model, text.prefix, text.tokens, windows, progress_to_log(), sink);
  if (writer) writer->finish();
  return result;
}

Divergence run_against(const PerplexityFlags& flags, Backend& backend, LogitSource& model,
                       const TokenizedText& text, const std::string& content,
                       const std::vector<Window>& windows, const WindowOptions& options) {
  LoadedParts parts;  // outlives its logits
  std::unique_ptr<LogitSource> reference;
  if (!flags.reference.empty()) {
    reference = std::make_unique<LogitFile>(flags.reference, text.tokens, windows, options);
  } else {
    ModelFlags other = flags.model;
    other.model = flags.reference_model;
    parts = load_onto(backend, other);
    check_same_tokens(*parts.text, text, content);
    reference = std::make_unique<ModelLogits>(backend, *parts.model, options.context, flags.kv);
  }
  return measure_divergence(*reference, model, text.prefix, text.tokens, windows,
                            progress_to_log());
}

void check(const PerplexityFlags& flags) {
  if (!flags.reference.empty() && !flags.reference_model.empty())
    throw Error(ErrorKind::kUsage, "[eval] give --reference or --reference-model, not both");
  if (!flags.save_logits.empty() && (!flags.reference.empty() || !flags.reference_model.empty()))
    throw Error(ErrorKind::kUsage, "[eval] --save-logits goes without a reference");
}

void run(const PerplexityFlags& flags) {
  check(flags);
  const std::string content = read_text_file(flags.text);
  const LoadedModel loaded = load(flags.model);
  if (!loaded.model->generates())
    throw Error(ErrorKind::kUsage, "[eval] --perplexity: {} is an encoder, it predicts no text",
                loaded.directory.filename().string());
  const TokenizedText text = tokenize(*loaded.text, content);
  PerplexityReport report;
  report.text = std::filesystem::path(flags.text).filename().string();
  report.model = loaded.directory.filename().string();
  report.windows = window_options(flags, loaded.model->config(), text);
  const std::vector<Window> windows = windows_of(text.tokens.size(), report.windows);
  report.bytes = predicted_bytes(*loaded.text, text.tokens, windows);

  const auto start = std::chrono::steady_clock::now();
  ModelLogits model(*loaded.backend, *loaded.model, report.windows.context, flags.kv);
  if (flags.reference.empty() && flags.reference_model.empty()) {
    report.perplexity = run_alone(flags, model, text, windows, report.windows);
  } else {
    const std::string& name = flags.reference.empty() ? flags.reference_model : flags.reference;
    report.reference = std::filesystem::path(name).filename().string();
    report.divergence =
        run_against(flags, *loaded.backend, model, text, content, windows, report.windows);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::fputs(report_text(report).c_str(), stdout);
  if (!flags.output.empty()) write_text_file(flags.output, report_json(report).dump(2) + "\n");
}

}  // namespace

bool is_eval_of_perplexity(const std::vector<std::string>& arguments) {
  const auto eval = std::find(arguments.begin(), arguments.end(), "eval");
  return std::any_of(eval, arguments.end(), [](const std::string& word) {
    return word == "--perplexity" || word.starts_with("--perplexity=");
  });
}

void add_eval_perplexity_command(CLI::App& app) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app.add_subcommand(
      "eval", "How well a model predicts a text, and how far it is from another model");
  add_model_flags(*command, flags->model);
  command->add_option("--perplexity", flags->text, "A text file, UTF-8")->required();
  command
      ->add_option("--context", flags->context,
                   "Tokens of a window (default: 2048, at most what the model was made for)")
      ->check(CLI::Range(2, 1 << 20));
  command
      ->add_option("--stride", flags->stride,
                   "Tokens between windows; at --context they lie side by side (default: half "
                   "of it)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--tokens", flags->tokens, "The text's first so many alone")
      ->check(CLI::PositiveNumber);
  command->add_option("--reference-model", flags->reference_model,
                      "A second checkpoint with the same tokenizer: KL divergence from it");
  command->add_option("--reference", flags->reference,
                      "The same against logits that --save-logits wrote");
  command->add_option("--save-logits", flags->save_logits,
                      "Write the logits as a reference: 4 bytes for each token of the text and of "
                      "the vocabulary");
  command->add_option("-o,--output", flags->output, "Also write the figures as JSON");
  add_kv_flags(*command, flags->kv);
  command->footer(
      "docs/eval.md has the definitions. Without --perplexity, `mica eval` asks "
      "questions: `mica eval --help`.");
  command->callback([flags] { run(*flags); });
}

}  // namespace mica
