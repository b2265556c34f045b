#include "cli/serve_models.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>

#include "base/log.h"
#include "checkpoint/adapter.h"
#include "engine/embedder.h"
#include "engine/prompt_scorer.h"
#include "model/adapters.h"
#include "server/adapter_table.h"

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kSelfTestTime{300};
constexpr uint64_t kSharedKvBytes = uint64_t{1} << 30;  // of each, where several share a device
constexpr int64_t kLeastRank = 16;

// What loading makes of one model; destroyed from the last member on.
struct Loaded {
  LoadedModel parts;
  DraftModel draft;
  std::unique_ptr<AdapterSet> adapter_set;  // the engine reads it; null: no adapters
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<PromptScorer> scorer;
  ServedModel served;
};

struct NamedFolder {
  std::string name, folder;
};

std::string without_slashes(std::string text) {
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

std::vector<std::string> aliases_of(const std::string& model) {
  const std::string id = without_slashes(model);
  std::vector<std::string> aliases = {std::filesystem::path(id).filename().string()};
  if (model != id) aliases.push_back(model);
  std::error_code error;
  const auto absolute = std::filesystem::canonical(id, error);
  if (!error) aliases.push_back(absolute.string());
  return aliases;
}

NamedFolder parse_adapter(const std::string& text) {
  const size_t at = text.find('=');
  if (at == 0 || at == std::string::npos || at + 1 == text.size())
    throw Error(ErrorKind::kUsage, "--adapter: expected NAME=DIR, found '{}'", text);
  return {text.substr(0, at), text.substr(at + 1)};
}

// Ready means that a token was generated: one goes through the whole engine.
void self_test(Engine& engine, const TextModel& text) {
  Request request;
  request.prompt = text.encode("Hello");
  if (request.prompt.empty()) request.prompt = {0};
  request.prompt.resize(std::min<size_t>(request.prompt.size(), 8));
  request.max_tokens = 1;
  request.use_prefix_cache = false;
  const auto events = engine.submit(std::move(request));
  const auto deadline = Clock::now() + kSelfTestTime;
  while (events && Clock::now() < deadline) {
    const auto event = events->next(std::chrono::seconds(1));
    if (!event || event->kind == Event::Kind::kStarted) continue;
    if (event->kind == Event::Kind::kToken) return;
    throw Error(ErrorKind::kDevice, "[serve] the self-test generated no token: {}",
                event->error.empty() ? name(event->reason) : event->error);
  }
  throw Error(ErrorKind::kDevice, "[serve] the self-test generated no token within {} seconds",
              kSelfTestTime.count());
}

// The same for an encoder: a text goes through it.
void self_test(Embedder& embedder, const TextModel& text) {
  const std::vector<int32_t> tokens = text.tokenizer().encode("Hello", /*add_special_tokens=*/true);
  embedder.embed({{tokens.empty() ? std::vector<int32_t>{0} : tokens}});
  const Pooling pooling = embedder.pooling().pooling;
  log_info("[serve] embeddings alone: vectors of {}, pooled from the {}, up to {} tokens a text",
           embedder.size(), pooling == Pooling::kMean ? "mean of all tokens" : name(pooling),
           embedder.max_tokens());
}

ServedModel served_model(const ServedModelFlags& flags, const std::string& model,
                         const Loaded& loaded, ServerMetrics& metrics) {
  const LoadedModel& parts = loaded.parts;
  const DeviceInfo device = parts.backend->info();
  ServedModel served;
  served.engine = loaded.engine.get();
  served.text = parts.text.get();
  served.embedder = loaded.embedder.get();
  served.scorer = loaded.scorer.get();
  served.generates = parts.model->generates();
  served.vocabulary = static_cast<int32_t>(parts.model->config().vocab_size);
  served.layers = parts.model->config().num_hidden_layers;
  served.id = without_slashes(model);
  served.aliases = aliases_of(model);
  served.aliases.push_back(parts.directory.string());
  served.device = device.kind + ": " + device.name;
  served.fingerprint = "mica-" MICA_VERSION "-" + device.kind;
  served.bandwidth = parts.bandwidth;
  served.load_seconds = parts.load_seconds;
  served.weight_bytes = parts.model->weight_bytes();
  if (loaded.draft.model) served.weight_bytes += loaded.draft.model->weight_bytes();
  served.created = static_cast<int64_t>(std::time(nullptr));
  served.defaults = flags.defaults;
  served.metrics = &metrics;
  return served;
}

// The rank that the engine keeps memory for.
int64_t rank_of(const ServedModelFlags& flags, const std::vector<Adapter>& adapters) {
  if (flags.max_rank > 0) return flags.max_rank;
  int64_t rank = kLeastRank;
  for (const Adapter& adapter : adapters) rank = std::max(rank, adapter.rank());
  return rank;
}

bool has_adapters(const ServedModelFlags& flags) {
  return !flags.adapters.empty() || !flags.default_adapter.empty() || flags.allow_runtime_adapters;
}

// Before the engine is there: its size depends on the ranks.
std::unique_ptr<AdapterSet> make_adapter_set(const ServedModelFlags& flags, LoadedModel& parts) {
  if (!has_adapters(flags)) return nullptr;
  if (!parts.model->generates())
    throw Error(ErrorKind::kUsage,
                "--adapter-path, --adapter: '{}' is an encoder, adapters are for "
                "decoders",
                flags.model.model);
  std::vector<Adapter> adapters;
  if (flags.max_rank == 0) {
    for (const std::string& text : flags.adapters)
      adapters.push_back(read_adapter(parse_adapter(text).folder));
    if (!flags.default_adapter.empty()) adapters.push_back(read_adapter(flags.default_adapter));
  }
  return std::make_unique<AdapterSet>(*parts.backend, *parts.model, rank_of(flags, adapters));
}

std::shared_ptr<AdapterTable> make_adapter_table(const ServedModelFlags& flags, Loaded& loaded) {
  if (!loaded.adapter_set) return nullptr;
  AdapterSet* set = loaded.adapter_set.get();
  Engine* engine = loaded.engine.get();
  AdapterTable::Loader loader;
  loader.load = [set, engine](const std::string& path) {
    Adapter adapter = read_adapter(path);  // before the engine pauses
    const size_t bytes = adapter.bytes();
    const int64_t rank = adapter.rank();
    AdapterId id = 0;
    engine->call([&] { id = set->add(std::move(adapter)); });
    log_info("[serve] adapter {}: rank {}, {:.4g} MB", path, rank,
             static_cast<double>(bytes) / 1e6);
    return id;
  };
  loader.unload = [set, engine](int64_t id) { engine->call([&] { set->remove(id); }); };
  auto table = std::make_shared<AdapterTable>(std::move(loader), flags.allow_runtime_adapters);
  for (const std::string& text : flags.adapters) {
    const NamedFolder adapter = parse_adapter(text);
    table->add(adapter.name, adapter.folder);
  }
  if (!flags.default_adapter.empty()) table->set_default(flags.default_adapter);
  return table;
}

std::shared_ptr<const ServedModel> load_served(const ServedModelFlags& flags,
                                               const std::string& model, bool is_default,
                                               bool one_of_several, ServerMetrics& metrics) {
  const auto loaded = std::make_shared<Loaded>();
  ModelFlags own = flags.model;
  own.model = model;
  if (!is_default) own.chat_template.clear();
  loaded->parts = load(own);
  EngineOptions options = flags.engine;
  options.kv_bytes = flags.kv_bytes;
  if (one_of_several && options.kv_bytes == 0 && loaded->parts.backend->info().own_memory) {
    options.kv_bytes = kSharedKvBytes;
    log_info(
        "[serve] {}: 1 GiB for keys and values, as several models share the device "
        "(--kv-bytes)",
        model);
  }
  const bool encoder = !loaded->parts.model->generates();
  options.speculation = flags.speculation.options;
  if (is_default) {
    loaded->draft = load_draft_model(flags.speculation, own, loaded->parts);
    options.speculation = loaded->draft.options;
  }
  if (encoder) options.speculation.ngrams = false;
  if (is_default) loaded->adapter_set = make_adapter_set(flags, loaded->parts);
  options.adapters = loaded->adapter_set.get();
  loaded->engine = std::make_unique<Engine>(*loaded->parts.backend, *loaded->parts.model, options);
  loaded->embedder = std::make_unique<Embedder>(
      *loaded->parts.backend, *loaded->parts.model, *loaded->engine,
      EmbedderOptions{.pooling = load_pooling(loaded->parts.directory, encoder),
                      .piece_tokens = options.prefill_step_tokens,
                      .adapters = options.adapters});
  loaded->scorer = std::make_unique<PromptScorer>(
      *loaded->parts.backend, *loaded->parts.model, *loaded->engine,
      PromptScorerOptions{.piece_tokens = options.prefill_step_tokens,
                          .kv_quant = options.kv_quant,
                          .adapters = options.adapters});
  if (encoder)
    self_test(*loaded->embedder, *loaded->parts.text);
  else
    self_test(*loaded->engine, *loaded->parts.text);
  loaded->served = served_model(flags, model, *loaded, metrics);
  loaded->served.adapters = make_adapter_table(flags, *loaded);
  return {loaded, &loaded->served};
}

// Folders with a checkpoint, in the order of their names.
std::vector<std::string> models_below(const std::string& folder) {
  std::vector<std::string> models;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (std::filesystem::exists(entry.path() / "config.json"))
      models.push_back(entry.path().string());
  if (error) throw Error(ErrorKind::kUsage, "--models-dir: {}: {}", folder, error.message());
  if (models.empty())
    throw Error(ErrorKind::kUsage,
                "--models-dir: {}: expected folders with a config.json, found none", folder);
  std::sort(models.begin(), models.end());
  return models;
}

// The weights as they lie on disk, and the cache; 0 for what is not on this machine yet.
uint64_t expected_bytes(const std::string& model, uint64_t kv_bytes) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(model, error))
    if (entry.path().extension() == ".safetensors") {
      const uintmax_t size = std::filesystem::file_size(entry.path(), error);
      if (!error) bytes += size;
    }
  return bytes == 0 ? 0 : bytes + kv_bytes;
}

// All models, the default first; a model given twice counts once.
std::vector<std::string> all_models(const ServedModelFlags& flags) {
  std::vector<std::string> models = {flags.model.model};
  models.insert(models.end(), flags.further.begin(), flags.further.end());
  if (!flags.folder.empty())
    for (std::string& model : models_below(flags.folder)) models.push_back(std::move(model));
  std::vector<std::string> seen, out;
  for (const std::string& model : models) {
    std::error_code error;
    const auto canonical = std::filesystem::canonical(without_slashes(model), error);
    const std::string key = error ? without_slashes(model) : canonical.string();
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
    seen.push_back(key);
    out.push_back(model);
  }
  return out;
}

void add_adapter_flags(CLI::App& command, ServedModelFlags& flags) {
  command.add_option("--adapter-path", flags.default_adapter,
                     "LoRA adapter as mlx-lm trains them, for every request that names no other");
  command.add_option("--adapter,--lora-modules", flags.adapters,
                     "NAME=DIR: a LoRA adapter that requests may name; may be repeated");
  command
      .add_option("--max-lora-rank", flags.max_rank,
                  "Largest rank of adapters (default: of those given, at least 16)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--allow-runtime-adapters", flags.allow_runtime_adapters,
                   "Clients may load and unload adapters from this machine's folders");
}

}  // namespace

void add_models_flags(CLI::App& command, ServedModelFlags& flags, AppOptions& app) {
  command.add_option("--also-model", flags.further,
                     "A further model, loaded when a request names it; may be repeated");
  command.add_option("--models-dir", flags.folder,
                     "Each folder below it with a config.json is a further model");
  command
      .add_option("--model-budget", app.model_budget,
                  "Memory for weights and caches of all loaded models, such as 60GB (0: no limit)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true));
  command.add_option("--models-max", app.max_models, "Models that are loaded at one time")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_adapter_flags(command, flags);
}

void add_models(const ServedModelFlags& flags, App& app) {
  const std::vector<std::string> models = all_models(flags);
  for (size_t i = 0; i < models.size(); ++i) {
    const std::string& model = models[i];
    ModelSpec spec;
    spec.id = without_slashes(model);
    spec.aliases = aliases_of(model);
    spec.expected_bytes = expected_bytes(model, flags.kv_bytes);
    if (i == 0)
      for (const std::string& text : flags.adapters)
        spec.adapters.push_back(parse_adapter(text).name);
    spec.load = [&flags, &app, model, is_default = i == 0, several = models.size() > 1] {
      return load_served(flags, model, is_default, several, app.metrics());
    };
    app.models().add(std::move(spec));
  }
}

}  // namespace mica
