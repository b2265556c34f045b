#include "model/pooling.h"

#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json_reader.h"

namespace mica {
namespace {

using nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr int64_t kMaxLength = int64_t{1} << 30;

struct Mode {
  const char* name;  // of newer files: "pooling_mode"
  const char* key;   // of older ones: true or false
  std::optional<Pooling> pooling;
};

constexpr Mode kModes[] = {
    {"mean", "pooling_mode_mean_tokens", Pooling::kMean},
    {"cls", "pooling_mode_cls_token", Pooling::kCls},
    {"lasttoken", "pooling_mode_lasttoken", Pooling::kLast},
    {"max", "pooling_mode_max_tokens", std::nullopt},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", std::nullopt},
    {"weightedmean", "pooling_mode_weightedmean_tokens", std::nullopt},
};

// "sentence_transformers.models.Pooling" -> "Pooling"
std::string last_part(const std::string& type) {
  return type.substr(type.rfind('.') + 1);
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.find_first_of("/\\") == std::string::npos && name[0] != '.' &&
         name.find('\0') == std::string::npos;
}

std::optional<std::string> read_if_there(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
  return read_text_file(path, kMaxConfigBytes);
}

}  // namespace

const char* name(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean: return "mean";
    case Pooling::kCls: return "first token";
    case Pooling::kLast: return "last token";
  }
  return "";
}

PoolingModules parse_pooling_modules(std::string_view modules_json) {
  // The root is a list; the reader takes objects.
  const json parsed =
      parse_json_object("{\"modules\":" + std::string(modules_json) + "}", "modules.json");
  const JsonReader root(parsed, "modules.json");
  const json* list = root.find("modules");
  if (!list || !list->is_array()) root.fail("modules", "a list of modules", "something else");
  PoolingModules modules;
  for (const json& item : *list) {
    if (!item.is_object()) root.fail("modules", "objects", brief(item));
    const JsonReader module(item, "modules.json");
    const std::string type = last_part(module.string("type"));
    if (type == "Normalize") {
      modules.normalize = true;
    } else if (type == "Pooling") {
      modules.pooling_folder = module.string("path");
      if (!is_plain_name(modules.pooling_folder))
        module.fail("path", "the name of a folder", brief(json(modules.pooling_folder)));
    } else if (type != "Transformer") {
      module.fail("type", "Transformer, Pooling or Normalize (others are not supported)", type);
    }
  }
  return modules;
}

Pooling parse_pooling(std::string_view pooling_json) {
  const json parsed = parse_json_object(pooling_json, "pooling config.json");
  const JsonReader root(parsed, "pooling config.json");
  const std::string named = root.string("pooling_mode", "");
  const Mode* chosen = nullptr;
  for (const Mode& mode : kModes) {
    if (named.empty() ? !root.boolean(mode.key, false) : named != mode.name) continue;
    if (chosen) root.fail(mode.key, "one pooling mode", "several");
    chosen = &mode;
  }
  if (!chosen || !chosen->pooling)
    root.fail("pooling_mode", "mean, cls or lasttoken",
              chosen          ? chosen->name
              : named.empty() ? "nothing"
                              : named);
  return *chosen->pooling;
}

int64_t parse_sentence_length(std::string_view sentence_json) {
  const json parsed = parse_json_object(sentence_json, "sentence_bert_config.json");
  return JsonReader(parsed, "sentence_bert_config.json")
      .integer("max_seq_length", 0, kMaxLength, 0);
}

PoolingConfig load_pooling(const std::filesystem::path& directory, bool encoder) {
  PoolingConfig config;
  config.pooling = encoder ? Pooling::kMean : Pooling::kLast;
  if (const auto text = read_if_there(directory / "modules.json")) {
    const PoolingModules modules = parse_pooling_modules(*text);
    config.normalize = modules.normalize;
    if (!modules.pooling_folder.empty())
      config.pooling = parse_pooling(
          read_text_file(directory / modules.pooling_folder / "config.json", kMaxConfigBytes));
  }
  if (const auto text = read_if_there(directory / "sentence_bert_config.json"))
    config.max_tokens = parse_sentence_length(*text);
  return config;
}

}  // namespace mica
