#include "cli/bench_cells.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "bench/plan/test_models.h"
#include "fake_engine/engine.h"
#include "temp_folder.h"

namespace mica {
namespace {

class Cells : public testing::Test {
 protected:
  Cells() {
    const std::filesystem::path file = folder_.path() / "models.yaml";
    write_text_file(file, R"(
models:
  - repo_id: org/one
    profiles: {small: {args: {context: 700}}, large: {args: {context: 900}}}
  - repo_id: org/two
    profiles: {small: {args: {context: 600}}, large: {args: {}}}
)");
    inputs_.plan.models_file = file.string();
    inputs_.plan.gpus = {"1x96GB@12.0"};
    inputs_.plan.request.profile = "small";
    inputs_.models = "org/one";
    inputs_.backends = {"vllm"};
  }
  std::vector<MatrixBackend> cells() { return resolve_cells(inputs_, {2, 1024}, texts_); }
  std::string error() {
    try {
      cells();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TempFolder folder_;
  CellInputs inputs_;
  CellTexts texts_;
};

TEST_F(Cells, ModelsTimesBackendsTimesProfiles) {
  inputs_.models = "org/one,org/two";
  inputs_.backends = {"vllm", "sglang"};
  inputs_.plan.request.profile = "small,large";
  const std::vector<MatrixBackend> found = cells();
  ASSERT_EQ(found.size(), 8u);
  EXPECT_EQ(found[0].label, "vllm one small");
  EXPECT_EQ(found[3].label, "sglang one large");
  EXPECT_EQ(found[7].label, "sglang two large");
  EXPECT_EQ(found[0].asked, "org/one");
  // The models file goes before what the load needs.
  EXPECT_EQ(found[0].plan.context, 700);
  EXPECT_EQ(found[1].plan.context, 900);
  EXPECT_EQ(found[5].plan.context, 1024);
  EXPECT_EQ(found[0].plan.concurrency, 2);
}

TEST_F(Cells, ABackendWithWeightsOfItsOwnHasOnlyThese) {
  inputs_.models = "org/one,org/two";
  inputs_.backends = {"vllm", "sglang:org/two"};
  const std::vector<MatrixBackend> found = cells();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[1].plan.repo_id, "org/two");
  EXPECT_EQ(found[1].asked, "org/one");  // its answers are compared with that model's
}

TEST_F(Cells, ValuesHoldForAllOrForOne) {
  inputs_.backends = {"vllm", "sglang"};
  inputs_.ports = {"8100", "sglang=8200"};
  inputs_.images = {"vllm=my/vllm:1"};
  inputs_.keys = {"a=b", "vllm=c=d"};  // a key may have '='
  const std::vector<MatrixBackend> found = cells();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].plan.port.value, "8100");
  EXPECT_EQ(found[1].plan.port.value, "8200");
  EXPECT_EQ(found[0].plan.image.value, "my/vllm:1");
  EXPECT_NE(found[1].plan.image.value, "my/vllm:1");
  EXPECT_EQ(found[0].key, "c=d");
  EXPECT_EQ(found[1].key, "a=b");
}

TEST_F(Cells, TheMemoryIsEstimatedBeforeAStart) {
  const std::filesystem::path model = folder_.path() / "m-Q8_0.gguf";
  write_gguf(model);
  inputs_.models = model.string();
  inputs_.backends = {"llamacpp"};
  inputs_.plan.request.profile.clear();
  inputs_.plan.gpus = {"1x96GB@12.0"};
  const auto says = [](const MatrixBackend& cell) {
    std::string text;
    for (const std::string& warning : cell.plan.warnings) text += warning + "\n";
    return text.find("by the estimate it does not fit") != text.npos;
  };
  const MatrixBackend fits = cells().at(0);
  EXPECT_GT(fits.gpu_plan.estimated, 64u * 256);
  EXPECT_EQ(fits.gpu_plan.gpus, std::vector<int>{0});
  EXPECT_EQ(fits.gpu.gpus, 1);
  EXPECT_GE(fits.gpu.weight_mib, 0);
  EXPECT_FALSE(says(fits));
  inputs_.plan.gpus = {"1x1GB@12.0"};  // less than a backend's overhead alone
  EXPECT_TRUE(says(cells().at(0)));
  inputs_.plan.request.own_settings["gpu_layers"] = "3";  // the rest is wanted elsewhere
  EXPECT_EQ(cells().at(0).gpu.weight_mib, -1);
}

TEST_F(Cells, WhatFitsNoBackendIsRefused) {
  inputs_.urls = {"sglang=http://127.0.0.1:9"};
  EXPECT_NE(error().find("sglang is not among those of --backend"), std::string::npos) << error();
  inputs_.urls = {"http://127.0.0.1:9"};
  inputs_.backends = {"vllm", "sglang"};
  EXPECT_NE(error().find("expected BACKEND=URL"), std::string::npos) << error();
  inputs_.urls = {};
  inputs_.keys = {"mica=secret"};
  EXPECT_NE(error().find("--api-key mica=***"), std::string::npos) << error();
  inputs_.keys = {};
  inputs_.backends = {"vllm", "vllm"};
  EXPECT_NE(error().find("'vllm' twice"), std::string::npos) << error();
  inputs_.models = "";
  EXPECT_NE(error().find("which model?"), std::string::npos) << error();
}

// Its list of models is behind the key as well.
TEST_F(Cells, AServerIsAskedForItsModelWithTheKey) {
  fake::Script script;
  script.api_key = "secret";
  script.model = "org/one";
  fake::FakeEngine engine(script);
  engine.start();
  inputs_.models = "";
  inputs_.plan.request.profile = "none";
  inputs_.urls = {"vllm=" + engine.url()};
  inputs_.keys = {"secret"};
  const std::vector<MatrixBackend> found = cells();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].plan.served_name.value, "org/one");
  EXPECT_EQ(found[0].plan.mode, LaunchMode::kAttach);
}

}  // namespace
}  // namespace mica
