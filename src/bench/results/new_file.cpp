#include "bench/results/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/error.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void fail(const fs::path& path, int reason) {
  throw Error(ErrorKind::kMeasurement, "[results] {}: can't be written: {}", path.string(),
              std::strerror(reason));
}

// A name is on the disk when its folder is.
void sync_folder(const fs::path& folder) {
  const Descriptor opened{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd >= 0) ::fsync(opened.fd);
}

}  // namespace

bool append_bytes(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool rename_new(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno != EINVAL && errno != ENOSYS) fail(to, errno);
  // File systems that can't do it at once: a second name, then without the first.
  if (::link(from.c_str(), to.c_str()) == 0) {
    ::unlink(from.c_str());
    return true;
  }
  if (errno == EEXIST) return false;
  std::error_code failed;
  if (fs::exists(to, failed)) return false;
  fs::rename(from, to, failed);
  if (failed) fail(to, failed.value());
  return true;
}

bool write_new_file(const fs::path& path, std::string_view text) {
  const fs::path temporary = path.string() + fmt::format(".{}.tmp", ::getpid());
  {
    const Descriptor file{
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) fail(temporary, errno);
    if (!append_bytes(file.fd, text) || ::fsync(file.fd) != 0) {
      const int reason = errno;
      ::unlink(temporary.c_str());
      fail(temporary, reason);
    }
  }
  const bool made = rename_new(temporary, path);
  if (!made) ::unlink(temporary.c_str());
  sync_folder(path.parent_path());
  return made;
}

}  // namespace mica
