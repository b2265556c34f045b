// mica fetch, and mica pull of a name of the models file, against the fake hub.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "base/file.h"
#include "checkpoint/hub/test_server.h"
#include "cli/commands.h"
#include "cli/pull.h"
#include "run_command.h"
#include "temp_folder.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

class FetchCommand : public testing::Test {
 protected:
  FetchCommand() {
    hub_.add_model();
    ::setenv("HF_ENDPOINT", hub_.server.url().c_str(), 1);
    ::setenv("HF_HUB_CACHE", (folder_.path() / "hub").c_str(), 1);
    ::setenv("XDG_CONFIG_HOME", folder_.path().c_str(), 1);
    ::setenv("DISK", folder_.path().c_str(), 1);
    ::unsetenv("HF_HUB_OFFLINE");
  }
  void models(const std::string& yaml) const {
    write_text_file(folder_.path() / "models.yaml", "storage: {primary: $DISK/m}\n" + yaml);
  }
  // What it printed on both streams, its error, then its exit status.
  std::string run(std::vector<std::string> words) {
    CLI::App app;
    add_fetch_command(app);
    add_pull_command(app);
    words.insert(words.end(), {"--models-file", (folder_.path() / "models.yaml").string()});
    return run_command(app, std::move(words));
  }
  bool is_there(const std::string& name) const { return fs::exists(folder_.path() / name); }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  hub::FakeHub hub_;
  TempFolder folder_;
};

TEST_F(FetchCommand, IncludeAndExcludeOfTheEntryChooseTheFiles) {
  models("models: [{repo_id: org/tiny, name: t, include: ['*.json', '*.md'], exclude: [tok*]}]");
  const std::string told = run({"fetch", "t"});
  EXPECT_TRUE(has(told, "1 fetched, 31 B")) << told;
  EXPECT_TRUE(has(told, "[0]")) << told;
  EXPECT_TRUE(is_there("m/org/tiny/config.json"));
  EXPECT_TRUE(is_there("m/org/tiny/README.md"));
  EXPECT_FALSE(is_there("m/org/tiny/tokenizer.json"));
  EXPECT_FALSE(is_there("m/org/tiny/model.safetensors"));
  EXPECT_FALSE(is_there("hub"));
}

TEST_F(FetchCommand, EveryRevisionHasItsFolder) {
  models("models: [{repo_id: org/tiny, revisions: [main, " + hub_.commit + "]}]");
  EXPECT_TRUE(has(run({"fetch", "--all", "-q"}), "2 fetched"));
  EXPECT_TRUE(is_there("m/org/tiny/model.safetensors"));
  EXPECT_TRUE(is_there("m/org/tiny/" + hub_.commit + "/model.safetensors"));
}

TEST_F(FetchCommand, ADryRunShowsSizesAndWritesNothing) {
  models("models: [{repo_id: org/tiny}]");
  const std::string before = run({"fetch", "--all", "--dry-run"});
  EXPECT_TRUE(has(before, "300 kB to fetch of 300 kB")) << before;
  EXPECT_TRUE(has(before, "org/tiny")) << before;
  EXPECT_FALSE(is_there("m"));
  run({"fetch", "--all"});
  const std::string after = run({"fetch", "--all", "-n"});
  EXPECT_TRUE(has(after, "0 B to fetch of 300 kB")) << after;
}

TEST_F(FetchCommand, AFailureDoesNotStopTheOthers) {
  models(
      "models:\n- {repo_id: org/none}\n- {repo_id: org/data, repo_type: dataset}\n"
      "- {repo_id: org/tiny}");
  const std::string told = run({"fetch", "--all"});
  EXPECT_TRUE(has(told, "1 fetched, 300 kB; 2 failed")) << told;
  EXPECT_TRUE(has(told, "org/none doesn't exist")) << told;
  EXPECT_TRUE(has(told, "models.yaml:4: org/data: repo_type: expected model, found dataset"))
      << told;
  EXPECT_TRUE(has(told, "models.yaml:3: [hub]")) << told;
  EXPECT_FALSE(has(told, "models.yaml:4: [fetch]")) << told;  // its line once
  EXPECT_TRUE(has(told, "[4]")) << told;
  EXPECT_TRUE(is_there("m/org/tiny/model.safetensors"));
  EXPECT_TRUE(has(run({"fetch", "--all", "-n"}), "[4]"));
}

TEST_F(FetchCommand, NamesAreAskedFor) {
  models("models: [{repo_id: org/tiny, name: tiny}]");
  EXPECT_TRUE(has(run({"fetch"}), "or take all 1 by --all [2]"));
  EXPECT_TRUE(has(run({"fetch", "tinny"}), "is tiny meant? [2]"));
  models("models: []");
  EXPECT_TRUE(has(run({"fetch", "--all"}), "has no models [2]"));
}

TEST_F(FetchCommand, PullTakesANameOfTheModelsFile) {
  models("models: [{repo_id: org/tiny, name: t, exclude: ['*.json']}]");
  EXPECT_EQ(run({"pull", "t", "-q"}), (folder_.path() / "m/org/tiny\n [0]").string());
  EXPECT_TRUE(is_there("m/org/tiny/model.safetensors"));
  EXPECT_FALSE(is_there("m/org/tiny/config.json"));
  EXPECT_TRUE(has(run({"pull", "t@other"}), "mica pull org/tiny@other [2]"));
  EXPECT_TRUE(has(run({"pull", "org/tiny", "-q"}), "hub/models--org--tiny/snapshots"));
}

}  // namespace
}  // namespace mica
