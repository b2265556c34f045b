#include "bench/offline.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "engine/single.h"

namespace mica {
namespace {

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
double cache_bytes(const Model& model, double context) {
  double bytes = 0;
  for (const CacheSpec& spec : model.cache_layers()) {
    const double seen =
        spec.window > 0 ? std::min(context, static_cast<double>(spec.window)) : context;
    bytes += 2 * seen * static_cast<double>(spec.kv_heads * spec.head_dim) *
             static_cast<double>(size_of(spec.dtype));
  }
  return bytes;
}

// One model, one number of streams: prepares the cache to `depth` and times steps from there.
class Bench {
 public:
  Bench(Backend& backend, Model& model, int32_t streams, const OfflineOptions& options,
        int32_t longest)
      : backend_(backend),
        model_(model),
        streams_(streams),
        options_(options),
        runner_(backend, model, streams, options.depth + longest + 1, options.step_tokens,
                streams) {
    feed(options.depth);
    depth_ = runner_.length();
  }

  double prefill(int32_t tokens) {
    runner_.rewind(depth_);
    return seconds_of([&] { feed(tokens); });
  }

  double decode(int32_t tokens) {
    runner_.rewind(depth_);
    const auto ids = random_tokens(model_.config().vocab_size,
                                   static_cast<size_t>(tokens) * static_cast<size_t>(streams_), 7);
    return seconds_of([&] {
      for (int32_t i = 0; i < tokens; ++i) {
        runner_.step({ids.data() + static_cast<size_t>(i) * static_cast<size_t>(streams_),
                      static_cast<size_t>(streams_)});
        backend_.synchronize();
      }
    });
  }

 private:
  // A different prompt each time would defeat nothing here (there is no prefix cache below the
  // engine), so one seed keeps repetitions equal.
  void feed(int32_t tokens) {
    for (int32_t done = 0; done < tokens;) {
      const int32_t count = std::min(options_.step_tokens, tokens - done);
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
  const OfflineOptions& options_;
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

std::string label(const char* kind, int32_t tokens, int32_t streams, int32_t depth) {
  std::string text = fmt::format("{}{}", kind, tokens);
  if (streams > 1) text += fmt::format(" x{}", streams);
  if (depth > 0) text += fmt::format(" @ d{}", depth);
  return text;
}

}  // namespace

std::vector<OfflineResult> run_offline(Backend& backend, Model& model, int threads,
                                       const OfflineOptions& options) {
  std::vector<OfflineResult> results;
  const auto longest_of = [](const std::vector<int32_t>& list) {
    return list.empty() ? 0 : *std::max_element(list.begin(), list.end());
  };
  const int32_t longest = std::max(longest_of(options.prompt), longest_of(options.generate));
  for (const int32_t streams : options.streams) {
    Bench bench(backend, model, streams, options, longest);
    for (const int32_t tokens : options.prompt) {
      if (tokens == 0) continue;
      OfflineResult result{.test = label("pp", tokens, streams, options.depth), .streams = streams};
      bench.prefill(tokens);
      for (int32_t i = 0; i < options.repetitions; ++i)
        result.samples.push_back(tokens * streams / bench.prefill(tokens));
      summarize(result);
      result.operations_per_second =
          2 * static_cast<double>(model.weights_per_token()) * result.tokens_per_second;
      results.push_back(result);
    }
    for (const int32_t tokens : options.generate) {
      if (tokens == 0) continue;
      OfflineResult result{.test = label("tg", tokens, streams, options.depth), .streams = streams};
      bench.decode(tokens);
      std::vector<double> probes{probe_read_bandwidth(threads, 5).bytes_per_second};
      for (int32_t i = 0; i < options.repetitions; ++i) {
        result.samples.push_back(tokens * streams / bench.decode(tokens));
        probes.push_back(probe_read_bandwidth(threads, 3).bytes_per_second);
      }
      summarize(result);
      std::sort(probes.begin(), probes.end());
      const double context = options.depth + 0.5 * tokens;
      const double step_bytes =
          static_cast<double>(model.bytes_per_token()) + streams * cache_bytes(model, context);
      result.bytes_per_second = step_bytes * result.tokens_per_second / streams;
      result.bandwidth_share = result.bytes_per_second / probes[probes.size() / 2];
      results.push_back(result);
    }
  }
  return results;
}

}  // namespace mica
