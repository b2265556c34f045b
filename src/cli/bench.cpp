// mica bench --offline: prefill and decode speed beside what this machine's memory delivers.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "bench/offline.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/synth_spec.h"

namespace mica {
namespace {

struct BenchFlags {
  ModelFlags model;
  OfflineOptions options;
  SynthFlags synth;
  bool offline = false;
  std::string format = "md";
};

// What was measured, with the model's name and how its weights are stored.
struct Subject {
  std::string name, weights;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
};

Subject open_subject(BenchFlags& flags) {
  if (flags.synth.like.empty() == flags.model.model.empty())
    throw Error(ErrorKind::kUsage, "bench: give either --model or --synth");
  Subject subject;
  if (flags.synth.like.empty()) {
    LoadedModel loaded = load(flags.model, /*with_text=*/false);
    subject.name = loaded.directory.filename().string();
    subject.backend = std::move(loaded.backend);
    subject.model = std::move(loaded.model);
    return subject;
  }
  subject.backend = make_backend(flags.model.backend);
  log_info("device {}: {}", subject.backend->info().kind, subject.backend->info().name);
  const SynthSpec spec = resolve(flags.synth);
  SyntheticWeights weights(spec.options);
  subject.name = flags.synth.like + " (random)";
  subject.weights = spec.options.scheme.mode == QuantMode::kNone ? name(spec.options.dtype)
                                                                 : to_string(spec.options.scheme);
  subject.model = load_model(spec.config, weights, *subject.backend);
  return subject;
}

std::string markdown(const Subject& subject, const std::vector<OfflineResult>& results,
                     const BandwidthProbe& probe) {
  std::string text = fmt::format(
      "Memory read here: {:.1f} GB/s with {} threads (median of a probe before the runs; each "
      "share "
      "below is of probes beside its own runs)\n\n"
      "| model | weights | test | tokens/s | GB/s | of bandwidth | GOP/s |\n"
      "|---|---|---|---|---|---|---|\n",
      probe.bytes_per_second / 1e9, probe.threads);
  for (const OfflineResult& r : results) {
    text += fmt::format("| {} | {} | {} | {:.2f} ± {:.2f} |", subject.name, subject.weights, r.test,
                        r.tokens_per_second, r.deviation);
    text += r.bytes_per_second > 0 ? fmt::format(" {:.1f} | {:.0f} % | |\n",
                                                 r.bytes_per_second / 1e9, 100 * r.bandwidth_share)
                                   : fmt::format(" | | {:.0f} |\n", r.operations_per_second / 1e9);
  }
  return text;
}

std::string json(const Subject& subject, const std::vector<OfflineResult>& results,
                 const BandwidthProbe& probe) {
  nlohmann::ordered_json out;
  const DeviceInfo device = subject.backend->info();
  out["device"] = {{"kind", device.kind}, {"name", device.name}};
  out["model"] = subject.name;
  out["weights"] = subject.weights;
  out["weight_bytes"] = subject.model->weight_bytes();
  out["bytes_per_token"] = subject.model->bytes_per_token();
  out["read_bandwidth"] = {{"median_bytes_per_second", probe.bytes_per_second},
                           {"best_bytes_per_second", probe.best},
                           {"threads", probe.threads}};
  for (const OfflineResult& r : results)
    out["results"].push_back({{"test", r.test},
                              {"streams", r.streams},
                              {"tokens_per_second", r.tokens_per_second},
                              {"deviation", r.deviation},
                              {"samples", r.samples},
                              {"bytes_per_second", r.bytes_per_second},
                              {"bandwidth_share", r.bandwidth_share},
                              {"operations_per_second", r.operations_per_second}});
  return out.dump(2) + "\n";
}

void run(BenchFlags& flags) {
  if (!flags.offline)
    throw Error(ErrorKind::kUsage,
                "bench: this version measures without a server only; give --offline");
  Subject subject = open_subject(flags);
  const int threads = subject.backend->info().threads;
  const BandwidthProbe probe = probe_read_bandwidth(threads);
  const auto results = run_offline(*subject.backend, *subject.model, threads, flags.options);
  const std::string text =
      flags.format == "json" ? json(subject, results, probe) : markdown(subject, results, probe);
  std::fputs(text.c_str(), stdout);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "Measure prefill and decode speed");
  command->add_flag("--offline", flags->offline, "Without a server, in this process");
  command->add_option("--model", flags->model.model, "Folder of a checkpoint, or a repository id");
  command->add_option("--synth", flags->synth.like,
                      "Random weights in the shape of a built-in model (Qwen3-0.6B, …), a "
                      "config.json or a folder with one");
  add_synth_flags(*command, flags->synth);
  command->add_option("-p", flags->options.prompt, "Prompt tokens of the prefill tests")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("-n", flags->options.generate, "Tokens of the decode tests")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("-b,--streams", flags->options.streams, "Sequences at once")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("-d,--depth", flags->options.depth, "Tokens already in the cache")
      ->check(CLI::NonNegativeNumber);
  command->add_option("-r,--repetitions", flags->options.repetitions, "Counted runs of each test")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--prefill-step-size", flags->options.step_tokens, "Prompt tokens at once")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("-o,--output", flags->format, "md or json")
      ->check(CLI::IsMember({"md", "json"}))
      ->capture_default_str();
  add_device_flags(*command, flags->model.backend);
  command->callback([flags] { run(*flags); });
}

}  // namespace mica
