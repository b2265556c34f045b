// mica generate: one prompt, one streamed answer; the flags of mlx_lm.generate.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/draft_model.h"
#include "cli/load.h"
#include "cli/one_adapter.h"

namespace mica {
namespace {

struct GenerateFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string prompt = "hello";
  std::string system_prompt, prefill_response, adapter_path;
  std::string template_config = "{}";
  std::vector<std::string> extra_eos_tokens;
  int32_t max_tokens = 100;
  int32_t max_kv_size = 0;
  KvQuantOptions kv_quant;
  SpeculationFlags speculation;
  bool ignore_chat_template = false;
  bool use_default_chat_template = false;
  std::string verbose = "true";
};

volatile std::sig_atomic_t g_interrupted = 0;
void interrupt(int) {
  g_interrupted = 1;
}

// C escapes of the command line (\n, \t, \\), as mlx-lm decodes them.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case '\\': out += '\\'; break;
      default: (out += '\\') += text[i];
    }
  }
  return out;
}

std::string read_prompt(const std::string& flag) {
  if (flag != "-") return unescape(flag);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::vector<int32_t> prompt_tokens(const GenerateFlags& flags, const TextModel& text) {
  const std::string prompt = read_prompt(flags.prompt);
  if (flags.ignore_chat_template || !text.has_template()) return text.encode(prompt);
  using Json = nlohmann::ordered_json;
  Json messages = Json::array();
  if (!flags.system_prompt.empty())
    messages.push_back({{"role", "system"}, {"content", flags.system_prompt}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  ChatTemplateOptions options;
  if (!flags.prefill_response.empty()) {
    messages.push_back({{"role", "assistant"}, {"content", flags.prefill_response}});
    options = {.add_generation_prompt = false, .continue_final_message = true};
  }
  const Json kwargs = Json::parse(flags.template_config, nullptr, /*allow_exceptions=*/false);
  if (!kwargs.is_object())
    throw Error(ErrorKind::kUsage, "--chat-template-config: expected a JSON object, found '{}'",
                flags.template_config);
  return text.encode_rendered(text.render(messages, Json(nullptr), kwargs, options));
}

std::vector<int32_t> stop_ids(const GenerateFlags& flags, const TextModel& text) {
  std::vector<int32_t> ids = text.end_ids();
  for (const std::string& token : flags.extra_eos_tokens) {
    const auto id = text.tokenizer().token_to_id(token);
    if (!id)
      throw Error(ErrorKind::kUsage, "--extra-eos-token: '{}' is not a token of this model", token);
    ids.push_back(*id);
  }
  return ids;
}

void run(const GenerateFlags& flags) {
  const LoadedModel loaded = load(flags.model);
  const OneAdapter adapter = load_adapter(flags.adapter_path, loaded);
  const DraftModel draft = load_draft_model(flags.speculation, flags.model, loaded);
  Request request;
  request.prompt = prompt_tokens(flags, *loaded.text);
  request.sampling = resolve(flags.sampling, *loaded.text);
  request.max_tokens = flags.max_tokens;
  request.adapter = adapter.id;
  request.stop_token_ids = stop_ids(flags, *loaded.text);
  const int32_t needed = static_cast<int32_t>(request.prompt.size()) + flags.max_tokens;
  EngineOptions options;
  options.max_batch_sequences = 1;
  options.max_context = flags.max_kv_size > 0 ? flags.max_kv_size : needed;
  options.prefix_cache = false;
  options.kv_quant = flags.kv_quant;
  options.adapters = adapter.set.get();
  options.speculation = draft.options;
  Engine engine(*loaded.backend, *loaded.model, options);

  const bool verbose = flags.verbose == "true" || flags.verbose == "True" || flags.verbose == "T" ||
                       flags.verbose == "1";
  std::signal(SIGINT, interrupt);
  if (verbose) std::puts("==========");
  const Answer out = answer(
      engine, *loaded.text, std::move(request),
      [](const std::string& piece) {
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        std::fflush(stdout);
      },
      [] { return g_interrupted != 0; });
  std::puts("");
  if (verbose) std::fputs(("==========\n" + speed_report(out)).c_str(), stdout);
  if (verbose && out.completion_tokens == 0) std::puts("No text generated for this prompt");
  if (g_interrupted) std::exit(130);
}

void add_flags_of_later_versions(CLI::App& command) {
  add_missing_flag(command, "--prompt-cache-file", "a prompt cache on disk");
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app.add_subcommand("generate", "Answer one prompt at the terminal");
  add_model_flags(*command, flags->model);
  command->add_option("-p,--prompt", flags->prompt, "The prompt; '-' reads standard input")
      ->capture_default_str();
  command->add_option("-m,--max-tokens", flags->max_tokens, "Longest answer in tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--system-prompt", flags->system_prompt, "System message before the prompt");
  command->add_option("--prefill-response", flags->prefill_response,
                      "Beginning of the answer, which the model continues");
  command->add_option("--extra-eos-token", flags->extra_eos_tokens,
                      "Tokens that end the answer too");
  command->add_flag("--ignore-chat-template", flags->ignore_chat_template,
                    "Give the prompt to the model as it is");
  command->add_flag("--use-default-chat-template", flags->use_default_chat_template,
                    "Accepted as in mlx-lm: a model without a template gets its prompt as it is");
  command->add_option("--chat-template", flags->model.chat_template,
                      "A template's text or file instead of the model's own");
  command->add_option("--chat-template-config", flags->template_config,
                      "JSON object of template variables, such as {\"enable_thinking\": false}");
  command
      ->add_option("--max-kv-size", flags->max_kv_size,
                   "Longest prompt and answer together (default: what this call needs)")
      ->check(CLI::PositiveNumber);
  add_kv_flags(*command, flags->kv_quant);
  add_speculation_flags(*command, flags->speculation);
  command->add_option("--verbose", flags->verbose, "Print separators and speed")
      ->capture_default_str();
  add_adapter_flag(*command, flags->adapter_path);
  add_sampling_flags(*command, flags->sampling);
  add_flags_of_later_versions(*command);
  command->callback([flags] { run(*flags); });
}

}  // namespace mica
