// What the server adds to the engine. The same requests, all at once, go to the engine itself and
// as streams through the HTTP server of this process, in turn; medians over the rounds.
//   bench_serving --model DIR [--streams 8] [--tokens 128] [--rounds 5]
//   bench_serving --fake      a model of almost no work: the cost of a streamed token in the server
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "engine/fake_model.h"
#include "model/config.h"
#include "server/app.h"
#include "stream_client.h"

namespace mica {
namespace {

struct Flags {
  std::string model = "models/demo";
  std::string device = "cpu";
  int threads = 0;
  int streams = 8;
  int tokens = 128;
  int prompt_tokens = 16;
  int rounds = 5;
  bool fake = false;
  int stream_interval = 5;
};

// One pass of all requests. The client's own CPU time, and that of waiting, is not in it.
struct Pass {
  double tokens_per_second = 0;
  double cpu_us_per_token = 0;
};

double process_cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Different for every stream and round, so that no prompt is found in the prefix cache.
std::vector<int32_t> prompt_of(const Flags& flags, int32_t vocabulary, int round, int stream) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < flags.prompt_tokens; ++i)
    prompt.push_back(100 + (round * 1009 + stream * 101 + i * 7) % (vocabulary - 100));
  return prompt;
}

class Bench {
 public:
  Bench(const Flags& flags, Engine& engine, ServedModel served)
      : flags_(flags), engine_(engine), app_(options()) {
    served.metrics = &app_.metrics();
    app_.set_ready(served);
  }
  ~Bench() { app_.stop(); }

  Pass engine_alone(int round) {
    const double cpu = process_cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::shared_ptr<EventStream>> streams;
    for (int s = 0; s < flags_.streams; ++s) {
      Request request;
      request.prompt = prompt_of(flags_, vocabulary_, round, s);
      request.max_tokens = flags_.tokens;
      request.sampling.temperature = 0;
      streams.push_back(engine_.submit(std::move(request)));
    }
    int64_t tokens = 0;
    for (const auto& stream : streams)
      for (bool open = true; open;) {
        const auto event = stream->next(std::chrono::minutes(2));
        if (!event) throw Error(ErrorKind::kMeasurement, "[serving] the engine gave nothing");
        tokens += event->kind == Event::Kind::kToken;
        open = event->kind != Event::Kind::kFinished;
      }
    return pass(tokens, start, process_cpu_seconds() - cpu);
  }

  Pass served(int round) {
    nlohmann::json body = {{"stream", true},
                           {"max_tokens", flags_.tokens},
                           {"temperature", 0},
                           {"ignore_eos", true},
                           {"model", "default_model"}};
    std::vector<std::string> bodies;
    for (int s = 0; s < flags_.streams; ++s) {
      body["prompt"] = prompt_of(flags_, vocabulary_, round, s);
      bodies.push_back(body.dump());
    }
    const uint64_t before = engine_.stats().generated_tokens;
    const double cpu = process_cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    const StreamLoad load = run_streams(app_.port(), "/v1/completions", bodies);
    const auto tokens = static_cast<int64_t>(engine_.stats().generated_tokens - before);
    if (tokens != int64_t{flags_.streams} * flags_.tokens)
      throw Error(ErrorKind::kMeasurement, "[serving] expected {} tokens, the engine made {}",
                  flags_.streams * flags_.tokens, tokens);
    events_ += load.events;
    bytes_ += load.bytes;
    return pass(tokens, start, process_cpu_seconds() - cpu - load.cpu_seconds);
  }

  void run(int32_t vocabulary) {
    vocabulary_ = vocabulary;
    engine_alone(0);
    served(1);
    events_ = bytes_ = 0;
    std::vector<double> engine_speed, served_speed, ratio, cost;
    for (int round = 0; round < flags_.rounds; ++round) {
      // Neighbours in time are compared, and who comes first changes.
      Pass alone, through;
      if (round % 2 == 0) alone = engine_alone(2 * round + 2);
      through = served(2 * round + 3);
      if (round % 2 != 0) alone = engine_alone(2 * round + 2);
      engine_speed.push_back(alone.tokens_per_second);
      served_speed.push_back(through.tokens_per_second);
      ratio.push_back(through.tokens_per_second / alone.tokens_per_second);
      cost.push_back(through.cpu_us_per_token - alone.cpu_us_per_token);
    }
    const double tokens = double(flags_.rounds) * flags_.streams * flags_.tokens;
    std::printf(
        "%d streams of %d tokens, %d rounds, medians\n"
        "engine alone   %10.1f tokens/s\n"
        "HTTP streams   %10.1f tokens/s\n"
        "ratio          %10.3f (%.3f to %.3f)\n"
        "server's cost  %10.2f us of CPU a streamed token (%.2f to %.2f), %.2f events and %.0f "
        "bytes a token\n",
        flags_.streams, flags_.tokens, flags_.rounds, median(engine_speed), median(served_speed),
        median(ratio), *std::min_element(ratio.begin(), ratio.end()),
        *std::max_element(ratio.begin(), ratio.end()), median(cost),
        *std::min_element(cost.begin(), cost.end()), *std::max_element(cost.begin(), cost.end()),
        static_cast<double>(events_) / tokens, static_cast<double>(bytes_) / tokens);
  }

 private:
  static AppOptions options() {
    AppOptions out;
    out.http.port = 0;
    return out;
  }

  static Pass pass(int64_t tokens, std::chrono::steady_clock::time_point start, double cpu) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return {static_cast<double>(tokens) / seconds, cpu * 1e6 / static_cast<double>(tokens)};
  }

  const Flags flags_;
  Engine& engine_;
  App app_;
  int32_t vocabulary_ = 0;
  int64_t events_ = 0, bytes_ = 0;
};

void run(const Flags& flags) {
  ModelConfig config = load_model_config(flags.model);
  Checkpoint checkpoint(flags.model);
  adopt_stored(config, checkpoint);
  const TextModel text(flags.model, config.eos_token_ids);
  BackendOptions backend_options;
  backend_options.device = flags.device;
  backend_options.threads = flags.threads;
  const std::unique_ptr<Backend> backend =
      flags.fake ? std::make_unique<fake::FakeBackend>() : make_backend(backend_options);
  const auto vocabulary = static_cast<int32_t>(config.vocab_size);
  const std::unique_ptr<Model> model =
      flags.fake ? std::make_unique<fake::FakeModel>(fake::FakeOptions{.vocabulary = vocabulary})
                 : load_model(config, checkpoint, *backend);
  EngineOptions options;
  options.max_batch_sequences = std::max(32, flags.streams);
  options.kv_bytes = size_t{128} << 20;
  Engine engine(*backend, *model, options);
  ServedModel served;
  served.engine = &engine;
  served.text = &text;
  served.vocabulary = vocabulary;
  served.id = "bench";
  served.device = backend->info().name;
  served.defaults.stream_interval = std::chrono::milliseconds(flags.stream_interval);
  Bench(flags, engine, served).run(vocabulary);
}

}  // namespace
}  // namespace mica

int main(int argc, char** argv) {
  CLI::App app("What the server adds to the engine");
  mica::Flags flags;
  app.add_option("--model", flags.model, "Folder of a checkpoint")->capture_default_str();
  app.add_option("--device", flags.device, "cpu, cuda, …")->capture_default_str();
  app.add_option("--threads", flags.threads, "Of the CPU backend (0: all)");
  app.add_option("--streams", flags.streams, "Requests at once")->capture_default_str();
  app.add_option("--tokens", flags.tokens, "Of each answer")->capture_default_str();
  app.add_option("--prompt-tokens", flags.prompt_tokens, "Of each prompt")->capture_default_str();
  app.add_option("--rounds", flags.rounds, "Pairs of passes")->capture_default_str();
  app.add_option("--stream-interval-ms", flags.stream_interval, "As that of serve")
      ->capture_default_str();
  app.add_flag("--fake", flags.fake, "A model of almost no work with the text side of --model");
  CLI11_PARSE(app, argc, argv);
  try {
    mica::run(flags);
  } catch (const mica::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return mica::exit_status(error.kind());
  }
}
