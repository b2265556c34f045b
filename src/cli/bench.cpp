// mica bench --offline: prefill and decode speed beside what this machine's memory delivers.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "base/log.h"
#include "bench/device_draw.h"
#include "bench/offline_report.h"
#include "bench/timed_weights.h"
#include "cli/bench_backends.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/synth_spec.h"

namespace mica {
namespace {

struct BenchFlags {
  ModelFlags model;
  OfflineOptions options;
  SynthFlags synth;
  std::vector<int32_t> depths;
  bool offline = false;
  std::string format = "md";
  std::shared_ptr<BenchBackendsFlags> backends;
};

// What is measured; the model goes before its backend.
struct Subject {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
};

Subject open_checkpoint(BenchFlags& flags, OfflineReport& report) {
  LoadedModel loaded = load(flags.model, /*with_text=*/false);
  report.model = loaded.directory.filename().string();
  report.load_seconds = loaded.load_seconds;
  return {std::move(loaded.backend), std::move(loaded.model)};
}

Subject open_random(BenchFlags& flags, OfflineReport& report) {
  Subject subject;
  subject.backend = make_backend(flags.model.backend);
  log_info("device {}: {}", subject.backend->info().kind, subject.backend->info().name);
  const SynthSpec spec = resolve(flags.synth);
  report.model = flags.synth.like + " (random)";
  report.weights = spec.options.scheme.mode == QuantMode::kNone ? name(spec.options.dtype)
                                                                : to_string(spec.options.scheme);
  SyntheticWeights weights(spec.options, drawing_device(*subject.backend));
  report.drawn_on_device = subject.backend->ops().draw != nullptr;
  TimedWeights timed(weights);
  const auto start = std::chrono::steady_clock::now();
  subject.model = load_model(spec.config, timed, *subject.backend);
  subject.backend->synchronize();
  report.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.source_seconds = timed.seconds();
  return subject;
}

// A flag of the other kind of measurement would be read and then mean nothing.
void refuse_flags_of_the_other_kind(const CLI::App& command, bool servers) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (option->count() == 0 || name == "--model" || name == "model" || name == "--kv-bits" ||
        name == "--depth")
      continue;
    const bool of_servers =
        option->get_group() == kServersGroup || option->get_group() == kLaunchGroup;
    if (of_servers != servers)
      throw Error(ErrorKind::kUsage, "bench: {} is for {}", name,
                  servers ? "--offline, without servers (a setting of a backend: --set NAME=VALUE)"
                          : "servers: --backend mica,vllm,…");
  }
}

void run(BenchFlags& flags, const CLI::App& command) {
  if (names_backends(*flags.backends)) {
    if (flags.offline) throw Error(ErrorKind::kUsage, "bench: give either --offline or --backend");
    refuse_flags_of_the_other_kind(command, true);
    const int status = run_bench_backends(*flags.backends, flags.model.model,
                                          flags.options.kv_quant.bits, flags.depths);
    if (status != 0) throw Ending{status};
    return;
  }
  if (!flags.offline)
    throw Error(ErrorKind::kUsage,
                "bench: give --backend mica,vllm,… to measure servers, or --offline to measure "
                "Mica in this process");
  refuse_flags_of_the_other_kind(command, false);
  if (flags.synth.like.empty() == flags.model.model.empty())
    throw Error(ErrorKind::kUsage, "bench: give either --model or --synth");
  if (flags.depths.size() > 1)
    throw Error(ErrorKind::kUsage, "bench: --offline: expected one --depth, found {}",
                flags.depths.size());
  if (!flags.depths.empty()) flags.options.depth = flags.depths[0];
  OfflineReport report;
  report.version = MICA_VERSION;
  report.options = flags.options;
  Subject subject =
      flags.synth.like.empty() ? open_checkpoint(flags, report) : open_random(flags, report);
  report.device = subject.backend->info();
  report.weight_bytes = subject.model->weight_bytes();
  report.step_weight_bytes = subject.model->bytes_per_step(1);
  report.limits = measure_limits(*subject.backend);
  report.results = run_offline(*subject.backend, *subject.model, report.limits, flags.options);
  const std::string text = flags.format == "json" ? to_json(report) : to_markdown(report);
  std::fputs(text.c_str(), stdout);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command =
      app.add_subcommand("bench", "Measure engines side by side, or Mica alone without a server");
  command->add_flag("--offline", flags->offline, "Without a server, in this process");
  command->add_option("model,--model", flags->model.model,
                      "Folder of a checkpoint, org/name, with --backend also a name of the models "
                      "file, or several as a,b");
  flags->backends = add_bench_backends_flags(*command);
  command->option_defaults()->group("Mica alone (--offline)");
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
  command
      ->add_option("--prompt-streams", flags->options.prompt_streams,
                   "Sequences at once in the prefill tests (default: as --streams)")
      ->delimiter(',')
      ->check(CLI::Range(1, 256));
  command->add_flag("--engine", flags->options.engine,
                    "Decode also through the scheduler and sampler that serve uses");
  command
      ->add_option("-d,--depth", flags->depths,
                   "Tokens already in the cache; with --backend several, a point each")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
  add_kv_flags(*command, flags->options.kv_quant);
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
  command->callback([flags, command] { run(*flags, *command); });
}

}  // namespace mica
