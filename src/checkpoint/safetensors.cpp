#include "checkpoint/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace mica {
namespace {

[[noreturn]] void write_failed(const std::filesystem::path& path) {
  throw Error(ErrorKind::kCheckpoint, "[safetensors] {}: can't be written: {}", path.string(),
              std::strerror(errno));
}

void write_at(int descriptor, const void* data, size_t bytes, size_t offset,
              const std::filesystem::path& path) {
  const auto* source = static_cast<const char*>(data);
  constexpr size_t kChunk = size_t{64} << 20;
  while (bytes > 0) {
    const ssize_t n =
        ::pwrite(descriptor, source, std::min(bytes, kChunk), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) write_failed(path);
    source += n;
    offset += static_cast<size_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

// The header with its length in front, padded with blanks to a multiple of 8.
std::string encode_header(const nlohmann::ordered_json& root, const std::filesystem::path& path) {
  std::string text;
  try {
    text = root.dump();
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kCheckpoint, "[safetensors] {}: a name can't be written: {}",
                path.string(), error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  return length + text;
}

void advise(const std::byte* data, size_t bytes, int advice) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(data) + bytes;
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  header_ = parse_safetensors_header(file_.bytes(), file_.bytes().size(), path.string());
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto& entries = header_.entries;
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const SafetensorsEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found == entries.end() || found->name != name ? nullptr : &*found;
}

Tensor SafetensorsFile::view(const SafetensorsEntry& entry) const {
  const std::byte* data = file_.bytes().data() + header_.data_begin + entry.offset;
  return {const_cast<std::byte*>(data), entry.dtype, entry.shape};
}

bool SafetensorsFile::release(const void* data, size_t bytes) const {
  const std::span<const std::byte> all = file_.bytes();
  const auto* begin = static_cast<const std::byte*>(data);
  if (std::less<>()(begin, all.data()) || !std::less<>()(begin, all.data() + all.size()))
    return false;
  file_.release(static_cast<size_t>(begin - all.data()), bytes);
  return true;
}

void SafetensorsFile::prefetch(const SafetensorsEntry& entry, size_t ahead) const {
  const size_t begin = header_.data_begin + entry.offset;
  const size_t size = std::min(entry.bytes + ahead, file_.bytes().size() - begin);
  advise(file_.bytes().data() + begin, size, MADV_WILLNEED);
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<Item> items,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), temporary_(path) {
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return size_of(a.dtype) > size_of(b.dtype);
  });
  nlohmann::ordered_json root;
  if (!metadata.empty()) root["__metadata__"] = metadata;
  size_t offset = 0;
  for (const Item& item : items) {
    std::vector<int64_t> shape;
    for (int i = 0; i < item.shape.rank(); ++i) shape.push_back(item.shape[i]);
    const size_t bytes = static_cast<size_t>(item.shape.elements()) * size_of(item.dtype);
    const bool added = places_.emplace(item.name, std::pair(offset, bytes)).second;
    MICA_CHECK_MSG(added, "tensor {} is written twice", item.name);
    root[item.name] = {{"dtype", safetensors_name(item.dtype)},
                       {"shape", shape},
                       {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  if (root.is_null()) root = nlohmann::ordered_json::object();
  const std::string header = encode_header(root, path_);
  for (auto& place : places_) place.second.first += header.size();
  temporary_ += fmt::format(".{}.tmp", ::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) write_failed(temporary_);
  try {
    write_at(descriptor_, header.data(), header.size(), 0, temporary_);
    if (::ftruncate(descriptor_, static_cast<off_t>(header.size() + offset)) != 0)
      write_failed(temporary_);
  } catch (...) {  // the destructor won't run
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void SafetensorsWriter::write(const std::string& name, const void* data) {
  const auto place = places_.find(name);
  MICA_CHECK_MSG(place != places_.end() && descriptor_ >= 0, "tensor {} was not announced", name);
  write_at(descriptor_, data, place->second.second, place->second.first, temporary_);
}

void SafetensorsWriter::finish() {
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

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsWriter::Item> items;
  for (const NamedTensor& named : tensors)
    items.push_back({named.name, named.tensor.dtype, named.tensor.shape});
  SafetensorsWriter writer(path, std::move(items), metadata);
  for (const NamedTensor& named : tensors) writer.write(named.name, named.tensor.data);
  writer.finish();
}

}  // namespace mica
