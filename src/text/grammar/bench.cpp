// Time of masks over texts that are followed token by token, and of compiling.
//   bench_grammar                                a synthetic vocabulary of 150,000 tokens
//   MICA_BENCH_VOCABULARY=tokens.bin bench_grammar
//       for each token its length (4 bytes, little endian) and its bytes
// A run follows `texts` random texts (tokens drawn as below) with a grammar compiled anew, so what
// is computed for the first time counts. Times are of the thread's CPU clock.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "text/grammar/grammar.h"

namespace mica {
namespace {

constexpr int kTexts = 8, kMaxTokens = 400;

double cpu_us() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

// Words with and without a space in front, digits, punctuation and pieces of other scripts.
std::vector<std::string> synthetic_tokens() {
  std::mt19937 random(1);
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; byte++) out.push_back(std::string(1, static_cast<char>(byte)));
  const std::string marks = "\"{}[]:,.;()\\/'!?-_=+*&%$#@<>|~`^\n\t ";
  while (out.size() < 150000) {
    std::string token;
    const unsigned kind = random() % 20;
    if (kind < 11 && random() % 2) token += ' ';
    const unsigned length = 1 + random() % 9;
    for (unsigned i = 0; i < length; i++) {
      if (kind < 14)
        token += static_cast<char>('a' + random() % 26);
      else if (kind < 16)
        token += static_cast<char>(0x80 + random() % 64);
      else if (kind == 16)
        token += marks[random() % marks.size()];
      else
        (token += static_cast<char>(0xD0 + random() % 2)) +=
            static_cast<char>(0x80 + random() % 64);
    }
    if (kind == 13) token += marks[random() % 12];
    out.push_back(token);
  }
  return out;
}

std::vector<std::string> read_tokens(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> out;
  for (size_t at = 0; at + 4 <= all.size();) {
    uint32_t length = 0;
    std::memcpy(&length, all.data() + at, 4);
    out.push_back(all.substr(at + 4, length));
    at += 4 + length;
  }
  return out;
}

const std::shared_ptr<const TokenVocabulary>& vocabulary() {
  static const auto out = [] {
    const char* path = std::getenv("MICA_BENCH_VOCABULARY");
    std::vector<std::string> tokens = path ? read_tokens(path) : synthetic_tokens();
    tokens.push_back("<end>");
    std::vector<bool> special(tokens.size(), false);
    special.back() = true;
    const auto end = static_cast<int32_t>(tokens.size() - 1);
    return std::make_shared<const TokenVocabulary>(std::move(tokens), std::vector<int32_t>{end},
                                                   special);
  }();
  return out;
}

// A token of the mask: mostly one of the longest of a few, so that texts are words, not bytes.
int32_t draw(const std::vector<uint32_t>& mask, std::mt19937& random) {
  int32_t best = -1;
  for (int i = 0; i < 3;) {
    size_t word = random() % mask.size();
    while (mask[word] == 0) word = word + 1 == mask.size() ? 0 : word + 1;
    const auto bit = static_cast<int32_t>(random() % 32);
    for (int b = 0; b < 32; b++) {
      if (!(mask[word] >> ((bit + b) % 32) & 1)) continue;
      const int32_t token = static_cast<int32_t>(word * 32) + (bit + b) % 32;
      if (best < 0 || vocabulary()->bytes(token).size() > vocabulary()->bytes(best).size())
        best = token;
      break;
    }
    i++;
  }
  return best;
}

void follow(const std::shared_ptr<const CompiledGrammar>& grammar, std::mt19937& random,
            std::vector<double>& times, double& accept_us) {
  GrammarMatcher matcher(grammar);
  std::vector<uint32_t> mask(vocabulary()->mask_words());
  for (int i = 0; i < kMaxTokens && !matcher.ended(); i++) {
    const double begin = cpu_us();
    matcher.mask(mask);
    times.push_back(cpu_us() - begin);
    // Strings end and lists close with some chance, else the texts are one endless string.
    int32_t token = draw(mask, random);
    const double before = cpu_us();
    if (random() % 8 == 0)
      for (const char* close : {"\"", "}", "]", ","}) {
        GrammarMatcher copy(matcher);
        if (!copy.accept_text(close)) continue;
        for (int32_t t = 0; t < 256; t++)
          if (vocabulary()->bytes(t) == close) token = t;
        break;
      }
    const double start = cpu_us();
    matcher.accept(token);
    accept_us += cpu_us() - start;
    benchmark::DoNotOptimize(before);
  }
}

void masks(benchmark::State& state, const GrammarSpec& spec) {
  std::vector<double> times;
  double compile_us = 0, accept_us = 0;
  int64_t compiled = 0;
  vocabulary();
  for (auto _ : state) {
    std::mt19937 random(static_cast<unsigned>(compiled));
    GrammarCompiler compiler(vocabulary());
    const double begin = cpu_us();
    const auto grammar = compiler.compile(spec);
    compile_us += cpu_us() - begin;
    compiled++;
    for (int text = 0; text < kTexts; text++) follow(grammar, random, times, accept_us);
  }
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (const double t : times) sum += t;
  const auto count = static_cast<double>(times.size());
  state.counters["steps"] = count / static_cast<double>(compiled);
  state.counters["avg_us"] = sum / count;
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
  state.counters["max_us"] = times.back();
  state.counters["accept_us"] = accept_us / count;
  state.counters["compile_us"] = compile_us / static_cast<double>(compiled);
}

GrammarSpec make(GrammarSpec::Kind kind, std::string text) {
  GrammarSpec out;
  out.kind = kind;
  out.text = std::move(text);
  return out;
}

GrammarSpec schema(const char* text) {
  return make(GrammarSpec::Kind::kJsonSchema, text);
}

std::string enumeration() {
  std::string out = R"({"type":"object","properties":{"code":{"enum":[)";
  for (int i = 0; i < 1000; i++)
    out += (i ? ",\"item-" : "\"item-") + std::to_string(i * 7919) + "\"";
  return out +
         R"(]},"other":{"type":"array","items":{"enum":["red","green","blue","black"]}}},"required":["code","other"]})";
}

void vocabulary_load(benchmark::State& state) {
  const char* path = std::getenv("MICA_BENCH_VOCABULARY");
  for (auto _ : state) TokenVocabulary(path ? read_tokens(path) : synthetic_tokens(), {}, {});
}

BENCHMARK(vocabulary_load)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(
    masks, simple_object,
    schema(R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},
"email":{"type":"string"},"active":{"type":"boolean"},"score":{"type":"number"}},"required":["name","age","email","active","score"],"additionalProperties":false})"));
BENCHMARK_CAPTURE(
    masks, nested_arrays,
    schema(R"({"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},
"tags":{"type":"array","items":{"type":"string"}},"points":{"type":"array","items":{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":2}}},"required":["id","tags","points"]},"minItems":3})"));
BENCHMARK_CAPTURE(masks, enum_heavy, schema(enumeration().c_str()));
BENCHMARK_CAPTURE(
    masks, recursive,
    schema(
        R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"title":{"type":"string"},
"children":{"type":"array","items":{"$ref":"#/$defs/node"}},"note":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["title","children"]}}})"));
BENCHMARK_CAPTURE(
    masks, bounded_strings,
    schema(R"({"type":"object","properties":{"title":{"type":"string","minLength":5,"maxLength":80},
"body":{"type":"string","maxLength":2000},"code":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"},"day":{"type":"string","format":"date-time"}},"required":["title","body","code","day"]})"));
BENCHMARK_CAPTURE(masks, json_object, make(GrammarSpec::Kind::kJsonObject, ""));
BENCHMARK_CAPTURE(
    masks, regex,
    make(GrammarSpec::Kind::kRegex,
         "(Answer: [A-Z][a-z ]{10,200}\\. ){3,9}Sources?: (https?://[a-z.]+/[\\w/-]*\\s?)+"));
BENCHMARK_CAPTURE(
    masks, gbnf_arithmetic,
    make(GrammarSpec::Kind::kGrammar,
         "root ::= (expr \"=\" ws term \"\\n\")+\n"
         "expr ::= term ([-+*/] ws term)*\nterm ::= ident | num | \"(\" ws expr \")\" ws\nident "
         "::= [a-z] [a-z0-9_]* ws\nnum ::= [0-9]+ ws\nws ::= [ \\t\\n]{0,3}"));

}  // namespace
}  // namespace mica
