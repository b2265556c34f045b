#include "cli/load.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <future>

#include "base/log.h"
#include "bench/limits.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/hub/hub.h"
#include "ops/self_test.h"

namespace mica {

void add_device_flags(CLI::App& command, BackendOptions& options) {
  options.device = default_device();
  command
      .add_option("--device", options.device,
                  "Where to run: cpu; cuda or cuda:N, an NVIDIA GPU; ref, plain loops, slow; simt, "
                  "the GPU's kernels emulated, very slow. Never another than this")
      ->capture_default_str();
  command.add_flag("--deterministic", options.deterministic,
                   "On a GPU: the same tokens whatever else runs beside a request (docs/cuda.md); "
                   "the CPU always does");
  command.add_option("--threads", options.threads, "CPU threads (default: physical cores)")
      ->check(CLI::Range(0, 1024));
  command.add_option(
      "--isa", options.isa,
      "CPU instruction set: portable, avx2, avx512 (default: the best there is), or avx512bf16: "
      "faster prefill of bf16 layers for activations rounded to bf16");
}

void add_model_flags(CLI::App& command, ModelFlags& flags, const std::string& default_model) {
  flags.model = default_model;
  auto* model = command.add_option(
      "--model", flags.model, "Folder of an MLX or Hugging Face checkpoint, or a repository id");
  if (default_model.empty()) model->required();
  command.add_flag("--offline", flags.offline, "Never ask the hub; use what is in its cache");
  command.add_flag_callback(
      "--trust-remote-code", [] {}, "Accepted as in mlx-lm; Mica runs no code of checkpoints");
  add_device_flags(command, flags.backend);
}

void add_kv_flags(CLI::App& command, KvQuantOptions& options) {
  command
      .add_option("--kv-bits", options.bits,
                  "Keep keys and values in 8 or 4 bits (default: as the checkpoint's numbers)")
      ->check(CLI::IsMember({8, 4}));
  command
      .add_option("--kv-group-size", options.group,
                  "Elements of a key or value that share a scale: 32, 64 or 128")
      ->check(CLI::IsMember({32, 64, 128}))
      ->capture_default_str();
  command.add_option_function<int32_t>(
      "--quantized-kv-start",
      [](const int32_t& start) {
        if (start != 0)
          log_warning("--quantized-kv-start {}: Mica quantizes all tokens, from 0 on", start);
      },
      "Accepted as in mlx-lm; --kv-bits holds for all tokens, from 0 on");
}

void add_missing_flag(CLI::App& command, const std::string& name, const std::string& what) {
  command
      .add_option_function<std::string>(
          name,
          [name, what](const std::string&) {
            throw Error(ErrorKind::kUsage, "{}: {} is not in this version of Mica", name, what);
          })
      ->group("");  // not shown in --help
}

namespace {

// One line about the device. A device with memory of its own is measured: bytes per second.
double announce(Backend& backend) {
  const DeviceInfo device = backend.info();
  const double bandwidth = device.own_memory ? ReadProbe(backend).measure(5).bytes_per_second : 0;
  std::string memory;
  if (device.own_memory)
    memory = fmt::format(", {:.1f} of {:.1f} GB free, {:.3g} GB/s", device.memory_free / 1e9,
                         device.memory_total / 1e9, bandwidth / 1e9);
  log_info("device {}: {}{}", device.kind, device.name, memory);
  return bandwidth;
}

// A device that can compute wrongly in ways that the host can't must prove itself first.
void check_device(Backend& backend, DType dtype) {
  const DeviceInfo device = backend.info();
  if (!device.own_memory) return;
  const auto checks = self_test(backend, dtype);
  require_passed(checks, device);
  log_info("device {}: self-test passed, {} kernel families", device.kind, checks.size());
}

// `check`: the device first computes what it must be able to.
LoadedParts load_parts(Backend& backend, const ModelFlags& flags, bool with_text, bool check) {
  const auto start = std::chrono::steady_clock::now();
  LoadedParts loaded;
  HubOptions hub = hub_options_from_environment();
  hub.offline = hub.offline || flags.offline;
  loaded.directory = resolve_model(flags.model, hub);
  ModelConfig config = load_model_config(loaded.directory);
  Checkpoint weights(loaded.directory);
  adopt_stored(config, weights);

  // The tokenizer's file is parsed while the weights are repacked.
  std::future<std::unique_ptr<TextModel>> text;
  if (with_text)
    text = std::async(std::launch::async, [&] {
      return std::make_unique<TextModel>(loaded.directory, config.eos_token_ids,
                                         flags.chat_template);
    });
  if (check) check_device(backend, config.dtype);
  loaded.model = load_model(config, weights, backend);
  warn_of_unread(config, weights);
  if (with_text) loaded.text = text.get();
  log_info("model {}: {}, {:.4g} MB of weights, loaded in {:.2f} s",
           loaded.directory.filename().string(), config.model_type,
           static_cast<double>(loaded.model->weight_bytes()) / 1e6,
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return loaded;
}

}  // namespace

LoadedModel load(const ModelFlags& flags, bool with_text) {
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded;
  loaded.backend = make_backend(flags.backend);  // before any long work: a wrong device ends here
  loaded.bandwidth = announce(*loaded.backend);
  LoadedParts parts = load_parts(*loaded.backend, flags, with_text, /*check=*/true);
  loaded.directory = std::move(parts.directory);
  loaded.model = std::move(parts.model);
  loaded.text = std::move(parts.text);
  loaded.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

LoadedParts load_onto(Backend& backend, const ModelFlags& flags, bool with_text) {
  return load_parts(backend, flags, with_text, /*check=*/false);
}

}  // namespace mica
