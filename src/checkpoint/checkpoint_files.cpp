// Which files make up a checkpoint.
#include <algorithm>
#include <cstdio>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/json_reader.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Names of the directory's files, sorted.
std::set<std::string> list(const fs::path& directory) {
  std::error_code failed;
  if (!fs::is_directory(directory, failed))
    throw Error(ErrorKind::kCheckpoint, "[checkpoint] {}: expected a directory with a checkpoint{}",
                directory.string(), fs::exists(directory, failed) ? "" : ", found nothing");
  std::set<std::string> names;
  fs::directory_iterator entry(directory, failed), end;
  for (; !failed && entry != end; entry.increment(failed))
    names.insert(entry->path().filename().string());
  if (failed)
    throw Error(ErrorKind::kCheckpoint, "[checkpoint] {}: can't be listed: {}", directory.string(),
                failed.message());
  return names;
}

bool is_weight_file(const std::string& name) {
  return name.rfind("model", 0) == 0 && ends_with(name, ".safetensors");
}

// The shards that the index names.
std::set<std::string> index_shards(const fs::path& directory) {
  constexpr size_t kMaxBytes = size_t{256} << 20;
  const nlohmann::json parsed =
      parse_json_object(read_text_file(directory / kIndex, kMaxBytes), kIndex);
  const JsonReader root(parsed, kIndex);
  const std::optional<JsonReader> map = root.object("weight_map");
  if (!map) root.fail("weight_map", "an object", "nothing");
  std::set<std::string> shards;
  for (const auto& [name, shard] : map->value().items()) {
    const std::string file = shard.is_string() ? shard.get<std::string>() : "";
    if (file.empty() || file == "." || file == ".." || file.find('/') != file.npos ||
        file.find('\0') != file.npos)
      map->fail(name.substr(0, 200).c_str(), "the name of a file beside the index", brief(shard));
    shards.insert(file);
  }
  return shards;
}

[[noreturn]] void fail_missing(const fs::path& directory, const std::string& shard,
                               const std::string& source, size_t present, size_t total) {
  throw Error(ErrorKind::kCheckpoint,
              "[checkpoint] {}: expected {} (named by {}), found {} of {} shards; perhaps an "
              "incomplete download",
              directory.string(), shard, source, present, total);
}

// Shards say how many they are: model-00001-of-00003.safetensors.
void check_numbered(const fs::path& directory, const std::set<std::string>& files) {
  for (const std::string& name : files) {
    unsigned number = 0, total = 0;
    int used = 0;
    const std::string tail = name.size() > 26 ? name.substr(name.size() - 27) : "";
    if (std::sscanf(tail.c_str(), "-%5u-of-%5u.safetensors%n", &number, &total, &used) != 2 ||
        used != 27)
      continue;
    const std::string stem = name.substr(0, name.size() - 27);
    size_t present = 0;
    std::string absent;
    for (unsigned i = 1; i <= total; ++i) {
      const std::string shard = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i, total);
      if (files.count(shard))
        ++present;
      else if (absent.empty())
        absent = shard;
    }
    if (!absent.empty()) fail_missing(directory, absent, name, present, total);
  }
}

[[noreturn]] void fail_empty(const fs::path& directory, const std::set<std::string>& names) {
  std::string guess = "is this a model's directory?";
  for (const std::string& name : names) {
    if (ends_with(name, ".gguf")) guess = name + " is a GGUF file, which Mica doesn't read";
    if (ends_with(name, ".bin") || ends_with(name, ".pt") || ends_with(name, ".pth"))
      guess = name + " looks like PyTorch weights: convert them to safetensors";
    if (ends_with(name, ".npz"))
      guess = name + " looks like an old MLX checkpoint: convert it with mlx_lm.convert";
    if (ends_with(name, ".incomplete")) guess = "an unfinished download lies there";
    if (ends_with(name, ".safetensors")) guess = "there is " + name + ", which is not read";
    if (name == "adapter_config.json") guess = "this is an adapter; it needs its base model";
  }
  throw Error(ErrorKind::kCheckpoint,
              "[checkpoint] {}: expected model.safetensors or shards, found none; {}",
              directory.string(), guess);
}

}  // namespace

std::vector<fs::path> checkpoint_files(const fs::path& directory) {
  const std::set<std::string> names = list(directory);
  std::set<std::string> files;
  std::copy_if(names.begin(), names.end(), std::inserter(files, files.end()), is_weight_file);
  if (names.count(kIndex)) {
    const std::set<std::string> shards = index_shards(directory);
    std::vector<std::string> absent;
    for (const std::string& shard : shards)
      if (!names.count(shard)) absent.push_back(shard);
    // Some converted checkpoints still carry the index of their original: none of its shards is
    // there, but a whole model.safetensors is.
    const bool stale = !shards.empty() && absent.size() == shards.size() && !files.empty();
    if (!stale && !absent.empty())
      fail_missing(directory, absent.front(), kIndex, shards.size() - absent.size(), shards.size());
    if (!stale && !shards.empty()) files = shards;
    if (stale)
      log_warning("[checkpoint] {}: {} names other files; it is not used", directory.string(),
                  kIndex);
  }
  if (files.empty()) fail_empty(directory, names);
  check_numbered(directory, files);
  std::vector<fs::path> paths;
  for (const std::string& name : files) paths.push_back(directory / name);
  return paths;
}

}  // namespace mica
