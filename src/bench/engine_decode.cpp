#include "bench/engine_decode.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <random>
#include <thread>

namespace mica {
namespace {

using Clock = std::chrono::steady_clock;

// Sequences join over several steps; only what lies between the last to join and the first to end
// counts, so each decodes some tokens more.
int32_t steps_to_join(int32_t streams, int32_t prompt, int32_t step_tokens) {
  return 2 + streams * prompt / step_tokens;
}

// When the events of a sequence came, noted on the engine's thread. An event can be taken before it
// is noted: `count` says how far the notes go.
struct Arrivals {
  std::vector<Clock::time_point> times;
  std::vector<EngineStats> stats;  // at the same moments; of the first sequence only
  std::atomic<size_t> count{0};
};

struct Run {
  std::vector<std::shared_ptr<EventStream>> streams;
  std::vector<std::shared_ptr<Arrivals>> arrivals;
};

Request request_of(int32_t prompt, int32_t tokens, int64_t vocabulary, std::mt19937& random) {
  Request request;
  for (int32_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary)));
  request.max_tokens = tokens;
  request.use_prefix_cache = false;
  return request;
}

Run submit(Engine& engine, int32_t streams, int32_t prompt, int32_t tokens, int64_t vocabulary) {
  std::mt19937 random(13);
  Run run;
  // Keeps the engine at its first event until all requests are there, else the first could be done
  // before the last is submitted.
  const auto open = std::make_shared<std::latch>(1);
  const struct Gate {
    std::latch& open;
    ~Gate() { open.count_down(); }
  } gate{*open};
  for (int32_t s = 0; s < streams; ++s) {
    auto arrivals = std::make_shared<Arrivals>();
    arrivals->times.reserve(static_cast<size_t>(tokens) + 2);
    const auto note = [&engine, arrivals, open, first = s == 0](Event::Kind) {
      open->wait();
      arrivals->times.push_back(Clock::now());
      if (first) arrivals->stats.push_back(engine.stats());
      arrivals->count.fetch_add(1, std::memory_order_release);
    };
    auto stream = engine.submit(request_of(prompt, tokens, vocabulary, random), note);
    MICA_CHECK(stream != nullptr);
    run.arrivals.push_back(std::move(arrivals));
    run.streams.push_back(std::move(stream));
  }
  return run;
}

// The index of the first token among the events; waits until the last event is noted.
size_t wait_for_end(EventStream& stream, const Arrivals& arrivals) {
  size_t index = 0, first_token = 0;
  for (;; ++index) {
    std::optional<Event> event;
    while (!event) event = stream.next(std::chrono::seconds(1));
    if (event->kind == Event::Kind::kStarted) first_token = index + 1;
    if (event->kind != Event::Kind::kFinished) continue;
    if (event->reason != FinishReason::kLength)
      throw Error(ErrorKind::kInternal, "[bench] a request ended with '{}': {}",
                  name(event->reason), event->error);
    while (arrivals.count.load(std::memory_order_acquire) <= index) std::this_thread::yield();
    return first_token;
  }
}

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

EngineOptions options(int32_t streams, int32_t context, int32_t step_tokens,
                      const KvQuantOptions& kv_quant) {
  EngineOptions options;
  options.kv_quant = kv_quant;
  options.max_batch_sequences = streams;
  options.prefill_step_tokens = step_tokens;
  // The scheduler keeps a block free for each sequence before it admits another.
  options.max_context = context + 2 * options.block_size;
  options.prefix_cache = false;
  return options;
}

}  // namespace

EngineBench::EngineBench(Backend& backend, Model& model, int32_t streams, int32_t prompt,
                         int32_t tokens, int32_t step_tokens, const KvQuantOptions& kv_quant)
    : streams_(streams),
      prompt_(prompt),
      tokens_(tokens + steps_to_join(streams, prompt, step_tokens)),
      vocabulary_(model.config().vocab_size),
      engine_(backend, model, options(streams, prompt_ + tokens_, step_tokens, kv_quant)) {}

EngineDecode EngineBench::decode() {
  Run run = submit(engine_, streams_, prompt_, tokens_, vocabulary_);
  Clock::time_point begin{}, end = Clock::time_point::max();
  size_t first_token = 0;
  for (size_t s = 0; s < run.streams.size(); ++s) {
    const size_t first = wait_for_end(*run.streams[s], *run.arrivals[s]);
    const std::vector<Clock::time_point>& times = run.arrivals[s]->times;
    begin = std::max(begin, times[first]);
    end = std::min(end, times[times.size() - 2]);  // the last token; behind it is kFinished
    if (s == 0) first_token = first;
  }
  // Steps are counted at the first sequence.
  const Arrivals& first = *run.arrivals[0];
  EngineDecode result;
  size_t from = 0, to = 0;
  for (size_t i = first_token + 1; i + 1 < first.times.size(); ++i) {
    if (first.times[i - 1] < begin || first.times[i] > end) continue;
    if (result.step_seconds.empty()) from = i - 1;
    to = i;
    result.step_seconds.push_back(seconds(first.times[i - 1], first.times[i]));
  }
  MICA_CHECK(!result.step_seconds.empty());
  const double busy = first.stats[to].busy_seconds - first.stats[from].busy_seconds;
  result.between_steps = (seconds(first.times[from], first.times[to]) - busy) /
                         static_cast<double>(first.stats[to].steps - first.stats[from].steps);
  return result;
}

}  // namespace mica
