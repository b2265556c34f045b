#include "bench/results/provenance.h"

#include <algorithm>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "checkpoint/hub/digest.h"
#include "ops/cuda/probe/build.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

std::string first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

int count_numa_nodes(const fs::path& root) {
  std::error_code failed;
  int count = 0;
  for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/node", failed)) {
    const std::string name = entry.path().filename().string();
    count += name.size() > 4 && name.starts_with("node") &&
             name.find_first_not_of("0123456789", 4) == std::string::npos;
  }
  return count;
}

HostRecord gather_host(const fs::path& root, const gpu::HostFacts& facts) {
  HostRecord host;
  host.cpu = processor_name(root);
  host.cpus = static_cast<int>(std::thread::hardware_concurrency());
  host.numa_nodes = count_numa_nodes(root);
  host.governor = first_word(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  const MemoryFacts memory = read_memory(root);
  host.memory_bytes = memory.total;
  host.memory_limit_bytes = memory.limit;
  host.kernel = kernel_release();
  host.system = facts.system;
  host.container = facts.container;
  return host;
}

std::string whole_hash(const fs::path& path, uint64_t bytes) {
  hub::Digest digest(hub::DigestKind::kSha256, bytes);
  digest.update_from_file(path, bytes);
  return "sha256:" + digest.hex();
}

std::string sampled_hash(const fs::path& path, uint64_t bytes) {
  constexpr uint64_t kEnd = uint64_t{1} << 20, kPiece = uint64_t{64} << 10, kPieces = 64;
  const MappedFile file(path);
  hub::Digest digest(hub::DigestKind::kSha256, bytes);
  const auto add = [&](uint64_t begin, uint64_t size) {
    digest.update(reinterpret_cast<const char*>(file.bytes().data()) + begin, size);
  };
  const std::string size = fmt::format("{}\n", bytes);
  digest.update(size.data(), size.size());
  add(0, kEnd);
  for (uint64_t i = 1; i <= kPieces; ++i) add(bytes / (kPieces + 1) * i, kPiece);
  add(bytes - kEnd, kEnd);
  return "sampled-sha256:" + digest.hex();
}

// A link of the hub's cache points to a file that is named by its hash.
std::string hub_hash(const fs::path& path) {
  std::error_code failed;
  const fs::path target = fs::read_symlink(path, failed);
  if (failed || target.parent_path().filename() != "blobs") return "";
  const std::string name = target.filename().string();
  switch (hub::digest_kind(name)) {
    case hub::DigestKind::kSha256: return "sha256:" + name;
    case hub::DigestKind::kGitBlob: return "git:" + name;
    case hub::DigestKind::kNone: break;
  }
  return "";
}

ModelFile record_file(const fs::path& path, uint64_t whole_bytes) {
  constexpr uint64_t kSmallestSampled = uint64_t{8} << 20;  // the pieces must fit
  ModelFile file;
  file.name = path.filename().string();
  file.bytes = fs::file_size(path);
  file.hash = hub_hash(path);
  if (!file.hash.empty()) return file;
  file.hash = file.bytes <= std::max(whole_bytes, kSmallestSampled)
                  ? whole_hash(path, file.bytes)
                  : sampled_hash(path, file.bytes);
  return file;
}

// ".../models--org--name/snapshots/REVISION"
void name_by_cache(const fs::path& folder, ModelRecord& model) {
  const fs::path snapshots = folder.parent_path();
  const std::string repo = snapshots.parent_path().filename().string();
  if (snapshots.filename() != "snapshots" || !repo.starts_with("models--")) return;
  model.revision = folder.filename().string();
  model.id = repo.substr(8);
  const size_t dashes = model.id.find("--");
  if (dashes != std::string::npos) model.id.replace(dashes, 2, "/");
}

}  // namespace

Provenance gather_provenance(const std::string& mica_version, const gpu::ProbePaths& paths) {
  const gpu::GpuProbe probe = gpu::probe_gpus(paths);
  Provenance out;
  out.mica_version = mica_version;
  out.host = gather_host(paths.root, probe.host);
  out.driver = probe.driver_version();
  if (probe.cuda.driver_version) out.cuda = gpu::version_text(*probe.cuda.driver_version);
  out.gpus = probe.gpus;
  return out;
}

ModelRecord record_model(const fs::path& given, uint64_t whole_bytes) {
  std::error_code failed;
  fs::path path = fs::absolute(given).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();  // "folder/"
  ModelRecord model;
  model.id = path.filename().string();
  if (fs::is_regular_file(path, failed)) {
    model.files.push_back(record_file(path, whole_bytes));
    name_by_cache(path.parent_path(), model);
    return model;
  }
  if (!fs::is_directory(path, failed))
    throw Error(ErrorKind::kCheckpoint, "[results] {}: expected a model's folder or file",
                path.string());
  name_by_cache(path, model);
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_regular_file(failed))
      model.files.push_back(record_file(entry.path(), whole_bytes));
  std::sort(model.files.begin(), model.files.end(),
            [](const ModelFile& a, const ModelFile& b) { return a.name < b.name; });
  return model;
}

}  // namespace mica
