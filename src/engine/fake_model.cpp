#include "engine/fake_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "base/mix.h"
#include "ops/sample/mask.h"

namespace mica::fake {

namespace {

constexpr int64_t kLayers = 2, kHeads = 2, kHeadDim = 3;
constexpr uint64_t kSeed = 0x1234567;

uint64_t fold(uint64_t hash, int32_t token, int64_t position) {
  return mix64(hash * 31 + static_cast<uint64_t>(token) * 1000003 +
               static_cast<uint64_t>(position));
}
float logit(uint64_t hash, int64_t j) {
  return static_cast<float>(mix64(hash + static_cast<uint64_t>(j)) % 10007) / 1000.0f;
}
// Of what the logits are made.
uint64_t source(uint64_t hash, int32_t last, const FakeOptions& options) {
  if (options.markov) hash = fold(kSeed, last, 0);
  return mix64(hash) % 100 < static_cast<uint64_t>(options.wrong) ? hash + 1 : hash;
}
float noise(const SamplingParams& params, uint64_t draw, int64_t j) {
  if (params.temperature == 0) return 0;
  return params.temperature *
         static_cast<float>(mix64(params.seed * 77 + draw * 1009 + static_cast<uint64_t>(j)) %
                            1000) /
         100.0f;
}

int32_t pick(const float* logits, int64_t vocabulary, const SamplingParams& params, uint64_t draw,
             std::span<const int32_t> history, std::span<const uint32_t> allowed) {
  int32_t best = 0;
  float highest = -1e9f;
  for (int64_t j = 0; j < vocabulary; ++j) {
    if (!allowed.empty() && !allows(allowed, j)) continue;
    float value = logits[j] + noise(params, draw, j);
    if (params.repetition_penalty > 0 && std::ranges::count(history, j) > 0)
      value -= params.repetition_penalty;
    if (value > highest) highest = value, best = static_cast<int32_t>(j);
  }
  return best;
}

// The log-probability of `token`.
float logprob_of(std::span<const float> logits, int32_t token) {
  double sum = 0;
  for (const float value : logits) sum += std::exp(double{value});
  return static_cast<float>(double{logits[static_cast<size_t>(token)]} - std::log(sum));
}

// Of a row whose token is given; log-probabilities of those that are drawn are not computed.
void score(std::span<const float> logits, const SampleRow& row, SampleResult& result) {
  result.token = row.given;
  result.logprob = logprob_of(logits, row.given);
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::stable_sort(ids, std::greater(),
                           [&](int32_t id) { return logits[static_cast<size_t>(id)]; });
  ids.resize(std::min(ids.size(), static_cast<size_t>(row.top_logprobs)));
  for (const int32_t id : ids) result.top.push_back({id, logprob_of(logits, id)});
}

void fake_sample(Backend& backend, const SampleParams& params) {
  const int64_t vocabulary = params.logits.shape[1];
  for (size_t r = 0; r < params.rows.size(); ++r) {
    const SampleRow& row = params.rows[r];
    const float* logits = params.logits.as<float>() + static_cast<int64_t>(r) * vocabulary;
    SampleResult& result = params.results[r];
    if (row.given >= 0) {
      score({logits, static_cast<size_t>(vocabulary)}, row, result);
      continue;
    }
    result.token = pick(logits, vocabulary, *row.params, row.draw, row.history, row.allowed);
    result.logprob = -1;
    for (int32_t i = 0; i < row.top_logprobs; ++i) result.top.push_back({i, -1.0f});
  }
  const auto& hook = static_cast<FakeBackend&>(backend).on_sample;
  if (hook) hook(params);
}

constexpr int64_t kHiddenSize = 5;

float hidden_value(uint64_t hash, int64_t i) {
  return static_cast<float>(mix64(hash ^ static_cast<uint64_t>(i + 1)) % 2001) / 1000.0f - 1;
}

// What a fake layer keeps of a token: every element tells layer, head and dimension apart.
int32_t key_of(int32_t token, int64_t layer, int64_t head, int64_t d) {
  return static_cast<int32_t>(((token * 8 + layer) * 8 + head) * 8 + d);
}

ModelConfig config_of(const FakeOptions& options) {
  ModelConfig config;
  config.model_type = "fake";
  config.vocab_size = options.vocabulary;
  config.hidden_size = kHiddenSize;
  config.max_position_embeddings = options.context;
  return config;
}

[[noreturn]] void broken(const std::string& what) {
  throw std::runtime_error("contract: " + what);
}

}  // namespace

FakeBackend::FakeBackend() {
  ops_.sample = &fake_sample;
}

Buffer FakeBackend::allocate(size_t bytes) {
  if (bytes > memory) throw Error(ErrorKind::kOutOfMemory, "[fake] {} of {}", bytes, memory);
  // Shared: std::function wants what can be copied.
  auto host = std::make_shared<Buffer>(allocate_host(bytes));
  if (bytes > largest_bytes) largest = host->data(), largest_bytes = bytes;
  allocated += bytes;
  void* data = host->data();
  return {data, bytes, [this, host](void*, size_t size) {
            host->reset();
            allocated -= size;
          }};
}
void FakeBackend::upload(void* device, const void* host, size_t bytes) {
  std::memcpy(device, host, bytes);
}
void FakeBackend::download(void* host, const void* device, size_t bytes) {
  std::memcpy(host, device, bytes);
}

FakeModel::FakeModel(const FakeOptions& options) : Model(config_of(options)), options_(options) {}

std::vector<CacheSpec> FakeModel::cache_layers() const {
  CacheSpec paged;
  paged.kv_heads = kHeads;
  paged.head_dim = kHeadDim;
  paged.dtype = DType::kI32;
  std::vector<CacheSpec> specs(kLayers, paged);
  if (options_.hybrid) {
    CacheSpec state;
    state.kind = CacheSpec::Kind::kSlot;
    state.slot_bytes = sizeof(uint64_t);
    specs.push_back(state);
  }
  return specs;
}

size_t FakeModel::arena_bytes(int64_t, int64_t rows) const {
  return static_cast<size_t>(rows * options_.vocabulary) * sizeof(float) + 256;
}

void FakeModel::append(const Batch& batch, KvCache& cache) const {
  const int64_t size = cache.block_size;
  for (int64_t t = 0; t < batch.tokens(); ++t) {
    const int32_t slot = batch.slots.as<int32_t>()[t];
    if (slot < 0 || slot >= cache.blocks * size) broken("slot outside the cache");
    for (int64_t l = 0; l < kLayers; ++l)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t d = 0; d < kHeadDim; ++d) {
          const int64_t at = ((slot / size * kHeads + h) * size + slot % size) * kHeadDim + d;
          KvLayer& layer = cache.layers[static_cast<size_t>(l)];
          layer.keys.as<int32_t>()[at] = key_of(batch.token_ids.as<int32_t>()[t], l, h, d);
          layer.values.as<int32_t>()[at] = batch.positions.as<int32_t>()[t];
        }
  }
}

uint64_t FakeModel::read_back(const Batch& batch, const KvCache& cache, int64_t sequence,
                              int64_t length) const {
  const int64_t size = cache.block_size, columns = batch.block_table.shape[1];
  uint64_t hash = kSeed;
  for (int64_t p = 0; p < length; ++p) {
    const int64_t block = batch.block_table.as<int32_t>()[sequence * columns + p / size];
    int32_t token = 0;
    for (int64_t l = 0; l < kLayers; ++l)
      for (int64_t h = 0; h < kHeads; ++h)
        for (int64_t d = 0; d < kHeadDim; ++d) {
          const int64_t at = ((block * kHeads + h) * size + p % size) * kHeadDim + d;
          const KvLayer& layer = cache.layers[static_cast<size_t>(l)];
          const int32_t key = layer.keys.as<int32_t>()[at];
          if (l + h + d == 0) token = key / 512;
          if (key != key_of(token, l, h, d)) broken("a key of another token");
          if (layer.values.as<int32_t>()[at] != p) broken("a value of another position");
        }
    hash = fold(hash, token, p);
  }
  return hash;
}

void FakeModel::advance_states(const Batch& batch, KvCache& cache,
                               std::vector<uint64_t>& states) const {
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int32_t slot = batch.state_slots.as<int32_t>()[s];
    uint64_t& state = cache.layers[kLayers].keys.as<uint64_t>()[slot];
    const int32_t begin = batch.host_query_start[static_cast<size_t>(s)];
    const int32_t end = batch.host_query_start[static_cast<size_t>(s) + 1];
    if (batch.positions.as<int32_t>()[begin] == 0) state = kSeed;
    for (int32_t t = begin; t < end; ++t)
      state = fold(state, batch.token_ids.as<int32_t>()[t], batch.positions.as<int32_t>()[t]);
    states.push_back(state);
  }
}

std::vector<float> FakeModel::hidden_state(std::span<const int32_t> tokens) {
  uint64_t hash = kSeed;
  for (size_t p = 0; p < tokens.size(); ++p) hash = fold(hash, tokens[p], static_cast<int64_t>(p));
  std::vector<float> state;
  for (int64_t i = 0; i < kHiddenSize; ++i) state.push_back(hidden_value(hash, i));
  return state;
}

SampleResult FakeModel::score(std::span<const int32_t> tokens, int32_t given, int32_t top) const {
  uint64_t hash = kSeed;
  for (size_t p = 0; p < tokens.size(); ++p) hash = fold(hash, tokens[p], static_cast<int64_t>(p));
  std::vector<float> logits;
  for (int64_t j = 0; j < options_.vocabulary; ++j)
    logits.push_back(logit(source(hash, tokens.back(), options_), j));
  SampleResult result;
  fake::score(logits, {.top_logprobs = top, .given = given}, result);
  return result;
}

Tensor FakeModel::hidden(const Batch& batch, KvCache& cache, Arena& arena) {
  const std::span<const int32_t> ids(batch.token_ids.as<int32_t>(),
                                     static_cast<size_t>(batch.tokens()));
  if (on_forward) on_forward(ids);
  ++steps;
  computed_tokens += batch.tokens();
  append(batch, cache);
  std::vector<uint64_t> states;
  if (options_.hybrid) advance_states(batch, cache, states);
  const int64_t rows = batch.logit_rows.shape[0];
  const Tensor out = arena.take(DType::kF32, {rows, kHiddenSize});
  int64_t s = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t row = batch.logit_rows.as<int32_t>()[r];
    while (batch.query_start.as<int32_t>()[s + 1] <= row) ++s;
    const int32_t length = batch.positions.as<int32_t>()[row] + 1;
    const uint64_t hash = read_back(batch, cache, s, length);
    if (options_.hybrid && length == batch.kv_lengths.as<int32_t>()[s] &&
        hash != states[static_cast<size_t>(s)])
      broken("a state of others");
    for (int64_t i = 0; i < kHiddenSize; ++i)
      out.as<float>()[r * kHiddenSize + i] = hidden_value(hash, i);
  }
  return out;
}

Tensor FakeModel::forward(const Batch& batch, KvCache& cache, Arena& arena) {
  const std::span<const int32_t> ids(batch.token_ids.as<int32_t>(),
                                     static_cast<size_t>(batch.tokens()));
  if (on_forward) on_forward(ids);
  ++steps;
  computed_tokens += batch.tokens();
  most_sequences = std::max<int64_t>(most_sequences, batch.sequences());
  append(batch, cache);
  std::vector<uint64_t> states;
  if (options_.hybrid) advance_states(batch, cache, states);
  if (after_append) after_append(ids);

  const int64_t rows = batch.logit_rows.shape[0];
  const Tensor logits = arena.take(DType::kF32, {rows, options_.vocabulary});
  int64_t s = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t row = batch.logit_rows.as<int32_t>()[r];
    while (batch.query_start.as<int32_t>()[s + 1] <= row) ++s;
    const int32_t length = batch.kv_lengths.as<int32_t>()[s];
    // Logits of an inner token only where they reach up to the sequence's last: drafts, scores.
    const bool last = row + 1 == batch.query_start.as<int32_t>()[s + 1];
    if (!last && (r + 1 == rows || batch.logit_rows.as<int32_t>()[r + 1] != row + 1))
      broken("logits of an inner token");
    const int32_t seen = batch.positions.as<int32_t>()[row] + 1;
    if (last != (seen == length)) broken("a position of another token");
    const uint64_t hash = read_back(batch, cache, s, seen);
    if (options_.hybrid && last && hash != states[static_cast<size_t>(s)])
      broken("a state of others");
    const uint64_t made_of = source(hash, batch.token_ids.as<int32_t>()[row], options_);
    for (int64_t j = 0; j < options_.vocabulary; ++j)
      logits.as<float>()[r * options_.vocabulary + j] = logit(made_of, j);
  }
  return logits;
}

bool FakeConstraint::allowed(int64_t token) const {
  const uint64_t state = states_.back();
  return state % 4 == 0 || mix64(state + static_cast<uint64_t>(token)) % 3 == 0 ||
         static_cast<uint64_t>(token) == state % static_cast<uint64_t>(vocabulary_);
}

bool FakeConstraint::mask(std::span<uint32_t> words) {
  if (words.size() != mask_words(vocabulary_)) broken("words of a mask");
  for (uint32_t word : words)
    if (word != 0) broken("a mask comes zeroed");
  for (int64_t t = 0; t < vocabulary_; ++t)
    if (allowed(t)) words[static_cast<size_t>(t / 32)] |= uint32_t{1} << t % 32;
  return states_.back() % 4 != 0;
}

void FakeConstraint::accept(int32_t token) {
  if (!allowed(token)) broken("a token that is not allowed");
  states_.push_back(mix64(states_.back() * 31 + static_cast<uint64_t>(token)));
}

void FakeConstraint::rollback(int32_t tokens) {
  if (tokens < 0 || static_cast<size_t>(tokens) > accepted()) broken("rolled back too far");
  states_.resize(states_.size() - static_cast<size_t>(tokens));
}

namespace {

// Of the next token; empty: all may come.
std::vector<uint32_t> expected_mask(const Request& request, size_t generated, int64_t vocabulary,
                                    TokenConstraint* constraint) {
  std::vector<uint32_t> words(mask_words(vocabulary));
  const bool limited = constraint && constraint->mask(words);
  const bool too_short = static_cast<int32_t>(generated) < request.min_tokens;
  if (!limited) words.assign(words.size(), ~uint32_t{0});
  if (!too_short) return words;
  std::vector<uint32_t> longer = words;
  for (int32_t stop : request.stop_token_ids)
    longer[static_cast<size_t>(stop / 32)] &= ~(uint32_t{1} << stop % 32);
  return count_allowed(longer, vocabulary) > 0 ? longer : words;
}

}  // namespace

std::vector<int32_t> expected_answer(const Request& request, const FakeOptions& options,
                                     TokenConstraint* constraint) {
  std::vector<int32_t> tokens = request.prompt, answer;
  uint64_t hash = kSeed;
  for (size_t p = 0; p < tokens.size(); ++p) hash = fold(hash, tokens[p], static_cast<int64_t>(p));
  std::vector<float> logits(static_cast<size_t>(options.vocabulary));
  while (static_cast<int32_t>(answer.size()) < request.max_tokens) {
    for (int64_t j = 0; j < options.vocabulary; ++j)
      logits[static_cast<size_t>(j)] = logit(source(hash, tokens.back(), options), j);
    const int32_t token =
        pick(logits.data(), options.vocabulary, request.sampling, answer.size(), tokens,
             expected_mask(request, answer.size(), options.vocabulary, constraint));
    answer.push_back(token);
    if (constraint) constraint->accept(token);
    if (std::ranges::count(request.stop_token_ids, token) > 0) break;
    hash = fold(hash, token, static_cast<int64_t>(tokens.size()));
    tokens.push_back(token);
  }
  return answer;
}

Answer collect(EventStream& stream, std::chrono::milliseconds patience) {
  Answer answer;
  while (auto event = stream.next(patience)) {
    answer.events.push_back(*event);
    if (event->kind == Event::Kind::kStarted) ++answer.started;
    if (event->kind == Event::Kind::kToken) answer.tokens.push_back(event->token.token);
    if (event->kind == Event::Kind::kFinished) {
      answer.end = *event;
      answer.complete = true;
      break;
    }
  }
  return answer;
}

}  // namespace mica::fake
