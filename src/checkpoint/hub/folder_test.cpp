// Pulls into a plain folder, and plans of pulls.
#include "checkpoint/hub/hub_test_fixture.h"

namespace mica::hub {
namespace {

namespace fs = std::filesystem;

class PlainFolderTest : public HubTest {
 protected:
  PlainFolderTest() {
    hub.add_model();
    options.folder = folder / "models/org/tiny";
  }
  std::string text(const std::string& name) const { return read_text_file(options.folder / name); }
  fs::path notes() const { return options.folder / ".cache/huggingface/download"; }
};

TEST_F(PlainFolderTest, FilesLieUnderTheirNamesAndAreNotFetchedAgain) {
  hub.add("sub/config.json", "{}\n");
  EXPECT_EQ(pull(), options.folder);
  for (const char* name : {"config.json", "model.safetensors"}) {
    EXPECT_EQ(text(name), hub.files.at(name).content) << name;
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(options.folder / name))) << name;
  }
  EXPECT_EQ(text("sub/config.json"), "{}\n");
  EXPECT_FALSE(fs::exists(options.cache));
  hub.server.forget_requests();
  pull();
  EXPECT_EQ(hub.server.requests().size(), 1u);  // the listing
}

TEST_F(PlainFolderTest, AnInterruptedFileContinues) {
  fs::create_directories(notes());
  const FakeHub::File& weights = hub.files.at("model.safetensors");
  write_text_file(notes() / (weights.etag + ".incomplete"), weights.content.substr(0, 100'000));
  pull();
  EXPECT_EQ(text("model.safetensors"), weights.content);
  bool ranged = false;
  for (const TestRequest& request : hub.storage.requests())
    ranged |= request.header("range") == "bytes=100000-";
  EXPECT_TRUE(ranged);
}

TEST_F(PlainFolderTest, AFileOfAnotherToolIsHashedAndTakenOnlyWhenRight) {
  fs::create_directories(options.folder);
  const FakeHub::File& weights = hub.files.at("model.safetensors");
  write_text_file(options.folder / "model.safetensors", weights.content);
  pull();
  EXPECT_EQ(hub.storage.requests().size(), 0u);

  std::string other = weights.content;
  other[5] ^= 1;
  write_text_file(options.folder / "model.safetensors", other);
  const auto later =
      fs::last_write_time(notes() / "model.safetensors.metadata") + std::chrono::seconds(5);
  fs::last_write_time(options.folder / "model.safetensors", later);
  pull();
  EXPECT_EQ(text("model.safetensors"), weights.content);
}

TEST_F(PlainFolderTest, ANewCommitFetchesWhatChangedAlone) {
  pull();
  hub.commit = "fedcba9876543210fedcba9876543210fedcba98";
  hub.add("config.json", "{\"model_type\": \"LLAMA\"}\n");  // of the same size
  hub.storage.forget_requests();
  pull();
  EXPECT_EQ(text("config.json"), "{\"model_type\": \"LLAMA\"}\n");
  EXPECT_EQ(hub.storage.requests().size(), 0u);
}

TEST_F(PlainFolderTest, APlanHasTheSizesAndWritesNothing) {
  const PullPlan plan = plan_pull("org/tiny", "", options);
  EXPECT_EQ(plan.folder, options.folder);
  ASSERT_EQ(plan.files.size(), 3u);
  EXPECT_EQ(plan.files[1].name, "model.safetensors");
  EXPECT_EQ(plan.files[1].size, 300'000u);
  EXPECT_EQ(plan.files[1].here, 0u);
  EXPECT_FALSE(fs::exists(folder / "models"));
  pull();
  EXPECT_EQ(plan_pull("org/tiny", "main", options).files[1].here, 300'000u);
  options.folder.clear();
  EXPECT_EQ(plan_pull("org/tiny", "main", options).files[1].here, 0u);
  EXPECT_FALSE(fs::exists(options.cache));
}

TEST_F(PlainFolderTest, OfflineIsRefused) {
  pull();
  options.offline = true;
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "can't be compared with the hub's"));
}

}  // namespace
}  // namespace mica::hub
