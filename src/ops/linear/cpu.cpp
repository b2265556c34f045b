// linear and moe_linear: activations into token blocks, then row blocks over the threads.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/linear/cpu_prepared.h"
#include "ops/linear/linear.h"

namespace mica {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Takes pieces of a scratch allocation, or only adds up their sizes when there is none yet.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<std::byte*>(base)) {}
  template <typename T>
  T* take(int64_t count) {
    T* piece = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += (static_cast<size_t>(count) * sizeof(T) + 127) / 64 * 64;
    return piece;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

// Input rows that go through one (expert's) matrix together, split into token blocks.
struct RowGroup {
  int64_t expert = 0;
  int64_t first = 0, count = 0;  // in the list of rows
  int64_t first_block = 0, blocks = 0;
};

enum class Values { kF32, kBF16, kInteger };

// What a layer's activations are packed to.
Values values_for(const LinearKernels& kernels, const BlockLayout& layout) {
  if (layout.integer) return Values::kInteger;
  const bool dot = layout.layout == CpuLayout::kBF16 && kernels.product_bf16 != nullptr;
  return dot ? Values::kBF16 : Values::kF32;
}

// The input in the form that some of the targets want.
struct Form {
  Values values;
  int group;
  int64_t columns;  // padded
  TokenBlock* tokens = nullptr;

  bool serves(const LinearKernels& kernels, const BlockLayout& layout) const {
    return values == values_for(kernels, layout) && columns == layout.columns &&
           (values != Values::kInteger || group == layout.group);
  }
};

const CpuLinear& prepared(const LinearTarget& target) {
  return static_cast<const CpuLinear&>(*target.weights);
}

// One product of several row groups with several targets. Vectors keep their memory between calls.
struct Job {
  // What to do.
  const float* x = nullptr;  // [.][columns]
  int64_t columns = 0;
  const int32_t* input_rows = nullptr;   // row of x for each listed row; null: first_row + i
  const int32_t* output_rows = nullptr;  // likewise
  int64_t first_row = 0;
  int64_t row_count = 0;
  std::span<const LinearTarget> targets;
  std::vector<RowGroup> groups;

  // How.
  std::vector<Form> forms;
  int64_t token_blocks = 0;
  struct Chunk {  // row blocks [first, first + count) of a target for a row group
    int target, group, form;
    int64_t first, count;
  };
  std::vector<Chunk> chunks;

  void run(Backend& backend);

 private:
  void choose_forms(const LinearKernels& kernels);
  void split_tokens(const LinearKernels& kernels);
  void carve(Carver& carver);
  void pack(ThreadPool& threads, const LinearKernels& kernels);
  void pack_block(const LinearKernels& kernels, const Form& form, const RowGroup& group, int64_t b);
  void cut(const LinearKernels& kernels, int threads);
  void multiply(const LinearKernels& kernels, const Chunk& chunk, float* work);
};

void Job::choose_forms(const LinearKernels& kernels) {
  forms.clear();
  for (const LinearTarget& target : targets) {
    const BlockLayout& layout = prepared(target).layout;
    if (std::none_of(forms.begin(), forms.end(),
                     [&](const Form& f) { return f.serves(kernels, layout); }))
      forms.push_back({values_for(kernels, layout), layout.group, layout.columns});
  }
}

void Job::split_tokens(const LinearKernels& kernels) {
  token_blocks = 0;
  for (RowGroup& group : groups) {
    group.first_block = token_blocks;
    group.blocks = divide_up(
        group.count, group.count <= kDirectLimit ? kernels.direct_tokens : kernels.tile_tokens);
    token_blocks += group.blocks;
  }
}

// First row (in the group) of token block b: blocks of nearly equal size.
int64_t block_start(const RowGroup& group, int64_t b) {
  return b * group.count / group.blocks;
}

void Job::carve(Carver& carver) {
  for (Form& form : forms) {
    form.tokens = carver.take<TokenBlock>(token_blocks);
    for (const RowGroup& group : groups) {
      for (int64_t b = 0; b < group.blocks; ++b) {
        TokenBlock block;
        block.tokens = static_cast<int>(block_start(group, b + 1) - block_start(group, b));
        if (form.values == Values::kF32)
          block.values = carver.take<float>(form.columns * block.tokens);
        else
          block.pairs = carver.take<int32_t>(form.columns / 2 * block.tokens);
        if (form.values == Values::kInteger) {
          const int64_t scales = form.columns / form.group * block.tokens;
          block.scales = carver.take<float>(scales);
          block.sums = carver.take<float>(scales);
        }
        if (form.tokens) form.tokens[group.first_block + b] = block;
      }
    }
  }
}

void Job::pack_block(const LinearKernels& kernels, const Form& form, const RowGroup& group,
                     int64_t b) {
  const TokenBlock& block = form.tokens[group.first_block + b];
  const float* rows[16];
  for (int t = 0; t < block.tokens; ++t) {
    const int64_t i = group.first + block_start(group, b) + t;
    rows[t] = x + (input_rows ? input_rows[i] : first_row + i) * columns;
  }
  auto* pairs = const_cast<int32_t*>(block.pairs);
  switch (form.values) {
    case Values::kInteger:
      return kernels.pack_integer(rows, block.tokens, columns, form.group, pairs,
                                  const_cast<float*>(block.scales), const_cast<float*>(block.sums));
    case Values::kBF16: return kernels.pack_bf16(rows, block.tokens, columns, form.columns, pairs);
    case Values::kF32:
      return kernels.pack_float(rows, block.tokens, columns, form.columns,
                                const_cast<float*>(block.values));
  }
}

void Job::pack(ThreadPool& threads, const LinearKernels& kernels) {
  const int64_t total = token_blocks * static_cast<int64_t>(forms.size());
  // Packing 16 Ki values takes about 10 us, twice a parallel region's cost.
  const int64_t per_block = divide_up(row_count * columns, token_blocks);
  threads.parallel_for(
      total, std::max<int64_t>(1, 16384 / per_block), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t b = i % token_blocks;
          const auto group =
              std::upper_bound(groups.begin(), groups.end(), b,
                               [](int64_t v, const RowGroup& g) { return v < g.first_block; });
          pack_block(kernels, forms[static_cast<size_t>(i / token_blocks)], group[-1],
                     b - group[-1].first_block);
        }
      });
}

// Cuts the work into chunks, each a 2 * threads-th of what is left: the first are long streams of
// memory (chunks of 4 KiB would halve the bandwidth), the last are short, so that no thread waits.
void Job::cut(const LinearKernels& kernels, int threads) {
  constexpr int64_t kLeast = 32 << 10;  // weight bytes, about 2 us
  chunks.clear();
  const auto cost_of = [&](const CpuLinear& linear, const RowGroup& group) {
    return static_cast<int64_t>(linear.layout.block_bytes) * divide_up(group.count, 4);
  };
  int64_t left = 0;
  for (const RowGroup& group : groups)
    for (const LinearTarget& target : targets)
      left += prepared(target).blocks * cost_of(prepared(target), group);
  for (size_t g = 0; g < groups.size(); ++g) {
    for (size_t i = 0; i < targets.size(); ++i) {
      const CpuLinear& linear = prepared(targets[i]);
      const auto form = std::find_if(forms.begin(), forms.end(), [&](const Form& f) {
        return f.serves(kernels, linear.layout);
      });
      const int64_t cost = cost_of(linear, groups[g]);
      const int64_t side = groups[g].count > kDirectLimit ? kernels.tile_side : kMaxDenseSide;
      for (int64_t first = 0; first < linear.blocks;) {
        const int64_t blocks =
            divide_up(std::max(kLeast, left / (2 * threads)) / cost, side) * side;
        const int64_t count = std::min(std::max(side, blocks), linear.blocks - first);
        chunks.push_back({static_cast<int>(i), static_cast<int>(g),
                          static_cast<int>(form - forms.begin()), first, count});
        first += count;
        left -= count * cost;
      }
    }
  }
}

void Job::multiply(const LinearKernels& kernels, const Chunk& chunk, float* work) {
  const LinearTarget& target = targets[static_cast<size_t>(chunk.target)];
  const CpuLinear& linear = prepared(target);
  const RowGroup& group = groups[static_cast<size_t>(chunk.group)];
  const int64_t first = chunk.first;
  const float* bias = linear.expert_bias(group.expert);
  const int64_t out_first = output_rows ? 0 : (first_row + group.first) * linear.rows;
  const ProductArgs args{
      .layout = &linear.layout,
      .weights = linear.block(group.expert, first),
      .blocks = chunk.count,
      .rows = linear.rows - first * kBlockRows,
      .tokens = forms[static_cast<size_t>(chunk.form)].tokens + group.first_block,
      .token_blocks = group.blocks,
      .token_count = group.count,
      .bias = bias ? bias + first * kBlockRows : nullptr,
      .out = target.out.as<float>() + out_first + first * kBlockRows,
      .out_stride = linear.rows,
      .out_rows = output_rows ? output_rows + group.first : nullptr,
      .add = target.add,
      .work = work,
  };
  if (forms[static_cast<size_t>(chunk.form)].values == Values::kBF16)
    kernels.product_bf16(args);
  else
    kernels.product(args);
}

void Job::run(Backend& backend) {
  const LinearKernels& kernels = linear_kernels(cpu_isa(backend));
  ThreadPool& threads = cpu_threads(backend);
  choose_forms(kernels);
  split_tokens(kernels);
  Carver sizes(nullptr);
  carve(sizes);
  // Works lie 4 KiB + 64 bytes apart from a power of two, against cache aliasing.
  constexpr int64_t kWork = static_cast<int64_t>(kWorkFloats) + 1024 + 16;
  Carver carver(
      cpu_scratch(backend, sizes.used() + static_cast<size_t>(kWork * threads.size() + 64) * 4));
  carve(carver);
  float* work = carver.take<float>(kWork * threads.size());
  pack(threads, kernels);
  cut(kernels, threads.size());
  threads.parallel_for(static_cast<int64_t>(chunks.size()), 1,
                       [&](int64_t begin, int64_t end, int thread) {
                         for (int64_t i = begin; i < end; ++i)
                           multiply(kernels, chunks[static_cast<size_t>(i)], work + thread * kWork);
                       });
}

// The job of this thread, so that its vectors are allocated once.
Job& fresh_job(const Tensor& x, std::span<const LinearTarget> targets) {
  static thread_local Job job;
  MICA_CHECK(x.dtype == DType::kF32 && !targets.empty());
  job.x = x.as<float>();
  job.columns = x.shape[-1];
  job.targets = targets;
  job.input_rows = job.output_rows = nullptr;
  job.groups.clear();
  return job;
}

void check_targets(const Job& job, int64_t rows) {
  for (const LinearTarget& target : job.targets) {
    MICA_CHECK(target.out.dtype == DType::kF32);
    MICA_CHECK_MSG(target.weights->columns == job.columns, "product of {} with {} columns",
                   job.columns, target.weights->columns);
    MICA_CHECK(target.out.elements() == rows * target.weights->rows);
  }
}

}  // namespace

namespace cpu {

void linear(Backend& backend, const LinearParams& p) {
  Job& job = fresh_job(p.x, p.targets);
  const int64_t rows = job.columns == 0 ? 0 : p.x.elements() / job.columns;
  check_targets(job, rows);
  for (int64_t first = 0; first < rows; first += kMaxChunkTokens) {
    job.first_row = first;
    job.row_count = std::min(kMaxChunkTokens, rows - first);
    job.groups.assign(1, {.expert = 0, .first = 0, .count = job.row_count});
    job.run(backend);
  }
}

void moe_linear(Backend& backend, const MoeLinearParams& p) {
  constexpr int64_t kWave = 1024;  // rows packed at a time
  Job& job = fresh_job(p.x, p.targets);
  const int64_t experts = p.targets[0].weights->experts, pairs = p.ids.elements();
  if (pairs == 0) return;
  const int64_t input_rows = p.x.elements() / job.columns;
  const int64_t share = pairs / input_rows;  // pairs that have one input row: k or 1
  MICA_CHECK(p.ids.dtype == DType::kI32 && input_rows * share == pairs);
  check_targets(job, pairs);

  // Pairs in the order of their experts.
  static thread_local std::vector<int32_t> starts, order, inputs;
  starts.assign(static_cast<size_t>(experts) + 1, 0);
  order.resize(static_cast<size_t>(pairs));
  inputs.resize(static_cast<size_t>(pairs));
  const auto* ids = p.ids.as<int32_t>();
  for (int64_t i = 0; i < pairs; ++i) {
    MICA_CHECK(ids[i] >= 0 && ids[i] < experts);
    ++starts[static_cast<size_t>(ids[i]) + 1];
  }
  for (size_t e = 1; e < starts.size(); ++e) starts[e] += starts[e - 1];
  for (int64_t i = 0; i < pairs; ++i) {
    const auto at = static_cast<size_t>(starts[static_cast<size_t>(ids[i])]++);
    order[at] = static_cast<int32_t>(i);
    inputs[at] = static_cast<int32_t>(i / share);
  }

  for (int64_t first = 0; first < pairs; first += kWave) {
    const int64_t end = std::min(pairs, first + kWave);
    job.input_rows = inputs.data() + first;
    job.output_rows = order.data() + first;
    job.row_count = end - first;
    job.groups.clear();
    for (int64_t i = first; i < end;) {
      const int32_t expert = ids[order[static_cast<size_t>(i)]];
      int64_t last = i + 1;
      while (last < end && last - i < kMaxChunkTokens &&
             ids[order[static_cast<size_t>(last)]] == expert)
        ++last;
      job.groups.push_back({.expert = expert, .first = i - first, .count = last - i});
      i = last;
    }
    job.run(backend);
  }
}

}  // namespace cpu
}  // namespace mica
