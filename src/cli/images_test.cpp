// mica images against the fake of Docker's command line.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "base/file.h"
#include "checkpoint/hub/test_server.h"
#include "cli/commands.h"
#include "run_command.h"
#include "temp_folder.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

const std::string kDigest = "sha256:" + std::string(64, 'a');

class ImagesCommand : public testing::Test {
 protected:
  ImagesCommand() {
    for (const char* name : {"XDG_STATE_HOME", "XDG_CONFIG_HOME"})
      ::setenv(name, folder_.path().c_str(), 1);
    ::setenv("FAKE_DOCKER", folder_.path().c_str(), 1);
    ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
    fs::create_symlink(FAKE_DOCKER_PROGRAM, folder_.path() / "docker");
    models("models: []");
    // One that the user has, and one that the registry has.
    write_text_file(folder_.path() / "images.json", fmt::format(R"({{
        "mine:1": {{"id": "sha256:1", "digest": "", "here": true, "program": []}},
        "vllm/vllm-openai:v1": {{"id": "sha256:2", "digest": "vllm/vllm-openai@{}", "here": false,
                                 "program": []}}}})",
                                                                kDigest));
  }
  void models(const std::string& yaml) const {
    write_text_file(folder_.path() / "models.yaml", yaml);
  }
  // What it printed, then its exit status.
  std::string run(std::vector<std::string> words) {
    CLI::App app;
    add_images_command(app);
    words.insert(words.begin(), "images");
    words.insert(words.end(), {"--docker", (folder_.path() / "docker").string(), "--models-file",
                               (folder_.path() / "models.yaml").string()});
    return run_command(app, std::move(words));
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  TempFolder folder_;
};

TEST_F(ImagesCommand, WhatWasPulledIsListedPinnedAndPruned) {
  models("defaults: {backends: {vllm: {version: v1}, sglang: {image: 'mine:1'}}}");
  EXPECT_TRUE(has(run({"pin", "vllm"}), "is not here, so its digest is not known"));
  EXPECT_TRUE(has(run({"pull", "vllm"}), "vllm/vllm-openai@" + kDigest));
  const std::string listed = run({"list"});
  EXPECT_TRUE(has(listed, "sha256:aaaaaaaaaaaa  pulled by Mica")) << listed;
  EXPECT_TRUE(has(listed, "in 2 images")) << listed;
  EXPECT_TRUE(has(listed, "not here")) << listed;
  EXPECT_EQ(run({"pin", "vllm"}),
            "# defaults\ndefaults:\n  backends:\n    vllm:\n      image: vllm/vllm-openai:v1\n"
            "      digest: " +
                kDigest + "\n [0]");
  run({"pin", "vllm", "--write"});
  EXPECT_TRUE(has(read_text_file(folder_.path() / "mica/pins.yaml"),
                  "\"vllm/vllm-openai:v1\": " + kDigest));
  const std::string pruned = run({"prune", "--yes"});
  EXPECT_TRUE(has(pruned, "vllm/vllm-openai:v1")) << pruned;
  EXPECT_FALSE(has(pruned, "mine:1")) << pruned;
  EXPECT_TRUE(has(run({"list"}), "in 1 images"));
  EXPECT_TRUE(has(run({"prune", "--yes"}), "Mica brought no image"));
}

TEST_F(ImagesCommand, ABuildTakesTheGpusThatAreSaid) {
  models(R"(
defaults: {backends: {vllm: {version: v1, image_type: build, build_args: {max_jobs: 4}}}}
)");
  EXPECT_TRUE(has(run({"build", "vllm", "--assume-gpu", "96GB@12.0"}), "[0]"));
  const std::string told = read_text_file(folder_.path() / "build.json");
  for (const char* word : {"torch_cuda_arch_list=12.0", "max_jobs=4", "mica-bench/vllm:v1-sm120",
                           "https://github.com/vllm-project/vllm.git#v1"})
    EXPECT_TRUE(has(told, word)) << told;
  EXPECT_TRUE(has(run({"build", "sglang"}), "no image of sglang is built"));
}

TEST_F(ImagesCommand, AnImageInUseStaysAndIsNamed) {
  run({"pull", "vllm/vllm-openai:v1"});
  write_text_file(folder_.path() / "image_rm_error",
                  "conflict: image is being used by container 1");
  EXPECT_TRUE(has(run({"prune", "-y"}), "removed: 0.000 GB\n [5]"));
  fs::remove(folder_.path() / "image_rm_error");
  EXPECT_TRUE(has(run({"prune", "-y"}), "[0]"));
}

TEST_F(ImagesCommand, TagsOfARegistry) {
  hub::TestServer server([](const hub::TestRequest&) {
    hub::TestReply reply;
    reply.body = R"({"results": [{"name": "nightly-1", "last_updated": "2026-08-20T01:02:03Z",
                                  "digest": "sha256:aa"}], "next": null})";
    return reply;
  });
  const std::string tags = run({"nightly", "vllm", "--registry", server.url()});
  EXPECT_TRUE(has(tags, "nightly-1  2026-08-20T01:02")) << tags;
  EXPECT_TRUE(has(run({"nightly", "vllm", "--match", "x", "--registry", server.url()}),
                  "no tag has 'x' in its name"));
}

}  // namespace
}  // namespace mica
