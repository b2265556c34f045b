#include "bench/plan/locate.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/expand.h"
#include "base/spelling.h"
#include "bench/plan/model_facts.h"
#include "checkpoint/hub/cache.h"
#include "checkpoint/hub/hub.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

std::string expanded(const std::string& text, const PlanFacts& facts) {
  return expand_variables(text, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = facts.environment.find(name);
    if (found == facts.environment.end()) return std::nullopt;
    return found->second;
  });
}

std::vector<fs::path> storage_roots(const ModelsFile& file, const PlanFacts& facts) {
  std::vector<fs::path> roots;
  for (const auto* root : {&file.primary, &file.gguf})
    if (*root) roots.push_back(fs::path(expanded((*root)->value, facts)).lexically_normal());
  return roots;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return !path.empty() && fs::exists(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return !path.empty() && fs::is_directory(path, ignored);
}

std::vector<std::string> parts_below(const fs::path& path, const fs::path& root) {
  std::vector<std::string> parts;
  const fs::path below = path.lexically_relative(root);
  if (below.empty() || below.begin()->string() == ".." || below == ".") return parts;
  for (const fs::path& part : below) parts.push_back(part.string());
  return parts;
}

// The cache's folder models--org--name that holds the path, or empty.
fs::path cache_repository(const fs::path& path) {
  for (fs::path folder = path; folder != folder.parent_path(); folder = folder.parent_path())
    if (!hub::repo_of(folder.filename()).empty() && is_folder(folder / "snapshots")) return folder;
  return {};
}

// <root>/org/name[/revision] and models--org--name/snapshots/commit.
void name_path(const fs::path& path, const ModelsFile& file, const PlanFacts& facts,
               ModelWanted& wanted) {
  if (const fs::path repository = cache_repository(path); !repository.empty()) {
    wanted.repo_id = hub::repo_of(repository.filename());
    const auto parts = parts_below(path, repository / "snapshots");
    if (!parts.empty()) wanted.revision = parts.front();
    return;
  }
  const fs::path folder = is_folder(path) ? path : path.parent_path();
  for (const fs::path& root : storage_roots(file, facts)) {
    const auto parts = parts_below(folder, root);
    if (parts.size() < 2 || !hub::is_repo_id(parts[0] + "/" + parts[1])) continue;
    wanted.repo_id = parts[0] + "/" + parts[1];
    if (parts.size() == 3) wanted.revision = parts[2];
    return;
  }
}

// A format by a repository's name, for models that are not here; empty = it does not tell.
std::string format_by_name(const std::string& repo_id) {
  std::string name;
  for (const char c : repo_id)
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto says = [&](const char* word) { return name.find(word) != name.npos; };
  if (says("gguf")) return "gguf";
  if (says("exl3")) return "exl3";
  if (name.starts_with("mlx-community/") || says("-mlx")) return "mlx";
  return "";
}

void found_at(ModelPlace& place, const fs::path& path, const std::string& how) {
  std::error_code ignored;
  if (is_folder(path)) {
    place.folder = fs::weakly_canonical(path, ignored);
  } else {
    place.folder = fs::weakly_canonical(path.parent_path(), ignored);
    place.file = place.folder / path.filename();
  }
  place.repository = cache_repository(place.folder);
  place.origin.text = how;
}

// In the roots of storage, then in the hub's cache.
void look_for(ModelPlace& place, const ModelEntry* entry, const ModelsFile& file,
              const PlanFacts& facts) {
  if (entry && !entry->local_dir.empty()) {
    const fs::path folder = expanded(entry->local_dir, facts);
    if (is_there(folder)) return found_at(place, folder, entry->place + ": local_dir");
  }
  for (const fs::path& root : storage_roots(file, facts)) {
    const fs::path folder = root / place.repo_id;
    if (!place.revision.empty() && is_folder(folder / place.revision))
      return found_at(place, folder / place.revision, "storage " + root.string());
    if ((place.revision.empty() || place.revision == "main") && is_folder(folder))
      return found_at(place, folder, "storage " + root.string());
  }
  if (facts.hub_cache.empty()) return;
  const hub::RepoCache cache(fs::absolute(facts.hub_cache).lexically_normal(), place.repo_id);
  const std::string revision = place.revision.empty() ? "main" : place.revision;
  const auto commit = cache.commit_of(revision);
  if (!commit || !is_folder(cache.snapshot(*commit))) return;
  place.revision = *commit;
  found_at(place, cache.snapshot(*commit), "the hub's cache, revision " + revision);
}

[[noreturn]] void fail_unknown(const std::string& text, const ModelsFile& file) {
  std::vector<std::string> known;
  for (const ModelEntry& entry : file.models) {
    known.push_back(entry.repo_id);
    if (!entry.name.empty()) known.push_back(entry.name);
  }
  throw Error(ErrorKind::kUsage,
              "[plan] '{}': there is no such file or folder, and it is no repository (org/name or "
              "org/name@revision){}{}",
              hub::printable(text), file.path.empty() ? "" : " and no model of " + file.path,
              meant_instead(text, known));
}

void add_gguf_parts(ModelPlace& place, const ModelEntry* entry, const ModelsFile& file,
                    const PlanRequest& request, const PlanFacts& facts) {
  if (place.file.empty())
    place.file = choose_gguf(place.folder, request.gguf,
                             entry ? entry->include : std::vector<std::string>{});
  else
    check_gguf_parts(place.file);
  if (!request.projector.empty()) {
    if (request.projector == "none") return;
    place.projector = fs::absolute(expanded(request.projector, facts)).lexically_normal();
    if (!is_there(place.projector))
      throw Error(ErrorKind::kUsage, "[plan] --mmproj {}: there is no such file",
                  request.projector);
    return;
  }
  fs::path root = place.repository;
  for (const fs::path& storage : storage_roots(file, facts))
    if (!parts_below(place.folder, storage).empty()) root = storage;
  place.projector = find_projector(place.file, root);
  if (place.projector.empty() && request.vision)
    throw Error(ErrorKind::kUsage,
                "[plan] {}: images need a vision projector, and there is no mmproj-*.gguf beside "
                "the model; download it there, or name it by --mmproj FILE",
                place.folder.string());
}

}  // namespace

ModelWanted read_wanted(const std::string& text, const ModelsFile& file, const PlanFacts& facts) {
  ModelWanted wanted;
  wanted.text = text;
  const fs::path path = expanded(text, facts);
  if (is_there(path)) {
    std::error_code ignored;
    wanted.path = fs::weakly_canonical(path.parent_path(), ignored) / path.filename();
    if (is_folder(path)) wanted.path = fs::weakly_canonical(path, ignored).string();
    name_path(wanted.path, file, facts, wanted);
    return wanted;
  }
  const size_t at = text.find('@');
  const std::string repo = text.substr(0, at);
  const std::string revision = at == text.npos ? "" : text.substr(at + 1);
  if (hub::is_repo_id(repo) && repo.find('/') != repo.npos &&
      (at == text.npos || hub::is_revision(revision))) {
    wanted.repo_id = repo;
    wanted.revision = revision;
  }
  return wanted;
}

ModelPlace locate_model(const ModelWanted& wanted, const ModelEntry* entry, const ModelsFile& file,
                        const PlanRequest& request, const PlanFacts& facts) {
  ModelPlace place;
  place.repo_id = wanted.repo_id;
  place.revision = wanted.revision;
  if (entry && place.repo_id.empty()) place.repo_id = entry->repo_id;
  if (entry && place.revision.empty() && !entry->revisions.empty() && wanted.path.empty())
    place.revision = entry->revisions.front();
  if (!wanted.path.empty())
    found_at(place, wanted.path, "the command line");
  else if (place.repo_id.empty() && !request.url.empty())
    return place;  // a running server's name for it
  else if (place.repo_id.empty())
    fail_unknown(wanted.text, file);
  else
    look_for(place, entry, file, facts);
  if (entry) place.format = entry->format;
  if (place.format.empty())
    place.format = place.is_here()         ? detect_format(place.path())
                   : !request.gguf.empty() ? "gguf"
                                           : format_by_name(place.repo_id);
  if (!place.is_here()) {
    place.origin.text = "not on this machine; the backend downloads it";
  } else if (place.format == "gguf") {
    add_gguf_parts(place, entry, file, request, facts);
  }
  return place;
}

}  // namespace mica
