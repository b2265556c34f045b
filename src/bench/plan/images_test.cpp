#include "bench/plan/images.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mica {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'c');
const std::string kCommit(40, 'a');

class Images : public testing::Test {
 protected:
  // That of the defaults of `backend`.
  ChosenImage chosen(const std::string& backend, const std::string& yaml) {
    for (const NamedImage& image : named(yaml))
      if (image.backend == backend) return image.chosen;
    ADD_FAILURE() << "no image of " << backend;
    return {};
  }
  std::vector<NamedImage> named(const std::string& yaml) {
    return named_images(table_, parse_models_file(yaml, "m.yaml", table_), facts_);
  }
  static std::string argument(const ChosenImage& image, const std::string& name) {
    for (const PlanVariable& variable : image.arguments)
      if (variable.name == name) return variable.value;
    return "none";
  }
  BackendTable table_;
  PlanFacts facts_;
};

TEST_F(Images, EachBackendHasOneAndModelsMayNameFurtherOnes) {
  const auto images = named(R"(
defaults: {backends: {sglang: {version: v1}}}
models:
  - repo_id: org/a
    backends: {vllm: {version: v9}}
    profiles: {old: {backend: vllm, version: v8}, same: {backend: vllm, version: v9}}
)");
  std::string text;
  for (const NamedImage& image : images)
    if (image.backend == "vllm" || image.backend == "sglang")
      text += image.chosen.name() + " (" + image.user + ")\n";
  EXPECT_EQ(text, "vllm/vllm-openai:" + table_.get("vllm").version +
                      " (defaults)\n"
                      "vllm/vllm-openai:v9 (model org/a)\n"
                      "vllm/vllm-openai:v8 (profile old of org/a)\n"
                      "lmsysorg/sglang:v1 (defaults)\n");
}

TEST_F(Images, ADigestBelongsToTheImageThatItsLayerNames) {
  const std::string defaults =
      "defaults: {backends: {vllm: {version: v1, digest: " + kDigest + "}}}";
  EXPECT_EQ(chosen("vllm", defaults).name(), "vllm/vllm-openai:v1@" + kDigest);
  const auto images = named(defaults + R"(
models: [{repo_id: org/a, backends: {vllm: {version: v2}}}]
)");
  for (const NamedImage& image : images)
    if (image.user == "model org/a") {
      EXPECT_EQ(image.chosen.name(), "vllm/vllm-openai:v2");
    }
}

TEST_F(Images, APinHoldsForItsImageAlone) {
  facts_.pins["vllm/vllm-openai:v1"] = kDigest;
  EXPECT_EQ(chosen("vllm", "defaults: {backends: {vllm: {version: v1}}}").digest, kDigest);
  EXPECT_EQ(chosen("vllm", "defaults: {backends: {vllm: {version: v2}}}").digest, "");
  const std::string other = "sha256:" + std::string(64, 'd');
  EXPECT_EQ(
      chosen("vllm", "defaults: {backends: {vllm: {version: v1, digest: " + other + "}}}").digest,
      other);
}

TEST_F(Images, PinsAreReadAsTheyWereWritten) {
  const std::map<std::string, std::string> pins = {{"a/b:1", kDigest}, {"host:5000/c", kDigest}};
  EXPECT_EQ(parse_pins(pins_yaml(pins), "pins.yaml"), pins);
  EXPECT_TRUE(parse_pins("", "pins.yaml").empty());
  EXPECT_THROW(parse_pins("a/b: latest", "pins.yaml"), Error);
}

TEST_F(Images, ABuildIsForTheGpusThatAreHere) {
  const std::string yaml =
      "defaults: {backends: {vllm: {image_type: build, version: v1}, "
      "llamacpp: {image_type: build, version: b1}}}";
  facts_.gpus.resize(3);
  facts_.gpus[0].compute = 120;
  facts_.gpus[1].compute = 90;
  facts_.gpus[2].compute = 120;
  const ChosenImage vllm = chosen("vllm", yaml);
  EXPECT_EQ(argument(vllm, "torch_cuda_arch_list"), "9.0 12.0");
  EXPECT_EQ(vllm.image.value, "mica-bench/vllm:v1-sm90-sm120");
  EXPECT_EQ(vllm.context, "https://github.com/vllm-project/vllm.git#v1");
  EXPECT_EQ(vllm.file, "docker/Dockerfile");
  EXPECT_EQ(argument(chosen("llamacpp", yaml), "CUDA_DOCKER_ARCH"), "90;120");
  facts_.gpus.clear();
  EXPECT_EQ(argument(chosen("vllm", yaml), "torch_cuda_arch_list"), "none");
}

TEST_F(Images, BuildArgumentsOfTheFileWin) {
  facts_.gpus.resize(1);
  facts_.gpus[0].compute = 90;
  const ChosenImage image = chosen("vllm", R"(
defaults:
  backends:
    vllm:
      image_type: build
      build_context: /src/vllm
      build_args: {torch_cuda_arch_list: "8.6", max_jobs: 4, BUILD_TOKEN: hush}
)");
  EXPECT_EQ(argument(image, "torch_cuda_arch_list"), "8.6");
  EXPECT_EQ(argument(image, "max_jobs"), "4");
  for (const PlanVariable& variable : image.arguments)
    EXPECT_EQ(variable.secret, variable.name == "BUILD_TOKEN");
  EXPECT_EQ(image.context, "/src/vllm");
  EXPECT_EQ(image.file, "");
}

TEST_F(Images, APullRequestLiesOverThePinnedImage) {
  facts_.pins["vllm/vllm-openai:v1"] = kDigest;
  const ChosenImage image =
      chosen("vllm", "defaults: {backends: {vllm: {version: v1, pr: 31575@" + kCommit + "}}}");
  EXPECT_TRUE(image.build);
  EXPECT_EQ(image.name(), "mica-bench/vllm:v1-cccccccccccc-pr-31575-aaaaaaaaaaaa");
  EXPECT_EQ(image.dockerfile,
            "FROM vllm/vllm-openai:v1@" + kDigest +
                "\nADD https://github.com/vllm-project/vllm.git#" + kCommit +
                ":vllm/model_executor/models "
                "/usr/local/lib/python3.12/dist-packages/vllm/model_executor/models\n");
  EXPECT_THROW(named("defaults: {backends: {sglang: {pr: 1@" + kCommit + "}}}"), Error);
  for (const char* wrong : {"31575", "31575@main", "@aaaa", "x@y"})
    EXPECT_THROW(named(std::string("defaults: {backends: {vllm: {pr: '") + wrong + "'}}}"), Error)
        << wrong;
}

}  // namespace
}  // namespace mica
