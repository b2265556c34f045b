// Which entry of the models file, and which of its profiles, is meant.
#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "base/spelling.h"
#include "bench/plan/models_file.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Upper and lower case are equal.
bool any_glob(const std::vector<std::string>& globs, const std::string& text) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    return hub::glob_match(lower(glob), lower(text));
  });
}

using Entries = std::vector<const ModelEntry*>;

template <typename Keep>
Entries entries_where(const ModelsFile& file, Keep keep) {
  Entries found;
  for (const ModelEntry& entry : file.models)
    if (keep(entry)) found.push_back(&entry);
  return found;
}

// Keeps those that `keep` likes, or all if it likes none.
template <typename Keep>
void prefer(Entries& entries, Keep keep) {
  Entries kept;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(kept), keep);
  if (!kept.empty()) entries = std::move(kept);
}

// Whether an entry's download has the file: "name-Q4_K_M.gguf", or what is typed of it.
bool includes(const ModelEntry& entry, const std::string& gguf) {
  for (const std::string& glob : entry.include)
    if (hub::glob_match(glob, gguf) || glob.find(gguf) != glob.npos) return true;
  return std::find(entry.files.begin(), entry.files.end(), gguf) != entry.files.end();
}

// What the command line can tell it by.
std::string told_by(const ModelEntry& entry) {
  std::string text = entry.repo_id;
  for (const std::string& revision : entry.revisions) text += "@" + revision;
  for (const std::string& glob : entry.include) text += " (" + glob + ")";
  if (!entry.name.empty()) text += ", name " + entry.name;
  return text;
}

[[noreturn]] void fail_ambiguous(const Entries& entries, const ModelWanted& wanted) {
  std::string all;
  std::set<std::string> different;
  for (const ModelEntry* entry : entries) {
    all += fmt::format("\n  {}: {}", entry->place, told_by(*entry));
    different.insert(told_by(*entry));
  }
  throw Error(ErrorKind::kUsage, "[models] '{}' may mean {} entries; {}:{}", wanted.text,
              entries.size(),
              different.size() == entries.size()
                  ? "name a revision (@REV), a file (--gguf) or the entry's name"
                  : "nothing tells them apart: give each a `name` in the file, or take one away",
              all);
}

std::string profile_names(const ModelEntry& entry) {
  std::string all;
  for (const ModelProfile& profile : entry.profiles)
    all += (all.empty() ? "" : ", ") + profile.name +
           (profile.backend ? " (" + profile.backend->value + ")" : "");
  return all;
}

bool is_for(const ModelProfile& profile, const std::string& backend) {
  return backend.empty() || !profile.backend || profile.backend->value == backend;
}

}  // namespace

const ModelEntry* match_model(const ModelsFile& file, const ModelWanted& wanted,
                              const std::string& gguf) {
  for (const ModelEntry& entry : file.models)
    if (!entry.name.empty() && entry.name == wanted.text) return &entry;
  Entries found = entries_where(file, [&](const ModelEntry& entry) {
    return !wanted.repo_id.empty() && entry.repo_id == wanted.repo_id;
  });
  if (found.empty())
    found = entries_where(
        file, [&](const ModelEntry& entry) { return any_glob(entry.match, wanted.repo_id); });
  if (!wanted.revision.empty())
    prefer(found, [&](const ModelEntry* entry) {
      const auto& revisions = entry->revisions;
      return std::find(revisions.begin(), revisions.end(), wanted.revision) != revisions.end();
    });
  if (!gguf.empty()) prefer(found, [&](const ModelEntry* e) { return includes(*e, gguf); });
  if (found.size() > 1) fail_ambiguous(found, wanted);
  return found.empty() ? nullptr : found.front();
}

const ModelProfile* choose_profile(const ModelEntry& entry, const std::string& wanted,
                                   const std::string& backend) {
  if (wanted == "none") return nullptr;
  if (!wanted.empty()) {
    std::vector<std::string> names;
    for (const ModelProfile& profile : entry.profiles) {
      names.push_back(profile.name);
      if (profile.name != wanted) continue;
      if (is_for(profile, backend)) return &profile;
      throw Error(ErrorKind::kUsage,
                  "[models] {}: profile {} is for {}, and {} is asked for; leave one of them out",
                  profile.place, profile.name, profile.backend->value, backend);
    }
    throw Error(ErrorKind::kUsage, "[models] {}: {} has no profile '{}'{}; there are: {}",
                entry.place, entry.repo_id, wanted, meant_instead(wanted, names),
                names.empty() ? "none" : profile_names(entry));
  }
  std::vector<const ModelProfile*> fitting;
  for (const ModelProfile& profile : entry.profiles) {
    if (!is_for(profile, backend)) continue;
    if (profile.name == "default") return &profile;
    fitting.push_back(&profile);
  }
  if (fitting.size() > 1)
    throw Error(ErrorKind::kUsage,
                "[models] {}: {} has several profiles; choose one by --profile (or none): {}",
                entry.place, entry.repo_id, profile_names(entry));
  return fitting.empty() ? nullptr : fitting.front();
}

std::vector<Layer> ModelsFile::layers(const std::string& backend, const std::string& repo_id,
                                      const ModelEntry* entry, const ModelProfile* profile) const {
  std::vector<Layer> all;
  if (const auto found = defaults.find(backend); found != defaults.end())
    all.push_back(found->second);
  for (const ModelPattern& pattern : patterns)
    if (pattern.backend == backend && any_glob(pattern.globs, repo_id))
      all.push_back(pattern.layer);
  if (entry)
    if (const auto found = entry->backends.find(backend); found != entry->backends.end())
      all.push_back(found->second);
  if (profile) all.push_back(profile->layer);
  return all;
}

}  // namespace mica
