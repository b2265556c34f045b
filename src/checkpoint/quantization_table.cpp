#include "checkpoint/quantization_table.h"

#include <iterator>

#include "checkpoint/json_reader.h"
#include "checkpoint/tensor_names.h"

namespace mica {
namespace {

using nlohmann::json;

constexpr QuantMode kModes[] = {QuantMode::kAffine, QuantMode::kMxfp4, QuantMode::kMxfp8,
                                QuantMode::kNvfp4};

std::optional<QuantMode> mode_named(const std::string& text) {
  for (const QuantMode mode : kModes)
    if (text == name(mode)) return mode;
  return std::nullopt;
}

// {"group_size", "bits", "mode"}: an absent mode is affine, absent numbers are those of the mode.
QuantScheme read_scheme(const JsonReader& fields) {
  const std::string text = fields.string("mode", "affine");
  const std::optional<QuantMode> mode = mode_named(text);
  if (!mode) fields.fail("mode", "affine, mxfp4, mxfp8 or nvfp4", brief(*fields.find("mode")));
  std::optional<int> bits, group;
  if (fields.has("bits")) bits = static_cast<int>(fields.integer("bits", 1, 64));
  if (fields.has("group_size")) group = static_cast<int>(fields.integer("group_size", 1, 1 << 20));
  const QuantScheme scheme = make_scheme(*mode, bits, group);
  if (!is_supported(scheme)) {
    const QuantScheme fixed = make_scheme(*mode, std::nullopt, std::nullopt);
    const bool affine = *mode == QuantMode::kAffine;
    if (affine ? scheme.group == 32 || scheme.group == 64 || scheme.group == 128
               : scheme.group == fixed.group)
      fields.fail("bits", affine ? "2, 3, 4, 5, 6 or 8" : fmt::format("{} ({})", fixed.bits, text),
                  std::to_string(scheme.bits));
    fields.fail("group_size", affine ? "32, 64 or 128" : fmt::format("{} ({})", fixed.group, text),
                std::to_string(scheme.group));
  }
  return scheme;
}

// `quantization_config` as other tools write it.
QuantScheme read_method(const JsonReader& fields) {
  const std::string method = fields.string("quant_method");
  if (method == "mxfp4" || method == "mxfp8") {
    const QuantMode mode = *mode_named(method);
    return make_scheme(mode, std::nullopt, std::nullopt);
  }
  throw Error(ErrorKind::kCheckpoint,
              "[checkpoint] {}: key 'quant_method': expected weights in MLX's formats, found {}; "
              "use a checkpoint made by mlx_lm.convert, or the unquantized original",
              fields.place(), brief(*fields.find("quant_method")));
}

std::optional<JsonReader> find_block(const JsonReader& root) {
  if (auto block = root.object("quantization")) return block;
  if (auto block = root.object("quantization_config")) return block;
  if (auto text = root.object("text_config")) return text->object("quantization_config");
  return std::nullopt;
}

}  // namespace

QuantizationTable QuantizationTable::parse(std::string_view config_json) {
  const json parsed = parse_json_object(config_json, "config.json");
  const JsonReader root(parsed, "config.json");
  QuantizationTable table;
  const std::optional<JsonReader> block = find_block(root);
  if (!block) return table;
  if (!block->has("bits") && !block->has("mode") && block->has("quant_method")) {
    table.general_ = read_method(*block);
    return table;
  }
  if (block->has("quant_method") && block->string("quant_method", "") != "affine" &&
      !root.has("quantization")) {
    table.general_ = read_method(*block);
    return table;
  }
  table.general_ = read_scheme(*block);
  for (const auto& [key, value] : block->value().items()) {
    if (value.is_object())
      table.named_[canonical_name(key)] =
          read_scheme(JsonReader(value, block->place() + ": " + key));
    else if (value.is_boolean() && key.find('.') != key.npos)
      table.named_[canonical_name(key)] = value.get<bool>() ? *table.general_ : QuantScheme{};
  }
  return table;
}

std::optional<QuantScheme> QuantizationTable::named(const std::string& path) const {
  const auto found = named_.find(canonical_name(path));
  if (found == named_.end()) return std::nullopt;
  return found->second;
}

bool is_supported(const QuantScheme& scheme) {
  const int bits = scheme.bits, group = scheme.group;
  if (scheme.mode == QuantMode::kAffine)
    return (bits == 2 || bits == 3 || bits == 4 || bits == 5 || bits == 6 || bits == 8) &&
           (group == 32 || group == 64 || group == 128);
  return scheme.mode == QuantMode::kNone ||
         scheme == make_scheme(scheme.mode, std::nullopt, std::nullopt);
}

QuantMode parse_quant_mode(const std::string& text) {
  const std::optional<QuantMode> mode = mode_named(text);
  if (!mode)
    throw Error(ErrorKind::kUsage,
                "[quantization] mode: expected affine, mxfp4, mxfp8 or nvfp4, found '{}'", text);
  return *mode;
}

const char* name(QuantMode mode) {
  switch (mode) {
    case QuantMode::kNone: return "none";
    case QuantMode::kAffine: return "affine";
    case QuantMode::kMxfp4: return "mxfp4";
    case QuantMode::kMxfp8: return "mxfp8";
    case QuantMode::kNvfp4: return "nvfp4";
  }
  return "?";
}

QuantScheme make_scheme(QuantMode mode, std::optional<int> bits, std::optional<int> group) {
  switch (mode) {
    case QuantMode::kNone: return {};
    case QuantMode::kAffine: return {mode, bits.value_or(4), group.value_or(64)};
    case QuantMode::kMxfp4: return {mode, bits.value_or(4), group.value_or(32)};
    case QuantMode::kMxfp8: return {mode, bits.value_or(8), group.value_or(32)};
    case QuantMode::kNvfp4: return {mode, bits.value_or(4), group.value_or(16)};
  }
  return {};
}

}  // namespace mica
