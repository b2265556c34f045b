#include "bench/results/provenance.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "temp_folder.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

TEST(Provenance, OfAStagedMachine) {
  TempFolder temp;
  const fs::path root = temp.path();
  write(root / "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 9354\n");
  write(root / "proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n");
  write(root / "sys/fs/cgroup/memory.max", "4096\n");
  write(root / "sys/devices/system/node/node0/cpulist", "0-3\n");
  write(root / "sys/devices/system/node/node1/cpulist", "4-7\n");
  write(root / "sys/devices/system/node/nodes", "");
  write(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  write(root / "etc/os-release", "ID=debian\n");
  gpu::ProbePaths paths;
  paths.root = root;
  paths.cuda_library = paths.nvml_library = "libmica-none.so";
  paths.programs = "";
  const Provenance provenance = gather_provenance("0.1.0", paths);
  EXPECT_EQ(provenance.mica_version, "0.1.0");
  EXPECT_EQ(provenance.host.cpu, "AMD EPYC 9354");
  EXPECT_EQ(provenance.host.numa_nodes, 2);
  EXPECT_EQ(provenance.host.governor, "powersave");
  EXPECT_EQ(provenance.host.memory_bytes, 1000u << 10);
  EXPECT_EQ(provenance.host.memory_limit_bytes, 4096u);
  EXPECT_EQ(provenance.host.system, "debian");
  EXPECT_FALSE(provenance.host.kernel.empty());
  EXPECT_TRUE(provenance.gpus.empty());
  EXPECT_EQ(provenance.cuda, "");
}

TEST(RecordModel, AFolderOfFiles) {
  TempFolder temp;
  const fs::path folder = temp.path() / "Model-1B";
  write(folder / "config.json", "abc");
  write(folder / "model.safetensors", std::string(3 << 20, 'x'));
  write(folder / "original/deep.bin", "not part of it");
  const ModelRecord model = record_model(folder.string() + "/");
  EXPECT_EQ(model.id, "Model-1B");
  EXPECT_EQ(model.revision, "");
  ASSERT_EQ(model.files.size(), 2u);
  EXPECT_EQ(model.files[0].name, "config.json");
  // SHA-256 of "abc", FIPS 180-2
  EXPECT_EQ(model.files[0].hash,
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(model.files[1].bytes, 3u << 20);
  EXPECT_TRUE(model.files[1].hash.starts_with("sha256:"));
}

TEST(RecordModel, LargeFilesAreSampled) {
  TempFolder temp;
  std::string weights(9 << 20, 'x');
  const auto hash = [&] {
    write(temp.path() / "m/model.gguf", weights);
    return record_model(temp.path() / "m/model.gguf", 0).files.at(0).hash;
  };
  const std::string first = hash();
  EXPECT_TRUE(first.starts_with("sampled-sha256:"));
  EXPECT_EQ(hash(), first);
  for (const size_t place : {size_t{5}, (size_t{9} << 20) / 65 * 7 + 3, (size_t{9} << 20) - 1}) {
    weights[place] = 'y';
    EXPECT_NE(hash(), first) << place;
    weights[place] = 'x';
  }
  weights += 'x';
  EXPECT_NE(hash(), first);
}

TEST(RecordModel, TheHubsCacheKnowsRevisionAndHashes) {
  TempFolder temp;
  const fs::path repo = temp.path() / "models--org--Model-8B", snapshot = repo / "snapshots/abc123";
  const std::string large(64, 'a'), small(40, 'b');
  write(repo / "blobs" / large, "weights");
  write(repo / "blobs" / small, "{}");
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/" + large, snapshot / "model.safetensors");
  fs::create_symlink("../../blobs/" + small, snapshot / "config.json");
  const ModelRecord model = record_model(snapshot);
  EXPECT_EQ(model.id, "org/Model-8B");
  EXPECT_EQ(model.revision, "abc123");
  ASSERT_EQ(model.files.size(), 2u);
  EXPECT_EQ(model.files[0].hash, "git:" + small);
  EXPECT_EQ(model.files[1].hash, "sha256:" + large);
  EXPECT_EQ(model.files[1].bytes, 7u);
}

TEST(RecordModel, NothingThere) {
  TempFolder temp;
  EXPECT_THROW(record_model(temp.path() / "none"), Error);
}

}  // namespace
}  // namespace mica
