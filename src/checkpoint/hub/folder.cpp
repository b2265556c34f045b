#include "checkpoint/hub/folder.h"

#include <ctime>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/hub/cache.h"
#include "checkpoint/hub/digest.h"

namespace mica::hub {

namespace fs = std::filesystem;

fs::path PlainFolder::content(const RemoteFile& file) const {
  return folder_ / file.name;
}
fs::path PlainFolder::incomplete(const std::string& etag) const {
  return notes() / (etag + ".incomplete");
}
fs::path PlainFolder::lock(const std::string& etag) const {
  return notes() / (etag + ".lock");
}
fs::path PlainFolder::note_path(const std::string& file) const {
  return notes() / (file + ".metadata");
}

PlainFolder::Note PlainFolder::note(const std::string& file) const {
  constexpr size_t kMaxBytes = 4096;
  std::error_code failed;
  const fs::path path = note_path(file);
  if (!fs::is_regular_file(path, failed) || fs::file_size(path, failed) > kMaxBytes) return {};
  const auto written = fs::last_write_time(path, failed);
  if (failed || !fs::is_regular_file(folder_ / file, failed)) return {};
  if (fs::last_write_time(folder_ / file, failed) > written || failed) return {};
  const std::string text = read_text_file(path, kMaxBytes);
  const size_t first = text.find('\n'), second = text.find('\n', first + 1);
  if (first == text.npos || second == text.npos) return {};
  return {text.substr(0, first), text.substr(first + 1, second - first - 1)};
}

bool PlainFolder::has_file(const std::string& commit, const std::string& file) const {
  return note(file).commit == commit;
}

bool PlainFolder::is_right(const RemoteFile& file) const {
  if (const Note known = note(file.name); !known.etag.empty()) return known.etag == file.etag;
  const DigestKind kind = digest_kind(file.etag);
  if (kind == DigestKind::kNone || !file.size) return false;
  Digest digest(kind, *file.size);
  digest.update_from_file(content(file), *file.size);
  return digest.hex() == file.etag;
}

void PlainFolder::make_folders(const std::string&) const {
  create_folders(notes());
}

void PlainFolder::make_folder_of(const RemoteFile& file) const {
  create_folders(content(file).parent_path());
}

void PlainFolder::keep(const std::string& commit, const RemoteFile& file) const {
  const fs::path path = note_path(file.name);
  create_folders(path.parent_path());
  write_text_file(path, fmt::format("{}\n{}\n{}\n", commit, file.etag, std::time(nullptr)));
}

}  // namespace mica::hub
