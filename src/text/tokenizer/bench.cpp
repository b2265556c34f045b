// Speed of encoding, decoding and loading.
//   bench_tokenizer                      the small tokenizers of the tests
//   MICA_BENCH_TOKENIZER=tokenizer.json MICA_BENCH_TEXT=text.txt bench_tokenizer
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "base/file.h"
#include "text/tokenizer/tokenizer.h"

namespace mica {
namespace {

std::string tokenizer_json(const char* name) {
  const char* path = std::getenv("MICA_BENCH_TOKENIZER");
  return read_text_file(
      path ? path : std::string(MICA_SOURCE_DIR "/tests/data/tokenizer/") + name + ".json");
}

// About a megabyte of prose and code in several scripts, or the file that the user names.
std::string text() {
  if (const char* path = std::getenv("MICA_BENCH_TEXT")) return read_text_file(path);
  std::string out;
  for (int i = 0; out.size() < (1 << 20); i++)
    out += "The quick brown fox jumps over lazy dog " + std::to_string(i * 7919) +
           ", isn't it?\n  for (int i = 0; i < n; ++i) { sum += x[i]; }\n你好，世界 Привет, мир! ";
  return out;
}

void encode(benchmark::State& state, const char* name) {
  const auto tokenizer = Tokenizer::from_json(tokenizer_json(name));
  const std::string input = text();
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->encode(input, false));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(input.size()));
}

void decode(benchmark::State& state, const char* name) {
  const auto tokenizer = Tokenizer::from_json(tokenizer_json(name));
  const std::vector<int32_t> ids = tokenizer->encode(text(), false);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids, true));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(ids.size()));
}

void load(benchmark::State& state, const char* name) {
  const std::string json = tokenizer_json(name);
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::from_json(json));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(json.size()));
}

BENCHMARK_CAPTURE(encode, llama3, "llama3")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, llama2, "llama2")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, unigram, "unigram_precompiled")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, bert, "bert")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode, llama3, "llama3")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode, llama2, "llama2")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(load, llama3, "llama3")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mica
