// Which file of a folder of GGUF files is meant.
#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "bench/plan/locate.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 10'000;
constexpr int kMaxDepth = 6;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool is_projector(const fs::path& file) {
  return lower(file.filename().string()).starts_with("mmproj");
}

bool is_part(const fs::path& file) {
  return gguf_parts(file).size() > 1;
}

// The first part of each split model, also one that is missing.
std::vector<fs::path> first_parts(const std::vector<fs::path>& files) {
  std::set<fs::path> firsts;
  for (const fs::path& file : files)
    if (is_part(file)) firsts.insert(gguf_parts(file).front());
  return {firsts.begin(), firsts.end()};
}

bool is_whole(const fs::path& first) {
  const std::vector<fs::path> parts = gguf_parts(first);
  return std::all_of(parts.begin(), parts.end(), [](const fs::path& part) {
    std::error_code ignored;
    return fs::exists(part, ignored);
  });
}

// Every GGUF file below the folder but projectors, sorted.
std::vector<fs::path> list_gguf(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied,
                                      failed);
  for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
    if (it.depth() >= kMaxDepth) it.disable_recursion_pending();
    const fs::path& file = it->path();
    if (lower(file.extension().string()) == ".gguf" && !is_projector(file)) files.push_back(file);
    if (files.size() >= kMaxFiles) break;
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string below(const fs::path& file, const fs::path& folder) {
  return file.lexically_relative(folder).string();
}

// Those that `fits`, or an error that shows what there is.
template <typename Fits>
void keep(std::vector<fs::path>& files, const fs::path& folder, const std::string& wanted,
          Fits fits) {
  std::vector<fs::path> kept;
  std::copy_if(files.begin(), files.end(), std::back_inserter(kept), fits);
  if (kept.empty()) {
    std::string all;
    for (const fs::path& file : files)
      if (all.size() < 600) all += "\n  " + below(file, folder);
    throw Error(ErrorKind::kUsage, "[gguf] {}: no file fits '{}'; there are:{}", folder.string(),
                wanted, all);
  }
  files = std::move(kept);
}

[[noreturn]] void fail_to_choose(const std::vector<fs::path>& files,
                                 const std::vector<fs::path>& firsts, const fs::path& folder) {
  const std::vector<fs::path>& choice = firsts.size() > 1 ? firsts : files;
  std::string all;
  for (const fs::path& file : choice)
    if (all.size() < 1200)
      all += "\n  --gguf " + below(file, folder) + (is_whole(file) ? "" : "  (parts are missing)");
  throw Error(ErrorKind::kUsage,
              "[gguf] {}: found {} {}; say which one by its name or a part of it, such as:{}",
              folder.string(), choice.size(),
              firsts.size() > 1 ? "split models" : "GGUF files of one model each", all);
}

}  // namespace

void check_gguf_parts(const fs::path& file) {
  const std::vector<fs::path> parts = gguf_parts(file);
  std::string missing;
  size_t present = 0;
  for (const fs::path& part : parts) {
    std::error_code ignored;
    if (fs::exists(part, ignored))
      ++present;
    else if (missing.empty())
      missing = part.filename().string();
  }
  if (!missing.empty())
    throw Error(ErrorKind::kCheckpoint,
                "[gguf] {}: expected {}, found {} of {} parts; perhaps an incomplete download",
                file.string(), missing, present, parts.size());
}

fs::path choose_gguf(const fs::path& folder, const std::string& wanted,
                     const std::vector<std::string>& include) {
  std::vector<fs::path> files = list_gguf(folder);
  if (files.empty())
    throw Error(ErrorKind::kCheckpoint, "[gguf] {}: expected a GGUF file, found none",
                folder.string());
  if (!wanted.empty()) {
    const std::string part = lower(wanted);
    keep(files, folder, wanted, [&](const fs::path& file) {
      return lower(below(file, folder)).find(part) != std::string::npos;
    });
  } else if (!include.empty()) {
    std::vector<fs::path> kept;
    std::copy_if(files.begin(), files.end(), std::back_inserter(kept), [&](const fs::path& file) {
      return std::any_of(include.begin(), include.end(), [&](const std::string& glob) {
        return hub::glob_match(glob, below(file, folder));
      });
    });
    if (!kept.empty()) files = std::move(kept);
  }
  const std::vector<fs::path> firsts = first_parts(files);
  std::vector<fs::path> whole;
  std::copy_if(files.begin(), files.end(), std::back_inserter(whole),
               [](const fs::path& file) { return !is_part(file); });
  fs::path chosen;
  if (firsts.size() == 1)
    chosen = firsts.front();
  else if (files.size() == 1)
    chosen = files.front();
  else if (whole.size() == 1)
    chosen = whole.front();
  else
    fail_to_choose(whole.empty() ? files : whole, firsts, folder);
  check_gguf_parts(chosen);
  return chosen;
}

fs::path find_projector(const fs::path& model, const fs::path& root) {
  fs::path folder = model.parent_path();
  for (int level = 0; level < kMaxDepth; ++level) {
    std::vector<fs::path> found;
    std::error_code failed;
    fs::directory_iterator it(folder, failed);
    for (const fs::directory_iterator end; !failed && it != end; it.increment(failed))
      if (is_projector(it->path()) && lower(it->path().extension().string()) == ".gguf")
        found.push_back(it->path());
    std::sort(found.begin(), found.end());
    for (const fs::path& file : found) {
      const std::string name = lower(file.filename().string());
      if (name.find("f16") != name.npos && name.find("bf16") == name.npos) return file;
    }
    if (!found.empty()) return found.front();
    if (folder == root || folder == folder.parent_path() || root.empty()) break;
    folder = folder.parent_path();
  }
  return {};
}

}  // namespace mica
