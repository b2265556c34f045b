#include "bench/offline.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "bench/engine_decode.h"
#include "engine/single.h"

namespace mica {
namespace {

constexpr int32_t kEnginePrompt = 16;  // tokens, where no depth is asked for

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<int32_t> random_tokens(int64_t vocab, size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int32_t> ids(0, static_cast<int32_t>(vocab) - 1);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = ids(generator);
  return tokens;
}

// Keys and values of one token in all layers, at most `window` of them where a layer slides.
double cache_bytes(const Model& model, const KvQuantOptions& kv_quant, double context) {
  double bytes = 0;
  for (const CacheSpec& spec : with_quantization(model.cache_layers(), kv_quant)) {
    const double seen =
        spec.window > 0 ? std::min(context, static_cast<double>(spec.window)) : context;
    bytes += 2 * seen * static_cast<double>(spec.kv_heads * spec.vector_bytes());
  }
  return bytes;
}

// The value below which `share` of them lie; `values` are sorted on return.
double quantile(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::lround(share * last))];
}

// One model, one number of streams: prepares the cache to `depth` and times steps from there.
class Bench {
 public:
  // `longest` tokens at most in one test; prompts in steps of `step_tokens`.
  Bench(Backend& backend, Model& model, int32_t streams, int32_t depth, int32_t longest,
        int32_t step_tokens, const KvQuantOptions& kv_quant)
      : backend_(backend),
        model_(model),
        streams_(streams),
        step_tokens_(step_tokens),
        runner_(backend, model, streams, depth + longest + 1, step_tokens, streams, kv_quant) {
    feed(depth);
    depth_ = runner_.length();
  }

  double prefill(int32_t tokens) {
    runner_.rewind(depth_);
    return seconds_of([&] { feed(tokens); });
  }

  // Seconds of each step, waited for.
  std::vector<double> decode(int32_t tokens) {
    const std::vector<int32_t> ids = start(tokens);
    std::vector<double> steps;
    for (int32_t i = 0; i < tokens; ++i)
      steps.push_back(seconds_of([&] {
        step(ids, i);
        backend_.synchronize();
      }));
    return steps;
  }

  // Seconds of all steps when only the last is waited for.
  double decode_queued(int32_t tokens) {
    const std::vector<int32_t> ids = start(tokens);
    return seconds_of([&] {
      for (int32_t i = 0; i < tokens; ++i) step(ids, i);
      backend_.synchronize();
    });
  }

 private:
  std::vector<int32_t> start(int32_t tokens) {
    runner_.rewind(depth_);
    backend_.synchronize();
    return random_tokens(model_.config().vocab_size,
                         static_cast<size_t>(tokens) * static_cast<size_t>(streams_), 7);
  }

  void step(const std::vector<int32_t>& ids, int32_t i) {
    const auto streams = static_cast<size_t>(streams_);
    runner_.step({ids.data() + static_cast<size_t>(i) * streams, streams});
  }

  // A different prompt each time would defeat nothing here (there is no prefix cache below the
  // engine), so one seed keeps repetitions equal.
  void feed(int32_t tokens) {
    for (int32_t done = 0; done < tokens;) {
      const int32_t count = std::min(step_tokens_, tokens - done);
      const auto ids =
          random_tokens(model_.config().vocab_size,
                        static_cast<size_t>(count) * static_cast<size_t>(streams_), 11);
      runner_.step(ids);
      backend_.synchronize();
      done += count;
    }
  }

  Backend& backend_;
  Model& model_;
  int32_t streams_;
  int32_t step_tokens_;
  DirectRunner runner_;
  int32_t depth_ = 0;
};

void summarize(OfflineResult& result) {
  const auto n = static_cast<double>(result.samples.size());
  result.tokens_per_second = std::accumulate(result.samples.begin(), result.samples.end(), 0.0) / n;
  double squares = 0;
  for (double s : result.samples)
    squares += (s - result.tokens_per_second) * (s - result.tokens_per_second);
  result.deviation = n > 1 ? std::sqrt(squares / (n - 1)) : 0;
}

int32_t longest_of(const std::vector<int32_t>& list) {
  return list.empty() ? 0 : *std::max_element(list.begin(), list.end());
}

// All tests of one model; results in the order of the options.
class Tests {
 public:
  Tests(Backend& backend, Model& model, const DeviceLimits& limits, const OfflineOptions& options)
      : backend_(backend), model_(model), limits_(limits), options_(options), probe_(backend) {}

  void prefill(int32_t streams) {
    if (longest_of(options_.prompt) == 0) return;
    Bench bench(backend_, model_, streams, options_.depth, longest_of(options_.prompt),
                options_.step_tokens, options_.kv_quant);
    for (const int32_t tokens : options_.prompt) {
      if (tokens == 0) continue;
      OfflineResult result = named("pp", tokens, streams);
      bench.prefill(tokens);
      for (int32_t i = 0; i < options_.repetitions; ++i)
        result.samples.push_back(tokens * streams / bench.prefill(tokens));
      summarize(result);
      add(result);
    }
  }

  void decode(int32_t streams) {
    if (longest_of(options_.generate) == 0) return;
    Bench bench(backend_, model_, streams, options_.depth, longest_of(options_.generate),
                options_.depth > 0 ? options_.step_tokens : 1, options_.kv_quant);
    for (const int32_t tokens : options_.generate) {
      if (tokens == 0) continue;
      OfflineResult result = named("tg", tokens, streams);
      bench.decode(tokens);
      std::vector<double> steps, queued;
      std::vector<double> probes{probe_.measure(5).bytes_per_second};
      for (int32_t i = 0; i < options_.repetitions; ++i) {
        const std::vector<double> now = bench.decode(tokens);
        steps.insert(steps.end(), now.begin(), now.end());
        result.samples.push_back(tokens * streams / std::accumulate(now.begin(), now.end(), 0.0));
        queued.push_back(bench.decode_queued(tokens) / tokens);
        probes.push_back(probe_.measure(3).bytes_per_second);
      }
      result.queued_step_seconds = quantile(queued, 0.5);
      set_steps(result, steps);
      result.gap_seconds = std::max(0.0, result.step_seconds - result.queued_step_seconds);
      set_bytes(result, options_.depth + 0.5 * tokens, quantile(probes, 0.5));
      add(result);
    }
  }

  void engine(int32_t streams) {
    const int32_t prompt = std::max(options_.depth, kEnginePrompt);
    for (const int32_t tokens : options_.generate) {
      if (tokens == 0) continue;
      OfflineResult result = named("engine", tokens, streams);
      EngineBench bench(backend_, model_, streams, prompt, tokens, options_.step_tokens,
                        options_.kv_quant);
      bench.decode();
      std::vector<double> steps, gaps, probes;
      for (int32_t i = 0; i < options_.repetitions; ++i) {
        const EngineDecode decoded = bench.decode();
        const std::vector<double>& now = decoded.step_seconds;
        steps.insert(steps.end(), now.begin(), now.end());
        gaps.push_back(decoded.between_steps);
        result.samples.push_back(static_cast<double>(now.size()) * streams /
                                 std::accumulate(now.begin(), now.end(), 0.0));
        probes.push_back(probe_.measure(3).bytes_per_second);
      }
      set_steps(result, steps);
      result.gap_seconds = std::max(0.0, quantile(gaps, 0.5));
      set_bytes(result, prompt + 0.5 * tokens, quantile(probes, 0.5));
      add(result);
    }
  }

  std::vector<OfflineResult> results;

 private:
  OfflineResult named(const char* kind, int32_t tokens, int32_t streams) const {
    OfflineResult result{.test = fmt::format("{}{}", kind, tokens), .streams = streams};
    if (streams > 1) result.test += fmt::format(" x{}", streams);
    if (options_.depth > 0) result.test += fmt::format(" @ d{}", options_.depth);
    if (options_.kv_quant.bits > 0) result.test += fmt::format(" kv{}", options_.kv_quant.bits);
    return result;
  }

  static void set_steps(OfflineResult& result, std::vector<double>& steps) {
    summarize(result);
    result.step_seconds = quantile(steps, 0.5);
    result.longest_step_seconds = quantile(steps, 0.99);
  }

  void set_bytes(OfflineResult& result, double context, double bandwidth) const {
    const double step_bytes = static_cast<double>(model_.bytes_per_step(result.streams)) +
                              result.streams * cache_bytes(model_, options_.kv_quant, context);
    result.bytes_per_second = step_bytes * result.tokens_per_second / result.streams;
    result.bandwidth_share = result.bytes_per_second / bandwidth;
  }

  void add(OfflineResult& result) {
    result.operations_per_second =
        2 * static_cast<double>(model_.weights_per_token()) * result.tokens_per_second;
    result.operations_share = result.operations_per_second / limits_.product.operations_per_second;
    results.push_back(result);
  }

  Backend& backend_;
  Model& model_;
  const DeviceLimits& limits_;
  const OfflineOptions& options_;
  ReadProbe probe_;
};

}  // namespace

DeviceLimits measure_limits(Backend& backend) {
  return {ReadProbe(backend).measure(9), measure_product_peak(backend)};
}

std::vector<OfflineResult> run_offline(Backend& backend, Model& model, const DeviceLimits& limits,
                                       const OfflineOptions& options) {
  Tests tests(backend, model, limits, options);
  for (const int32_t streams :
       options.prompt_streams.empty() ? options.streams : options.prompt_streams)
    tests.prefill(streams);
  for (const int32_t streams : options.streams) {
    tests.decode(streams);
    if (options.engine) tests.engine(streams);
  }
  return std::move(tests.results);
}

}  // namespace mica
