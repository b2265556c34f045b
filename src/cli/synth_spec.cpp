#include "cli/synth_spec.h"

#include <CLI/CLI.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/hub/hub.h"
#include "checkpoint/quantization_table.h"
#include "checkpoint/shapes.h"
#include "model/synthetic_options.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

struct Like {
  std::string config_json;
  fs::path directory;  // empty: there is none to take a tokenizer from
};

// A file, a folder, a built-in shape or a model of the hub, in this order.
Like find_like(const SynthFlags& flags) {
  constexpr size_t kMaxConfigBytes = size_t{64} << 20;
  const fs::path path = flags.like;
  std::error_code failed;
  if (fs::is_regular_file(path, failed)) return {read_text_file(path, kMaxConfigBytes), {}};
  if (fs::is_directory(path, failed))
    return {read_text_file(path / "config.json", kMaxConfigBytes), path};
  if (const auto shipped = shipped_config(flags.like)) return {std::string(*shipped), {}};
  if (flags.like.find('/') == flags.like.npos) {
    std::string names;
    for (const std::string& name : shipped_config_names())
      names += (names.empty() ? "" : ", ") + name;
    throw Error(ErrorKind::kUsage,
                "--like/--synth {}: expected a folder, a config.json, org/name of the hub, or one "
                "of {}",
                flags.like, names);
  }
  HubOptions hub = hub_options_from_environment();
  hub.offline = hub.offline || flags.offline;
  const fs::path directory = resolve_model(flags.like, hub);
  return {read_text_file(directory / "config.json", kMaxConfigBytes), directory};
}

QuantScheme scheme_of(const SynthFlags& flags) {
  if (flags.mode == "none" || flags.bits >= 16) return {};
  const QuantMode mode = parse_quant_mode(flags.mode);
  const auto given = [](int value) { return value ? std::optional(value) : std::nullopt; };
  const QuantScheme scheme = make_scheme(mode, given(flags.bits), given(flags.group_size));
  if (!is_supported(scheme))
    throw Error(ErrorKind::kUsage,
                "--mode {} --bits {} --group-size {}: expected affine with bits 2 3 4 5 6 8 "
                "and groups 32 64 128, mxfp4 (4, 32), mxfp8 (8, 32) or nvfp4 (4, 16)",
                flags.mode, scheme.bits, scheme.group);
  return scheme;
}

DType dtype_of(const std::string& text, DType otherwise) {
  if (text.empty()) return otherwise;
  if (text == "float32") return DType::kF32;
  if (text == "float16") return DType::kF16;
  if (text == "bfloat16") return DType::kBF16;
  throw Error(ErrorKind::kUsage, "--dtype: expected float32, float16 or bfloat16, found '{}'",
              text);
}

}  // namespace

void add_synth_flags(CLI::App& command, SynthFlags& flags) {
  command.add_option("--bits", flags.bits, "2 3 4 5 6 8; 16: not quantized (default: 4)")
      ->check(CLI::Range(2, 32));
  command.add_option("--group-size", flags.group_size, "32 64 128 (default: 64)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--mode", flags.mode, "affine, mxfp4, mxfp8, nvfp4 or none")
      ->capture_default_str();
  command.add_option("--dtype", flags.dtype,
                     "float32, float16 or bfloat16 (default: that of the config)");
  command.add_option("--seed", flags.seed, "Seed of the weights")->capture_default_str();
}

SynthSpec resolve(const SynthFlags& flags) {
  SynthSpec spec;
  Like like = find_like(flags);
  spec.config_json = std::move(like.config_json);
  spec.directory = std::move(like.directory);
  spec.config = parse_model_config(spec.config_json);
  spec.options = synthetic_options(spec.config);
  spec.options.scheme = scheme_of(flags);
  spec.options.dtype = dtype_of(flags.dtype, spec.config.dtype);
  spec.options.seed = flags.seed;
  spec.config.dtype = spec.options.dtype;
  return spec;
}

}  // namespace mica
