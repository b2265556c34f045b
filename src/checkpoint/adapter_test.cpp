#include "checkpoint/adapter.h"

#include <gtest/gtest.h>

#include "test_files.h"

namespace mica {
namespace {

constexpr const char* kConfig =
    R"({"fine_tune_type": "lora", "num_layers": 1,
        "lora_parameters": {"rank": 2, "scale": 10.0, "dropout": 0.0}})";

class AdapterTest : public testing::Test {
 protected:
  void write(const std::string& config) {
    write_text_file(folder_.path() / "adapter_config.json", config);
    tensors_.write(folder_.path() / "adapters.safetensors");
  }
  std::string message() {
    return error_message([&] { read_adapter(folder_.path()); });
  }
  TempFolder folder_;
  TensorSet tensors_;
};

TEST_F(AdapterTest, PartsAreTransposedAndScaled) {
  tensors_.add("model.layers.0.mlp.up_proj.lora_a", DType::kF32, {3, 2});
  tensors_.add("model.layers.0.mlp.up_proj.lora_b", DType::kBF16, {2, 4}, 1);
  write(kConfig);
  const Adapter adapter = read_adapter(folder_.path());
  ASSERT_EQ(adapter.modules.size(), 1u);
  const AdapterModule& module = adapter.modules[0];
  EXPECT_EQ(module.path, "model.layers.0.mlp.up_proj");
  EXPECT_EQ(module.columns, 3);
  EXPECT_EQ(module.rows, 4);
  EXPECT_EQ(adapter.rank(), 2);
  EXPECT_EQ(module.down, (std::vector<float>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(module.up, (std::vector<float>{10, 50, 20, 60, 30, 70, 40, 80}));
}

TEST_F(AdapterTest, ScaleDefaultsToThatOfMlx) {
  tensors_.add("a.lora_a", DType::kF32, {1, 1}, 1);
  tensors_.add("a.lora_b", DType::kF32, {1, 1}, 1);
  write("{}");
  EXPECT_EQ(read_adapter(folder_.path()).modules[0].up, std::vector<float>{20});
}

TEST_F(AdapterTest, RefusesWhatIsNoLora) {
  tensors_.add("a.lora_a", DType::kF32, {1, 1});
  write(R"({"fine_tune_type": "dora"})");
  EXPECT_NE(message().find("fine_tune_type is 'dora', expected 'lora'"), std::string::npos)
      << message();
}

TEST_F(AdapterTest, NamesTheFaultyTensor) {
  const auto expect = [&](const std::string& text) {
    write(kConfig);
    EXPECT_NE(message().find(text), std::string::npos) << message();
  };
  expect("it holds no adapted module");
  tensors_.add("a.lora_a", DType::kF32, {3, 2});
  expect("a.lora_a: expected a.lora_b beside it");
  tensors_.add("a.lora_b", DType::kF32, {2, 3});
  expect("a.lora_b: expected a.lora_a beside it");
  tensors_.add("a.lora_a", DType::kF32, {3, 2});
  tensors_.add("a.lora_b", DType::kF32, {3, 3});
  expect("a.lora_b: expected (2, out), found (3, 3)");
  tensors_.add("a.lora_a", DType::kF32, {8, 2, 3});
  tensors_.add("a.lora_b", DType::kF32, {8, 3, 2});
  expect("adapters of expert layers are not supported");
  tensors_.add("a.lora_a", DType::kU32, {3, 2});
  tensors_.add("a.lora_b", DType::kF32, {2, 3});
  expect("a.lora_a: expected a float dtype, found U32");
  tensors_.add("a.weight", DType::kF32, {3, 2});
  expect("a.weight: expected tensors that end in .lora_a or .lora_b");
}

TEST_F(AdapterTest, NamesTheMissingFile) {
  EXPECT_NE(message().find("expected the file adapter_config.json"), std::string::npos);
}

}  // namespace
}  // namespace mica
