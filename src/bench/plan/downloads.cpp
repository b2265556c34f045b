#include "bench/plan/downloads.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/spelling.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

bool says_gguf(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text.find("gguf") != text.npos;
}

bool is_gguf(const ModelEntry& entry, const std::vector<std::string>& include) {
  if (!entry.format.empty()) return entry.format == "gguf";
  return says_gguf(entry.repo_id) || std::any_of(include.begin(), include.end(), says_gguf);
}

void check(const ModelEntry& entry, bool gguf, bool chosen) {
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorKind::kUsage, "[fetch] {}: {}: {}", entry.place, entry.repo_id, why);
  };
  if (!entry.repo_type.empty() && entry.repo_type != "model")
    fail("repo_type: expected model, found " + entry.repo_type + "; only models are downloaded");
  if (gguf && !chosen)
    fail(
        "a GGUF repository has many files; choose by include, such as ['*Q4_K_M*'], or "
        "['*.gguf'] for all");
  if (!entry.local_dir.empty() && entry.revisions.size() > 1)
    fail("local_dir is one folder, and there are several revisions; give each an entry");
}

}  // namespace

std::vector<Download> downloads_of(const ModelEntry& entry, const ModelsFile& file,
                                   const VariableLookup& lookup) {
  Download download;
  download.repo_id = entry.repo_id;
  download.include = entry.include;
  download.include.insert(download.include.end(), entry.files.begin(), entry.files.end());
  download.exclude = entry.exclude;
  const bool gguf = is_gguf(entry, download.include);
  check(entry, gguf, !download.include.empty());

  const std::optional<Sourced>& root = gguf && file.gguf ? file.gguf : file.primary;
  fs::path folder = entry.local_dir;
  if (folder.empty() && root) folder = fs::path(root->value) / entry.repo_id;
  if (!folder.empty()) folder = expand_variables(folder.string(), lookup);

  std::vector<Download> all;
  for (const std::string& revision :
       entry.revisions.empty() ? std::vector<std::string>{"main"} : entry.revisions) {
    download.revision = revision;
    download.folder = folder;
    if (!folder.empty() && entry.local_dir.empty() && revision != "main")
      download.folder /= revision;
    all.push_back(download);
  }
  return all;
}

std::vector<const ModelEntry*> entries_named(const ModelsFile& file, const std::string& name) {
  std::vector<const ModelEntry*> found;
  std::vector<std::string> known;
  for (const ModelEntry& entry : file.models) {
    if (!entry.name.empty() && entry.name == name) return {&entry};
    if (entry.repo_id == name) found.push_back(&entry);
    known.push_back(entry.repo_id);
    if (!entry.name.empty()) known.push_back(entry.name);
  }
  if (found.empty())
    throw Error(ErrorKind::kUsage, "[fetch] '{}' is no model of {}{}", hub::printable(name, 100),
                file.path.empty() ? "a models file: there is none" : file.path,
                meant_instead(name, known));
  return found;
}

}  // namespace mica
