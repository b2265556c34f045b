#include <gtest/gtest.h>

#include "ops/simt/test_backend.h"

namespace mica {
namespace {

int32_t exclusive_or(const std::vector<int32_t>& values) {
  int32_t bits = 0;
  for (const int32_t value : values) bits ^= value;
  return bits;
}

std::vector<int32_t> run(const std::vector<int32_t>& data, int64_t outputs,
                         const simt::Schedule& schedule) {
  simt::SimtTestBackend backend(DType::kF32, schedule);
  const Tensor in = backend.put_ids(data, {static_cast<int64_t>(data.size())});
  const Tensor out =
      backend.put_ids(std::vector<int32_t>(static_cast<size_t>(outputs), -1), {outputs});
  backend.ops().read_all(*backend, in, out);
  (*backend).synchronize();
  std::vector<int32_t> result(static_cast<size_t>(outputs));
  (*backend).download(result.data(), out.data, out.bytes());
  return result;
}

// A word that was not read, or read twice, changes the result.
TEST(SimtReadAll, ReadsEveryWordOnce) {
  std::mt19937 random(3);
  // In words: nothing, one vector, around what one block takes at once (8192), and several rounds.
  for (const size_t words : {0, 4, 8188, 8192, 8196, 100'004})
    for (const int64_t outputs : {1, 7, 4096}) {
      SCOPED_TRACE(std::to_string(words) + " words, " + std::to_string(outputs) + " outputs");
      std::vector<int32_t> data(words);
      for (int32_t& word : data) word = static_cast<int32_t>(random());
      for (const simt::Schedule& schedule : simt::all_schedules(1))
        EXPECT_EQ(exclusive_or(run(data, outputs, schedule)), exclusive_or(data));
    }
}

}  // namespace
}  // namespace mica
