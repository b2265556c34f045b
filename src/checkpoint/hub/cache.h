// The cache folder of one repository: its paths, references, links and locks (layout: hub.h).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/hub/target.h"

namespace mica::hub {

// An exclusive flock(2) on a lock file, as other tools take it. Released at destruction.
class FileLock {
 public:
  // Blocks while another process holds it; calls `on_wait` once a second meanwhile, which may
  // throw. Throws kCheckpoint when the lock file can't be made.
  FileLock(const std::filesystem::path& path, const std::function<void(double seconds)>& on_wait);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  // False where the file system knows no locks: then nobody is kept out.
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

// Names must have passed the checks of names.h. Writing functions throw kCheckpoint with a remedy.
class RepoCache : public PullTarget {
 public:
  RepoCache(const std::filesystem::path& root, const std::string& repo);

  std::filesystem::path root() const override { return root_; }
  std::filesystem::path snapshot(const std::string& commit) const override;
  std::filesystem::path content(const RemoteFile& file) const override { return blob(file.etag); }
  std::filesystem::path incomplete(const std::string& etag) const override;
  std::filesystem::path lock(const std::string& etag) const override;
  std::filesystem::path tree(const std::string& commit) const;  // a listing other tools may keep

  // The commit of a branch or tag, or the revision itself when it is a commit with a snapshot.
  std::optional<std::string> commit_of(const std::string& revision) const;
  bool has_file(const std::string& commit, const std::string& file) const override;
  bool is_right(const RemoteFile&) const override { return true; }  // blobs are named by their hash

  void make_folders(const std::string& commit) const override;
  void make_folder_of(const RemoteFile&) const override {}
  void keep(const std::string& commit, const RemoteFile& file) const override;  // links it
  void write_ref(const std::string& revision, const std::string& commit) const override;
  void note_missing(const std::string& commit, const std::string& file) const override;

 private:
  std::filesystem::path blob(const std::string& etag) const;

  std::filesystem::path root_;
  std::filesystem::path folder_;
  std::string folder_name_;
};

// "org/name" of the folder models--org--name; empty for others.
std::string repo_of(const std::filesystem::path& folder);
// Every repository in the cache that has a snapshot, as "org/name", sorted.
std::vector<std::string> cached_repos(const std::filesystem::path& root);

// Throws kCheckpoint when they can't be made.
void create_folders(const std::filesystem::path& path);

// Throws kCheckpoint for a failed write: the path, errno's text and what to do about it.
[[noreturn]] void throw_write_error(const std::filesystem::path& path, int error_number);

}  // namespace mica::hub
