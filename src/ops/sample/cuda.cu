// Sampling on the GPU: one upload, the kernels of cuda_batch.h, one download.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/cuda/gpu_ops.h"
#include "ops/sample/cuda_batch.h"
#include "ops/sample/mask.h"
#include "ops/sample/random.h"

namespace mica::MICA_GPU {
namespace sampling {
namespace {

// What the host collects for one call; a thread keeps the memory.
struct Request {
  std::vector<RowParams> params;
  std::vector<Edit> edits;
  std::vector<int32_t> specials;
  std::vector<uint32_t> masks;
  Plan plan;
  int32_t top = 0;              // most alternatives of a row
  std::vector<int32_t> tokens;  // of a penalty's context
  std::vector<std::byte> bytes;
  std::vector<TokenLogprob> results;
};

bool in_range(int32_t token, int32_t vocabulary) {
  return token >= 0 && token < vocabulary;
}

// Calls visit(token, count) for each distinct token of the last `size`; a size of 0 takes all, as
// the slice [-0:] does in mlx-lm.
template <typename Visit>
void for_each_token(std::span<const int32_t> history, int32_t size, Request& request,
                    Visit&& visit) {
  const auto wanted = static_cast<size_t>(std::max(size, 0));
  if (wanted != 0 && wanted < history.size()) history = history.last(wanted);
  std::vector<int32_t>& tokens = request.tokens;
  tokens.assign(history.begin(), history.end());
  std::sort(tokens.begin(), tokens.end());
  for (size_t i = 0; i < tokens.size();) {
    size_t end = i + 1;
    while (end < tokens.size() && tokens[end] == tokens[i]) ++end;
    visit(tokens[i], static_cast<float>(end - i));
    i = end;
  }
}

void add_edits(const SampleRow& row, int32_t vocabulary, Request& request) {
  const SamplingParams& p = *row.params;
  const auto first = static_cast<std::ptrdiff_t>(request.edits.size());
  const auto add = [&](int32_t token, float value, int32_t repetition) {
    if (in_range(token, vocabulary)) request.edits.push_back({token, repetition, value});
  };
  for (const auto& [token, bias] : p.logit_bias) add(token, bias, 0);
  if (p.repetition_penalty != 0 && p.repetition_penalty != 1)
    for_each_token(row.history, p.repetition_context_size, request,
                   [&](int32_t token, float) { add(token, p.repetition_penalty, 1); });
  if (p.presence_penalty != 0)
    for_each_token(row.history, p.presence_context_size, request,
                   [&](int32_t token, float) { add(token, -p.presence_penalty, 0); });
  if (p.frequency_penalty != 0)
    for_each_token(row.history, p.frequency_context_size, request, [&](int32_t token, float count) {
      add(token, -(count * p.frequency_penalty), 0);
    });
  std::stable_sort(request.edits.begin() + first, request.edits.end(),
                   [](const Edit& a, const Edit& b) { return a.token < b.token; });
}

void add_specials(const SamplingParams& p, int32_t vocabulary, Request& request) {
  std::vector<int32_t>& specials = request.specials;
  const auto first = static_cast<std::ptrdiff_t>(specials.size());
  for (int32_t token : p.xtc_special_tokens)
    if (in_range(token, vocabulary)) specials.push_back(token);
  std::sort(specials.begin() + first, specials.end());
  specials.erase(std::unique(specials.begin() + first, specials.end()), specials.end());
}

// Filters of a row that draws from `candidates` tokens. Counts beyond those are off: a search for
// them would end among the forbidden tokens, which all tie.
void set_filters(const SampleRow& row, int32_t candidates, RowParams& params) {
  const SamplingParams& p = *row.params;
  params.temperature = std::min(p.temperature, std::numeric_limits<float>::max());
  params.top_p = p.top_p > 0 && p.top_p < 1 ? p.top_p : 0;
  params.min_p = p.min_p > 0;
  params.log_min_p = params.min_p ? std::log(static_cast<double>(p.min_p)) : 0;
  params.keep = std::clamp(p.min_tokens_to_keep, 1, candidates);
  params.top_k = p.top_k < candidates ? std::max(p.top_k, 0) : 0;
  params.xtc =
      p.xtc_probability > 0 && uniform(p.seed, row.draw, RandomStream::kXtc) <= p.xtc_probability;
  params.xtc_threshold = p.xtc_threshold;
  params.random = uniform(p.seed, row.draw, RandomStream::kToken);
}

void add_row(const SampleRow& row, int32_t vocabulary, Request& request) {
  RowParams params = {};
  params.first_edit = static_cast<int32_t>(request.edits.size());
  params.first_special = static_cast<int32_t>(request.specials.size());
  add_edits(row, vocabulary, request);
  params.edits = static_cast<int32_t>(request.edits.size()) - params.first_edit;
  const int32_t candidates = checked_allowed(row.allowed, vocabulary);
  params.masked = !row.allowed.empty();
  params.first_word = static_cast<int32_t>(request.masks.size());
  request.masks.insert(request.masks.end(), row.allowed.begin(), row.allowed.end());
  MICA_CHECK(row.given < vocabulary);
  params.given = row.given;
  if (row.params->temperature > 0 && row.given < 0) set_filters(row, candidates, params);
  if (params.xtc) add_specials(*row.params, vocabulary, request);
  params.specials = static_cast<int32_t>(request.specials.size()) - params.first_special;
  MICA_CHECK(row.top_logprobs <= kMaxTop);
  params.top = std::clamp(row.top_logprobs, 0, candidates);
  // min_p alone is a comparison with the highest logit.
  params.search = params.top_p > 0 || params.top_k > 0 || (params.min_p && params.keep > 1) ||
                  params.xtc || params.top > 0;
  request.params.push_back(params);
  request.top = std::max(request.top, params.top);
  request.plan.search |= params.search != 0;
  request.plan.xtc |= params.xtc != 0;
  request.plan.xtc_top_k |= params.xtc && params.top_k > 0;
  request.plan.draw |= params.temperature > 0;
}

void collect(const SampleParams& p, Request& request) {
  request.params.clear();
  request.edits.clear();
  request.specials.clear();
  request.masks.clear();
  request.plan = {};
  request.top = 0;
  for (const SampleRow& row : p.rows)
    add_row(row, static_cast<int32_t>(p.logits.shape[1]), request);
}

// Arrays one after another in scratch memory, each aligned to 16 bytes.
class Layout {
 public:
  // The offset of the array.
  template <typename T>
  size_t add(size_t count) {
    const size_t offset = bytes_;
    bytes_ = (bytes_ + count * sizeof(T) + 15) / 16 * 16;
    return offset;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// Copies the arrays of the request into one piece of memory and uploads it; the rest of the batch
// follows in scratch.
Batch upload(gpu::GpuBackend& backend, const SampleParams& p, Request& request) {
  const size_t rows = p.rows.size();
  Batch batch = {};
  batch.logits = p.logits.as<float>();
  batch.rows = static_cast<int32_t>(rows);
  batch.vocabulary = static_cast<int32_t>(p.logits.shape[1]);
  batch.chunks = (batch.vocabulary + kChunk - 1) / kChunk;
  const int32_t warps = (batch.vocabulary + kPerThread * 32 - 1) / (kPerThread * 32);
  batch.threads = std::min(warps * 32, kBlock);
  batch.results_stride = 1 + request.top;
  Layout layout;
  const size_t states = layout.add<RowState>(rows);
  const size_t params = layout.add<RowParams>(rows);
  const size_t edits = layout.add<Edit>(request.edits.size());
  const size_t specials = layout.add<int32_t>(request.specials.size());
  const size_t masks = layout.add<uint32_t>(request.masks.size());
  const size_t uploaded = layout.bytes();
  const size_t partials = layout.add<Partial>(rows * static_cast<size_t>(batch.chunks));
  const size_t searching = request.plan.search ? rows : 0;
  const size_t histograms = layout.add<Histogram>(searching);
  const size_t lists = layout.add<Order>(searching * kListed);
  const size_t results = layout.add<TokenLogprob>(rows * static_cast<size_t>(batch.results_stride));

  request.bytes.assign(uploaded, std::byte{0});
  const auto put = [&](size_t offset, const auto& values) {
    if (!values.empty())
      std::memcpy(request.bytes.data() + offset, values.data(), values.size() * sizeof(values[0]));
  };
  put(params, request.params);
  put(edits, request.edits);
  put(specials, request.specials);
  put(masks, request.masks);
  std::byte* scratch = backend.scratch(layout.bytes());
  backend.upload(scratch, request.bytes.data(), uploaded);

  batch.states = reinterpret_cast<RowState*>(scratch + states);
  batch.params = reinterpret_cast<const RowParams*>(scratch + params);
  batch.edits = reinterpret_cast<const Edit*>(scratch + edits);
  batch.specials = reinterpret_cast<const int32_t*>(scratch + specials);
  batch.masks = reinterpret_cast<const uint32_t*>(scratch + masks);
  batch.partials = reinterpret_cast<Partial*>(scratch + partials);
  batch.histograms = reinterpret_cast<Histogram*>(scratch + histograms);
  batch.lists = reinterpret_cast<Order*>(scratch + lists);
  batch.results = reinterpret_cast<TokenLogprob*>(scratch + results);
  return batch;
}

void download(gpu::GpuBackend& backend, const Batch& batch, Request& request,
              std::span<SampleResult> results) {
  const auto stride = static_cast<size_t>(batch.results_stride);
  request.results.resize(results.size() * stride);
  backend.download(request.results.data(), batch.results,
                   request.results.size() * sizeof(TokenLogprob));
  for (size_t r = 0; r < results.size(); ++r) {
    const TokenLogprob* found = request.results.data() + r * stride;
    results[r].token = found->token;
    results[r].logprob = found->logprob;
    results[r].top.assign(found + 1, found + 1 + request.params[r].top);
  }
}

}  // namespace

void sample_on_device(gpu::Stream& stream, const Batch& batch, const Plan& plan) {
  survey(stream, batch);
  if (plan.search) {
    histogram(stream, batch, 0);
    refine(stream, batch, 0);
  }
  if (plan.xtc) exclude(stream, batch);
  if (plan.xtc_top_k) {
    histogram(stream, batch, 1);
    refine(stream, batch, 1);
  }
  if (plan.draw) draw(stream, batch);
}

}  // namespace sampling

void sample(Backend& backend, const SampleParams& p) {
  MICA_CHECK(p.logits.dtype == DType::kF32);
  MICA_CHECK(p.logits.shape[1] >= 1 && p.logits.shape[1] < sampling::kMaxVocabulary);
  MICA_CHECK(p.rows.size() == static_cast<size_t>(p.logits.shape[0]));
  MICA_CHECK(p.results.size() == p.rows.size());
  if (p.rows.empty()) return;
  static thread_local sampling::Request request;
  gpu::GpuBackend& gpu = gpu::as_gpu(backend);
  sampling::collect(p, request);
  const sampling::Batch batch = sampling::upload(gpu, p, request);
  sampling::sample_on_device(gpu.stream(), batch, request.plan);
  sampling::download(gpu, batch, request, p.results);
}

}  // namespace mica::MICA_GPU
