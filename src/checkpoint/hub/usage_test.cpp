#include "checkpoint/hub/usage.h"

#include <gtest/gtest.h>

#include <fstream>

#include "temp_folder.h"

namespace mica::hub {
namespace {

void write(const std::filesystem::path& path, size_t bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << std::string(bytes, 'x');
}

TEST(Usage, SizesAndUnfinishedDownloads) {
  const TempFolder folder;
  const auto& root = folder.path();
  write(root / "models--org--b/blobs/aa", 1000);
  write(root / "models--org--b/blobs/bb", 300);
  write(root / "models--org--b/refs/main", 40);
  std::filesystem::create_directories(root / "models--org--b/snapshots/c0");
  std::filesystem::create_symlink("../../blobs/aa",
                                  root / "models--org--b/snapshots/c0/model.safetensors");
  write(root / "models--org--a--c/blobs/cc.incomplete", 5000);
  write(root / "datasets--org--d/blobs/dd", 9000);
  write(root / "models--/blobs/ee", 9000);
  write(root / "version.txt", 1);
  const std::vector<CachedModel> models = cache_usage(root);
  ASSERT_EQ(models.size(), 1u);  // "a--c" can't be a repository's name
  EXPECT_EQ(models[0].repo, "org/b");
  EXPECT_EQ(models[0].bytes, 1340u);
  EXPECT_EQ(models[0].unfinished, 0);
  write(root / "models--org--a/blobs/cc.incomplete", 5000);
  const std::vector<CachedModel> both = cache_usage(root);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].repo, "org/a");
  EXPECT_EQ(both[0].unfinished, 1);
  EXPECT_EQ(both[0].unfinished_bytes, 5000u);
  EXPECT_EQ(both[0].largest, "");
  EXPECT_EQ(both[1].largest, root / "models--org--b/blobs/aa");
  EXPECT_EQ(both[1].largest_bytes, 1000u);
  EXPECT_TRUE(cache_usage(root / "missing").empty());
}

}  // namespace
}  // namespace mica::hub
