#include "checkpoint/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace mica {
namespace {

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
    : file_(path) {
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
  const std::string header = encode_header(root, path);
  for (auto& place : places_) place.second.first += header.size();
  file_.write(header.data(), header.size(), 0);
  file_.resize(header.size() + offset);
}

void SafetensorsWriter::write(const std::string& name, const void* data) {
  const auto place = places_.find(name);
  MICA_CHECK_MSG(place != places_.end(), "tensor {} was not announced", name);
  file_.write(data, place->second.second, place->second.first);
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
