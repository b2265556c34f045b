// find_model and resolve_model: what `--model` may name, and whether a cached snapshot is whole.
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/hub/cache.h"
#include "checkpoint/hub/hub.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kMaxIndexBytes = 64 << 20;
constexpr const char* kIndex = "model.safetensors.index.json";

// A JSON object's member that is itself an object; null when the file is anything else: whoever
// reads the checkpoint says what is wrong with it.
Json read_object(const fs::path& path, const char* key) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  bool too_deep = false;
  const auto limit = [&](int depth, Json::parse_event_t, Json&) {
    too_deep |= depth > 64;
    return !too_deep;
  };
  const Json root =
      Json::parse(read_text_file(path, kMaxIndexBytes), limit, /*allow_exceptions=*/false);
  if (too_deep || !root.is_object()) return {};
  const auto found = root.find(key);
  return found != root.end() && found->is_object() ? *found : Json();
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool has_weights(const fs::path& snapshot) {
  std::error_code failed;
  for (fs::directory_iterator it(snapshot, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".safetensors" && is_file(it->path())) return true;
  return false;
}

// Files without which a model is not whole, if the repository has them.
bool is_needed(const std::string& file) {
  for (const char* pattern :
       {"config.json", "generation_config.json", "tokenizer*.json", "tokenizer.model",
        "special_tokens_map.json", "chat_template.*", "*.tiktoken", "vocab.json", "merges.txt",
        "model*.safetensors", "model.safetensors.index.json"})
    if (file.find('/') == std::string::npos && hub::glob_match(pattern, file)) return true;
  return false;
}

// What an interrupted download left out: by the weights' index, by links without a blob, and by
// the listing that newer versions of huggingface_hub keep.
std::set<std::string> missing_files(const hub::RepoCache& cache, const std::string& commit) {
  const fs::path snapshot = cache.snapshot(commit);
  std::set<std::string> missing;
  const auto need = [&](const std::string& file) {
    if (!hub::is_file_name(file) || !is_file(snapshot / file)) missing.insert(file);
  };
  need("config.json");
  const Json weights = read_object(snapshot / kIndex, "weight_map");
  for (const auto& entry : weights.items())
    if (entry.value().is_string()) need(entry.value().get<std::string>());
  const Json tree = read_object(cache.tree(commit), "files");
  for (const auto& entry : tree.items())
    if (is_needed(entry.key())) need(entry.key());
  const bool weights_named = std::any_of(missing.begin(), missing.end(), [](const auto& file) {
    return file.ends_with(".safetensors");
  });
  if (weights.empty() && !weights_named && !has_weights(snapshot)) missing.insert("*.safetensors");
  std::error_code failed;
  for (fs::directory_iterator it(snapshot, failed), end; !failed && it != end; it.increment(failed))
    if (it->is_symlink() && !fs::exists(it->path(), failed))
      missing.insert(it->path().filename().string());
  return missing;
}

std::optional<ModelId> model_id(const std::string& text) {
  ModelId id;
  const size_t at = text.find('@');
  id.repo = text.substr(0, at);
  if (at != std::string::npos) id.revision = text.substr(at + 1);
  if (!hub::is_repo_id(id.repo) || !hub::is_revision(id.revision)) return std::nullopt;
  return id;
}

fs::path expanded_home(const std::string& text) {
  const char* home = std::getenv("HOME");
  if (home && (text == "~" || text.starts_with("~/"))) return home + text.substr(1);
  return text;
}

// The folder models--org--name of a cache stands for its snapshot of "main".
fs::path model_directory(const fs::path& path) {
  std::error_code ignored;
  if (is_file(path / "config.json") || !is_file(path / "refs" / "main")) return path;
  const std::string commit = read_text_file(path / "refs" / "main", 4096);
  const fs::path snapshot = path / "snapshots" / commit;
  return hub::is_commit(commit) && fs::is_directory(snapshot, ignored) ? snapshot : path;
}

std::string guesses(const std::string& text, const HubOptions& options) {
  const std::string repo = text.substr(0, text.find('@'));
  std::string out;
  for (const std::string& name : hub::nearest_names(repo, hub::cached_repos(options.cache)))
    if (name != repo) out += (out.empty() ? "; did you mean " : " or ") + name;
  return out.empty() ? out : out + ", which is in the cache?";
}

// What the cache has of the model: nothing, or a snapshot without some files.
std::string describe_cached(const ModelId& id, const HubOptions& options) {
  const hub::RepoCache cache(options.cache, id.repo);
  const std::optional<std::string> commit = cache.commit_of(id.revision);
  std::error_code ignored;
  if (!commit || !fs::is_directory(cache.snapshot(*commit), ignored))
    return fmt::format("{} doesn't have it", options.cache.string());
  std::string out;
  int count = 0;
  for (const std::string& file : missing_files(cache, *commit))
    if (++count <= 4) out += (count > 1 ? ", " : "") + hub::printable(file, 80);
  return fmt::format("{} has only a part of it, without {}{}", options.cache.string(), out,
                     count > 4 ? fmt::format(" and {} more", count - 4) : "");
}

}  // namespace

std::optional<fs::path> find_model(const std::string& path_or_repo, const HubOptions& options) {
  std::error_code ignored;
  const fs::path path = expanded_home(path_or_repo);
  if (!path_or_repo.empty() && fs::is_directory(path, ignored)) return model_directory(path);
  const std::optional<ModelId> id = model_id(path_or_repo);
  if (!id) return std::nullopt;
  const hub::RepoCache cache(fs::absolute(options.cache).lexically_normal(), id->repo);
  const std::optional<std::string> commit = cache.commit_of(id->revision);
  if (!commit || !fs::is_directory(cache.snapshot(*commit), ignored)) return std::nullopt;
  if (!missing_files(cache, *commit).empty()) return std::nullopt;
  return cache.snapshot(*commit);
}

fs::path resolve_model(const std::string& path_or_repo, const HubOptions& options) {
  if (const auto found = find_model(path_or_repo, options)) return *found;
  const std::string shown = hub::printable(path_or_repo);
  std::error_code ignored;
  if (fs::exists(expanded_home(path_or_repo), ignored) && !path_or_repo.empty())
    throw Error(ErrorKind::kCheckpoint,
                "[model] {}: expected a directory with config.json and *.safetensors, found a "
                "file; name the directory that holds it",
                shown);
  const std::optional<ModelId> id = model_id(path_or_repo);
  if (!id)
    throw Error(ErrorKind::kCheckpoint,
                "[model] '{}': there is no such directory, and it is no name on the hub "
                "(org/name or org/name@revision){}",
                shown, guesses(path_or_repo, options));
  if (options.offline)
    throw Error(ErrorKind::kCheckpoint,
                "[model] {}: there is no such directory, and {}; offline mode is on, unset "
                "HF_HUB_OFFLINE (or leave --offline away) to download it{}",
                shown, describe_cached(*id, options), guesses(path_or_repo, options));
  log_info("[model] {} is not in {}: downloading it from {}", shown, options.cache.string(),
           options.endpoint);
  try {
    return pull_model(id->repo, id->revision, options);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kNetwork) throw;
    throw Error(e.kind(),
                "[model] {}: there is no such directory, {}, and the download failed: {}{}", shown,
                describe_cached(*id, options), e.what(), guesses(path_or_repo, options));
  }
}

}  // namespace mica
