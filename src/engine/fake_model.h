// For the tests of the engine: a model whose logits are a hash of all tokens of a sequence, read
// back from the paged cache. A wrong block, slot, position or prefix changes the answer.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "engine/request.h"
#include "model/model.h"

namespace mica::fake {

class FakeBackend final : public Backend {
 public:
  FakeBackend();
  const Ops& ops() const override { return ops_; }
  DeviceInfo info() const override { return {"fake", "fake", memory, memory, 1, own_memory}; }
  Buffer allocate(size_t bytes) override;
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void synchronize() override {}
  DType activation_dtype(DType) const override { return DType::kF32; }
  std::unique_ptr<PreparedLinear> prepare(const LinearWeights&) override { return nullptr; }

  size_t memory = size_t{1} << 28;
  bool own_memory = false;
  std::atomic<size_t> allocated{0};  // bytes now
  void* largest = nullptr;           // of the allocations so far
  size_t largest_bytes = 0;
  // Called with the rows of each draw; may throw or change the results.
  std::function<void(const SampleParams&)> on_sample;

 private:
  Ops ops_;
};

struct FakeOptions {
  int64_t vocabulary = 61;
  int64_t context = 4096;
  bool hybrid = false;  // one more layer with a recurrent state
  bool markov = false;  // the logits depend on the last token alone: greedy answers go round
  int32_t wrong = 0;    // percent of the tokens after which the logits are others: a draft model
};

class FakeModel : public Model {
 public:
  explicit FakeModel(const FakeOptions& options = {});
  std::vector<CacheSpec> cache_layers() const override;
  size_t arena_bytes(int64_t tokens, int64_t rows) const override;
  Tensor forward(const Batch& batch, KvCache& cache, Arena& arena) override;
  // Each row is `hidden_state` of its sequence up to there.
  Tensor hidden(const Batch& batch, KvCache& cache, Arena& arena) override;
  static std::vector<float> hidden_state(std::span<const int32_t> tokens);
  // What the token `given` after these must report, with the `top` likeliest ones.
  SampleResult score(std::span<const int32_t> tokens, int32_t given, int32_t top) const;
  size_t bytes_per_step(int64_t) const override { return 1; }
  int64_t weights_per_token() const override { return 1; }
  size_t weight_bytes() const override { return 1; }

  // Called with the token ids of each step, before anything is written; may throw or wait.
  std::function<void(std::span<const int32_t> ids)> on_forward;
  // Called after the cache is written, before the logits; may throw.
  std::function<void(std::span<const int32_t> ids)> after_append;
  std::atomic<int64_t> computed_tokens{0};
  std::atomic<int64_t> steps{0};
  std::atomic<int64_t> most_sequences{0};

 private:
  void append(const Batch& batch, KvCache& cache) const;
  uint64_t read_back(const Batch& batch, const KvCache& cache, int64_t sequence,
                     int64_t length) const;
  void advance_states(const Batch& batch, KvCache& cache, std::vector<uint64_t>& states) const;
  const FakeOptions options_;
};

// Allows about a third of the tokens, or all, by a hash of those that were accepted.
class FakeConstraint final : public TokenConstraint {
 public:
  explicit FakeConstraint(uint64_t seed, int64_t vocabulary = 61)
      : vocabulary_(vocabulary), states_{seed} {}
  bool mask(std::span<uint32_t> allowed) override;
  void accept(int32_t token) override;  // throws when it is not allowed
  void rollback(int32_t tokens) override;
  size_t accepted() const { return states_.size() - 1; }

 private:
  bool allowed(int64_t token) const;
  const int64_t vocabulary_;
  std::vector<uint64_t> states_;
};

// What the engine must answer: computed from the tokens alone, without cache, batch or chunks.
// `constraint` stands for the request's own, which is not touched.
std::vector<int32_t> expected_answer(const Request& request, const FakeOptions& options = {},
                                     TokenConstraint* constraint = nullptr);

// All events of a request until kFinished; fails the test when they stop coming.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<Event> events;
  Event end;
  int started = 0;
  bool complete = false;
};
Answer collect(EventStream& stream,
               std::chrono::milliseconds patience = std::chrono::milliseconds(60000));

}  // namespace mica::fake
