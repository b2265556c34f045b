#include "cli/inspect.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/hub/hub.h"
#include "cli/module_kind.h"
#include "model/config.h"

namespace mica {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kTextFiles[] = {
    "tokenizer.json",     "tokenizer.model",         "tokenizer_config.json", "tiktoken.model",
    "chat_template.json", "special_tokens_map.json", "chat_template.jinja",   "vocab.json",
    "merges.txt",         "generation_config.json"};

// Modules of one scheme (or of one dtype, when dense).
struct Group {
  std::string label;
  int64_t modules = 0, parameters = 0;
  size_t bytes = 0;
  std::map<std::string, int64_t> kinds;  // "model.layers.*.mlp.gate" -> how many
};

std::vector<Group> group_modules(const std::vector<ModuleSummary>& modules) {
  std::map<std::string, Group> groups;
  for (const ModuleSummary& module : modules) {
    std::string label = to_string(module.scheme);
    if (module.scheme.mode == QuantMode::kNone)
      label = fmt::format("{} {}", module.rank < 2 ? "vectors" : "dense", name(module.dtype));
    Group& group = groups[label];
    group.label = label;
    ++group.modules;
    group.parameters += module.parameters;
    group.bytes += module.bytes;
    ++group.kinds[kind_of(module.path)];
  }
  std::vector<Group> sorted;
  for (auto& entry : groups) sorted.push_back(std::move(entry.second));
  std::sort(sorted.begin(), sorted.end(),
            [](const Group& a, const Group& b) { return a.bytes > b.bytes; });
  return sorted;
}

struct KvMemory {
  size_t per_token = 0;  // layers that see everything, bf16
  size_t sliding = 0;    // per token, of layers with a window
  int64_t sliding_layers = 0;
};

KvMemory kv_memory(const ModelConfig& config) {
  KvMemory memory;
  const auto layer =
      static_cast<size_t>(2 * config.num_key_value_heads * config.head_dim) * size_of(DType::kBF16);
  memory.sliding_layers =
      std::count(config.sliding_layers.begin(), config.sliding_layers.end(), true);
  memory.sliding = layer * static_cast<size_t>(memory.sliding_layers);
  memory.per_token = layer * static_cast<size_t>(config.num_hidden_layers - memory.sliding_layers);
  return memory;
}

std::string human(double value, const char* unit) {
  const char* prefixes[] = {"", "k", "M", "G", "T"};
  size_t i = 0;
  for (; value >= 999.5 && i + 1 < std::size(prefixes); ++i) value /= 1000;
  return fmt::format("{:.{}f} {}{}", value, value >= 100 || i == 0 ? 0 : 2, prefixes[i], unit);
}

struct Report {
  fs::path directory;
  ModelConfig config;
  std::vector<Group> groups;
  std::vector<std::string> text_files;
  KvMemory kv;
  int64_t parameters = 0;
  size_t bytes = 0, files = 0;
  DType dtype = DType::kBF16;
};

Report inspect(const fs::path& directory) {
  Report report;
  report.directory = directory;
  report.config = load_model_config(directory);
  const Checkpoint checkpoint(directory);
  report.groups = group_modules(checkpoint.modules());
  for (const Group& group : report.groups) report.parameters += group.parameters;
  report.bytes = checkpoint.file_bytes();
  report.files = checkpoint_files(directory).size();
  report.dtype = checkpoint.dtype();
  report.kv = kv_memory(report.config);
  for (const char* file : kTextFiles)
    if (fs::exists(directory / file)) report.text_files.emplace_back(file);
  return report;
}

ordered_json to_json(const Report& r) {
  const ModelConfig& c = r.config;
  ordered_json json = {{"directory", r.directory.string()},
                       {"model_type", c.model_type},
                       {"parameters", r.parameters},
                       {"weight_bytes", r.bytes},
                       {"weight_files", r.files},
                       {"dtype", name(r.dtype)},
                       {"context_length", c.max_position_embeddings},
                       {"vocab_size", c.vocab_size},
                       {"layers", c.num_hidden_layers},
                       {"hidden_size", c.hidden_size},
                       {"intermediate_size", c.intermediate_size},
                       {"attention_heads", c.num_attention_heads},
                       {"key_value_heads", c.num_key_value_heads},
                       {"head_dim", c.head_dim},
                       {"experts", c.num_experts},
                       {"experts_per_token", c.num_experts_per_tok},
                       {"rope_type", c.rope.type},
                       {"tied_embeddings", c.tie_word_embeddings},
                       {"eos_token_ids", c.eos_token_ids},
                       {"kv_bytes_per_token", r.kv.per_token + r.kv.sliding},
                       {"sliding_layers", r.kv.sliding_layers},
                       {"sliding_window", c.sliding_window},
                       {"text_files", r.text_files}};
  json["quantization"] = ordered_json::array();
  for (const Group& group : r.groups)
    json["quantization"].push_back({{"scheme", group.label},
                                    {"modules", group.modules},
                                    {"parameters", group.parameters},
                                    {"bytes", group.bytes},
                                    {"kinds", group.kinds}});
  return json;
}

// "(lm_head, model.layers.*.mlp.gate and 3 more)"
std::string show_kinds(const Group& group) {
  std::string shown;
  size_t count = 0;
  for (const auto& entry : group.kinds) {
    if (++count > 3) return fmt::format("{} and {} more", shown, group.kinds.size() - 3);
    shown += (shown.empty() ? "" : ", ") + entry.first;
  }
  return shown;
}

void print_text(const Report& r) {
  const ModelConfig& c = r.config;
  const auto line = [](const char* title, const std::string& text) {
    std::printf("%-13s %s\n", title, text.c_str());
  };
  line("Model", r.directory.string());
  line("Architecture",
       fmt::format("{}: {} layers, hidden {}, heads {} query / {} key-value of {}, feed-forward {}",
                   c.model_type, c.num_hidden_layers, c.hidden_size, c.num_attention_heads,
                   c.num_key_value_heads, c.head_dim,
                   c.num_experts > 0 ? c.moe_intermediate_size : c.intermediate_size));
  if (c.num_experts > 0)
    line("Experts", fmt::format("{}, {} per token", c.num_experts, c.num_experts_per_tok));
  line("Vocabulary", fmt::format("{}{}", c.vocab_size,
                                 c.tie_word_embeddings ? ", output tied to the embedding" : ""));
  line("Context", fmt::format("{} tokens, rope {}", c.max_position_embeddings, c.rope.type));
  line("Parameters", human(static_cast<double>(r.parameters), ""));
  line("Weights",
       fmt::format("{} in {} {}, computed in {}", human(static_cast<double>(r.bytes), "B"), r.files,
                   r.files == 1 ? "file" : "files", name(r.dtype)));
  for (const Group& group : r.groups)
    line("", fmt::format("{}: {} {}, {} ({})", group.label, group.modules,
                         group.modules == 1 ? "module" : "modules",
                         human(static_cast<double>(group.bytes), "B"), show_kinds(group)));
  const double per_thousand = static_cast<double>(r.kv.per_token + r.kv.sliding) * 1000;
  line("KV cache",
       human(per_thousand, "B") + " per 1000 tokens in bf16" +
           (r.kv.sliding_layers > 0
                ? fmt::format("; {} of {} layers keep {} tokens at most", r.kv.sliding_layers,
                              c.num_hidden_layers, c.sliding_window)
                : ""));
  std::string files;
  for (const std::string& file : r.text_files) files += (files.empty() ? "" : ", ") + file;
  line("Text files", files.empty() ? "none" : files);
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  struct Flags {
    std::string model;
    bool json = false, offline = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what a checkpoint is, from its headers alone");
  command->add_option("model,--model", flags->model, "Folder of a checkpoint, or a repository id")
      ->required();
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->add_flag("--offline", flags->offline, "Never ask the hub; use what is in its cache");
  command->callback([flags] {
    HubOptions hub = hub_options_from_environment();
    hub.offline = hub.offline || flags->offline;
    const Report report = inspect(resolve_model(flags->model, hub));
    if (flags->json)
      std::printf(
          "%s\n",
          to_json(report).dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
    else
      print_text(report);
  });
}

}  // namespace mica
