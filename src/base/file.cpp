#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/new_file.h"

namespace mica {
namespace {

// Closes a descriptor on every way out.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

size_t open_regular(const std::filesystem::path& path, Descriptor& out) {
  out.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (out.fd < 0)
    throw Error(ErrorKind::kCheckpoint, "[file] {}: can't be opened: {}", path.string(),
                std::strerror(errno));
  struct stat status {};
  if (::fstat(out.fd, &status) != 0 || !S_ISREG(status.st_mode))
    throw Error(ErrorKind::kCheckpoint, "[file] {}: expected a regular file", path.string());
  return static_cast<size_t>(status.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  Descriptor file;
  size_ = open_regular(path, file);
  if (size_ == 0) return;  // mmap refuses a length of zero; an empty span says the same
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED)
    throw Error(ErrorKind::kCheckpoint, "[file] {}: can't be mapped ({} bytes): {}", path.string(),
                size_, std::strerror(errno));
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(size_t offset, size_t size) const {
  // Only whole pages inside the range: a neighbour on a shared page may still be in use.
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + size) / page * page;
  if (data_ && begin < end)
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

std::string read_text_file(const std::filesystem::path& path, size_t max_bytes) {
  Descriptor file;
  const size_t size = open_regular(path, file);
  if (size > max_bytes)
    throw Error(ErrorKind::kCheckpoint, "[file] {}: expected at most {} bytes, file has {}",
                path.string(), max_bytes, size);
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(file.fd, text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      throw Error(ErrorKind::kCheckpoint, "[file] {}: expected {} bytes, read {}", path.string(),
                  size, done);
    done += static_cast<size_t>(n);
  }
  return text;
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  NewFile file(path);
  file.write(text.data(), text.size(), 0);
  file.finish();
}

}  // namespace mica
