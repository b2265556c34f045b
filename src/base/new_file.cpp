#include "base/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace mica {
namespace {

[[noreturn]] void write_failed(const std::filesystem::path& path) {
  throw Error(ErrorKind::kCheckpoint, "[file] {}: can't be written: {}", path.string(),
              std::strerror(errno));
}

}  // namespace

NewFile::NewFile(const std::filesystem::path& path) : path_(path), temporary_(path) {
  temporary_ += fmt::format(".{}.tmp", ::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) write_failed(temporary_);
}

NewFile::~NewFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void NewFile::write(const void* data, size_t bytes, size_t offset) {
  MICA_CHECK(descriptor_ >= 0);
  const auto* source = static_cast<const char*>(data);
  constexpr size_t kChunk = size_t{64} << 20;
  while (bytes > 0) {
    const ssize_t n =
        ::pwrite(descriptor_, source, std::min(bytes, kChunk), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) write_failed(temporary_);
    source += n;
    offset += static_cast<size_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

void NewFile::resize(size_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) write_failed(temporary_);
}

void NewFile::finish() {
  MICA_CHECK(descriptor_ >= 0);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    errno = reason;
    write_failed(path_);
  }
}

}  // namespace mica
