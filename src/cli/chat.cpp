// mica chat: a conversation at the terminal, with line editing, history, and Ctrl-C for an answer.
#include <editline/readline.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/log.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/draft_model.h"
#include "cli/load.h"
#include "cli/one_adapter.h"

namespace mica {
namespace {

using Json = nlohmann::ordered_json;

struct ChatFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string system_prompt, adapter_path;
  std::string template_config = "{}";
  int32_t max_tokens = 2048;
  int32_t max_kv_size = 0;
  KvQuantOptions kv_quant;
  SpeculationFlags speculation;
};

volatile std::sig_atomic_t g_stop = 0;
void stop_answer(int) {
  g_stop = 1;
}

constexpr const char* kHelp =
    "/reset   forget the conversation\n"
    "/stats   speed of the last answer\n"
    "/help    this text\n"
    "/exit    end (also Ctrl-D)\n"
    "Ctrl-C stops an answer; at the prompt it ends the program.\n";

// Where lines typed earlier are kept, or "" when there is no home.
std::string history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state && *state)
    folder = std::filesystem::path(state) / "mica";
  else if (home && *home)
    folder = std::filesystem::path(home) / ".local" / "state" / "mica";
  else
    return "";
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  return (folder / "chat_history").string();
}

// Lines from the terminal with editing, or from a pipe as they are.
class LineReader {
 public:
  LineReader() : terminal_(::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO)) {
    if (!terminal_) return;
    file_ = history_file();
    using_history();
    stifle_history(1000);
    if (!file_.empty()) read_history(file_.c_str());
  }
  ~LineReader() {
    if (terminal_ && !file_.empty()) write_history(file_.c_str());
  }
  bool terminal() const { return terminal_; }
  std::optional<std::string> next() {
    if (!terminal_) {
      std::string line;
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    const std::unique_ptr<char, void (*)(void*)> line(readline(">> "), std::free);
    if (!line) return std::nullopt;
    if (*line) add_history(line.get());
    return std::string(line.get());
  }

 private:
  bool terminal_;
  std::string file_;
};

class Conversation {
 public:
  Conversation(const ChatFlags& flags, const LoadedModel& loaded, Engine& engine, AdapterId adapter)
      : flags_(flags), text_(*loaded.text), engine_(engine), adapter_(adapter) {
    kwargs_ = Json::parse(flags.template_config, nullptr, /*allow_exceptions=*/false);
    if (!kwargs_.is_object())
      throw Error(ErrorKind::kUsage, "--chat-template-config: expected a JSON object, found '{}'",
                  flags.template_config);
    reset();
  }

  void reset() {
    messages_ = Json::array();
    if (!flags_.system_prompt.empty())
      messages_.push_back({{"role", "system"}, {"content", flags_.system_prompt}});
  }

  void say(const std::string& line) {
    messages_.push_back({{"role", "user"}, {"content", line}});
    try {
      respond();
    } catch (const Error& error) {
      // A prompt beyond the context, say: told, and the question taken back.
      messages_.erase(messages_.size() - 1);
      std::printf("%s\n", error.what());
    }
  }

  const std::string& stats() const { return stats_; }

 private:
  void respond() {
    Request request;
    request.prompt = text_.encode_rendered(text_.render(messages_, Json(nullptr), kwargs_, {}));
    request.sampling = resolve(flags_.sampling, text_);
    const int32_t room = engine_.max_context() - static_cast<int32_t>(request.prompt.size());
    if (room < 1)
      throw Error(ErrorKind::kUsage,
                  "The conversation has {} tokens and the context holds {}: /reset starts anew",
                  request.prompt.size(), engine_.max_context());
    request.max_tokens = std::min(flags_.max_tokens, room);
    request.stop_token_ids = text_.end_ids();
    request.adapter = adapter_;
    g_stop = 0;
    const auto before = std::signal(SIGINT, stop_answer);
    const Answer out = answer(
        engine_, text_, std::move(request),
        [](const std::string& piece) {
          std::fwrite(piece.data(), 1, piece.size(), stdout);
          std::fflush(stdout);
        },
        [] { return g_stop != 0; });
    std::signal(SIGINT, before);
    std::puts(g_stop ? " [stopped]" : "");
    messages_.push_back({{"role", "assistant"}, {"content", out.text}});
    stats_ = speed_report(out);
  }

  const ChatFlags& flags_;
  const TextModel& text_;
  Engine& engine_;
  const AdapterId adapter_;
  Json kwargs_, messages_;
  std::string stats_;
};

void run(const ChatFlags& flags) {
  const LoadedModel loaded = load(flags.model);
  const OneAdapter adapter = load_adapter(flags.adapter_path, loaded);
  const DraftModel draft = load_draft_model(flags.speculation, flags.model, loaded);
  EngineOptions options;
  options.max_batch_sequences = 1;
  options.max_context = flags.max_kv_size;
  options.kv_quant = flags.kv_quant;
  options.adapters = adapter.set.get();
  options.speculation = draft.options;
  Engine engine(*loaded.backend, *loaded.model, options);
  Conversation conversation(flags, loaded, engine, adapter.id);
  LineReader reader;
  if (reader.terminal()) std::printf("%s\n", kHelp);
  while (const auto line = reader.next()) {
    if (*line == "/exit" || *line == "/quit") break;
    if (*line == "/reset") {
      conversation.reset();
      std::puts("The conversation is forgotten.");
    } else if (*line == "/help") {
      std::fputs(kHelp, stdout);
    } else if (*line == "/stats") {
      std::fputs(conversation.stats().c_str(), stdout);
    } else if (line->find_first_not_of(" \t") != std::string::npos) {
      conversation.say(*line);
    }
  }
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model at the terminal");
  add_model_flags(*command, flags->model);
  command->add_option("-m,--max-tokens", flags->max_tokens, "Longest answer in tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--system-prompt", flags->system_prompt,
                      "System message of the conversation");
  command
      ->add_option("--max-kv-size", flags->max_kv_size,
                   "Longest conversation in tokens (default: the model's, or what fits)")
      ->check(CLI::PositiveNumber);
  add_kv_flags(*command, flags->kv_quant);
  add_speculation_flags(*command, flags->speculation);
  command->add_option("--chat-template", flags->model.chat_template,
                      "A template's text or file instead of the model's own");
  command->add_option("--chat-template-config", flags->template_config,
                      "JSON object of template variables");
  add_sampling_flags(*command, flags->sampling);
  add_adapter_flag(*command, flags->adapter_path);
  command->callback([flags] { run(*flags); });
}

}  // namespace mica
