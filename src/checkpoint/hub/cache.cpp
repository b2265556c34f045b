#include "checkpoint/hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/hub/names.h"

namespace mica::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "models--";

// Group-writable whatever the umask, so that several users can share a cache; another user's file
// that may only be read can still be locked.
int open_lock_file(const fs::path& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
  if (fd >= 0) {
    if (::fchmod(fd, 0664) != 0) log_debug("[hub] {}: {}", path.string(), std::strerror(errno));
    return fd;
  }
  fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
  if (fd < 0 && errno == EACCES) fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_write_error(path, errno);
  return fd;
}

// Is the open lock file still the one at `path`? Some tools remove theirs when they release it.
bool is_current(int fd, const fs::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

// Replaces `link` by a symlink to `target` in one step, so that readers never miss the file.
int replace_symlink(const fs::path& target, const fs::path& link) {
  fs::path temporary = link;
  temporary += fmt::format(".{}.tmp", ::getpid());
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) return errno;
  if (::rename(temporary.c_str(), link.c_str()) == 0) return 0;
  const int reason = errno;
  ::unlink(temporary.c_str());
  return reason;
}

void create_cache_tag(const fs::path& root) {
  const fs::path path = root / "CACHEDIR.TAG";
  std::error_code ignored;
  if (fs::exists(path, ignored)) return;
  try {  // https://bford.info/cachedir/: backup tools skip the folder
    write_text_file(path,
                    "Signature: 8a477f597d28d172789f06886806bc55\n"
                    "# This folder is a cache of downloaded models; backups may skip it.\n");
  } catch (const Error& e) {
    log_debug("{}", e.what());
  }
}

}  // namespace

void throw_write_error(const fs::path& path, int error_number) {
  const char* remedy = "check the folder, or set HF_HUB_CACHE to another one";
  if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG)
    remedy =
        "free some space or set HF_HUB_CACHE to a folder on another disk; what was "
        "downloaded is kept and the next pull continues there";
  else if (error_number == EACCES || error_number == EPERM || error_number == EROFS)
    remedy = "make it writable for this user, or set HF_HUB_CACHE to a folder that is";
  throw Error(ErrorKind::kCheckpoint, "[hub] {}: can't be written: {}; {}", path.string(),
              std::strerror(error_number), remedy);
}

FileLock::FileLock(const fs::path& path, const std::function<void(double)>& on_wait) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  double told = 0;
  create_folders(path.parent_path());
  for (;;) {
    fd_ = open_lock_file(path);
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) {
      if ((held_ = is_current(fd_, path))) return;
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      log_warning("[hub] {}: this file system has no locks ({}); don't pull twice at once",
                  path.string(), std::strerror(errno));
      return;
    }
    ::close(std::exchange(fd_, -1));
    const double waited = std::chrono::duration<double>(Clock::now() - start).count();
    if (on_wait && waited >= told) {
      told = waited + 1;
      on_wait(waited);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

RepoCache::RepoCache(const fs::path& root, const std::string& repo) : root_(root) {
  MICA_CHECK(is_repo_id(repo));
  folder_name_ = kPrefix + repo;
  const size_t slash = folder_name_.find('/');
  if (slash != std::string::npos) folder_name_.replace(slash, 1, "--");
  folder_ = root_ / folder_name_;
}

fs::path RepoCache::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}
fs::path RepoCache::blob(const std::string& etag) const {
  return folder_ / "blobs" / etag;
}
fs::path RepoCache::incomplete(const std::string& etag) const {
  return folder_ / "blobs" / (etag + ".incomplete");
}
fs::path RepoCache::lock(const std::string& etag) const {
  return root_ / ".locks" / folder_name_ / (etag + ".lock");
}
fs::path RepoCache::tree(const std::string& commit) const {
  return folder_ / "trees" / (commit + ".json");
}

std::optional<std::string> RepoCache::commit_of(const std::string& revision) const {
  std::error_code ignored;
  const fs::path ref = folder_ / "refs" / revision;
  if (fs::is_regular_file(ref, ignored)) {
    std::string commit = read_text_file(ref, 4096);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
    if (is_commit(commit)) return commit;
  }
  if (is_commit(revision) && fs::is_directory(snapshot(revision), ignored)) return revision;
  return std::nullopt;
}

bool RepoCache::has_file(const std::string& commit, const std::string& file) const {
  std::error_code ignored;
  return fs::is_regular_file(snapshot(commit) / file, ignored);  // follows the link
}

void RepoCache::make_folders(const std::string& commit) const {
  create_folders(folder_ / "blobs");
  create_folders(snapshot(commit));
  create_cache_tag(root_);
}

void RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored) && read_text_file(path, 4096) == commit) return;
  create_folders(path.parent_path());
  write_text_file(path, commit);
}

void RepoCache::keep(const std::string& commit, const RemoteFile& file) const {
  const std::string& etag = file.etag;
  const fs::path link = snapshot(commit) / file.name;
  create_folders(link.parent_path());
  const fs::path target = blob(etag).lexically_relative(link.parent_path());
  const int reason = replace_symlink(target, link);
  if (reason == 0) return;
  if (reason != EPERM && reason != EOPNOTSUPP && reason != ENOSYS) throw_write_error(link, reason);
  // A file system without symlinks: the file itself lies in the snapshot, as other tools do it.
  if (::rename(blob(etag).c_str(), link.c_str()) != 0) throw_write_error(link, errno);
}

void RepoCache::note_missing(const std::string& commit, const std::string& file) const {
  const fs::path path = folder_ / ".no_exist" / commit / file;
  create_folders(path.parent_path());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) throw_write_error(path, errno);
  ::close(fd);
}

void create_folders(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) throw_write_error(path, failed.value());
}

std::string repo_of(const fs::path& folder) {
  std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return "";
  name.erase(0, std::strlen(kPrefix));
  const size_t separator = name.find("--");
  if (separator != std::string::npos)
    name = name.substr(0, separator) + "/" + name.substr(separator + 2);
  return is_repo_id(name) ? name : "";
}

std::vector<std::string> cached_repos(const fs::path& root) {
  std::vector<std::string> repos;
  std::error_code failed;
  for (fs::directory_iterator it(root, failed), end; !failed && it != end; it.increment(failed)) {
    const std::string repo = repo_of(it->path());
    std::error_code ignored;
    if (!repo.empty() && fs::is_directory(it->path() / "snapshots", ignored)) repos.push_back(repo);
  }
  std::sort(repos.begin(), repos.end());
  return repos;
}

}  // namespace mica::hub
