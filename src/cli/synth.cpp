#include "cli/synth.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "base/disk_space.h"
#include "base/error.h"
#include "checkpoint/synthetic_files.h"
#include "cli/null_backend.h"
#include "cli/synth_spec.h"
#include "model/model.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

struct SynthCommand {
  SynthFlags spec;
  std::string out;
  int threads = 0;
};

void check_target(const fs::path& out) {
  std::error_code failed;
  if (fs::exists(out, failed) && !(fs::is_directory(out, failed) && fs::is_empty(out, failed)))
    throw Error(ErrorKind::kUsage, "[synth] --out {}: expected a new or empty folder",
                out.string());
}

void copy_text_files(const fs::path& from, const fs::path& to) {
  if (from.empty()) return;
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "vocab.json", "merges.txt", "tiktoken.model", "chat_template.jinja",
        "chat_template.json", "generation_config.json"}) {
    std::error_code failed;
    if (!fs::exists(from / name, failed)) continue;
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, failed);
    if (failed)
      throw Error(ErrorKind::kCheckpoint, "[synth] {}: can't be copied: {}", (to / name).string(),
                  failed.message());
  }
}

// Makes the folder and asks for the room that the checkpoint takes.
void check_space(const fs::path& out, size_t bytes) {
  std::error_code failed;
  fs::create_directories(out, failed);
  check_disk_space(out, bytes, fmt::format("[synth] --out {}", out.string()));
}

size_t planned_bytes(const std::vector<WeightRequest>& requests, const SyntheticWeights& weights) {
  size_t bytes = 0;
  for (const WeightRequest& r : requests) {
    if (!r.is_linear) {
      bytes += static_cast<size_t>(r.shape.elements()) * size_of(weights.options().dtype);
      continue;
    }
    const LinearWeights w = weights.plan(r.path, r.rows, r.columns, r.experts);
    for (const Tensor* tensor : {&w.weight, &w.scales, &w.biases, &w.bias})
      if (tensor->shape.rank() > 0) bytes += tensor->bytes();
  }
  return bytes;
}

void synth(const SynthCommand& flags) {
  check_target(flags.out);
  const SynthSpec spec = resolve(flags.spec);
  SyntheticOptions options = spec.options;
  options.threads = flags.threads;
  SyntheticWeights weights(options);
  RecordingWeights recording(weights);
  {
    NullBackend backend;
    load_model(spec.config, recording, backend);
  }
  check_space(flags.out, planned_bytes(recording.requests(), weights));
  const auto start = std::chrono::steady_clock::now();
  const SyntheticFiles files =
      write_synthetic_checkpoint(flags.out, spec.config_json, recording.requests(), weights);
  copy_text_files(spec.directory, flags.out);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%s: %s, %.3g G parameters, %.3f GB in %d %s, written in %.2f s (%.2f GB/s)\n",
              flags.out.c_str(), to_string(options.scheme).c_str(),
              static_cast<double>(files.parameters) / 1e9, static_cast<double>(files.bytes) / 1e9,
              files.shards, files.shards == 1 ? "file" : "files", seconds,
              static_cast<double>(files.bytes) / 1e9 / seconds);
}

}  // namespace

void add_synth_command(CLI::App& app) {
  auto flags = std::make_shared<SynthCommand>();
  CLI::App* command = app.add_subcommand(
      "synth", "Write a checkpoint of random weights in the shape of a known model");
  command
      ->add_option("--like", flags->spec.like,
                   "Folder, config.json, repository id, or a built-in shape (Qwen3-0.6B, …)")
      ->required();
  command->add_option("--out", flags->out, "New folder for the checkpoint")->required();
  add_synth_flags(*command, flags->spec);
  command->add_option("--threads", flags->threads, "Threads (default: all)")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--offline", flags->spec.offline,
                    "Never ask the hub; use what is in its cache");
  command->callback([flags] { synth(*flags); });
}

}  // namespace mica
