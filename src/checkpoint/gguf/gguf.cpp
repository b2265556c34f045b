#include "checkpoint/gguf/gguf.h"

#include <algorithm>

#include "base/error.h"
#include "base/quote.h"

namespace mica {
namespace {

// "-00001-of-00003.gguf": the end of a part's name.
constexpr std::string_view kPartEnd = "-00001-of-00001.gguf";

// The number of five digits that begins at `at`, or 0.
size_t five_digits(std::string_view text, size_t at) {
  size_t value = 0;
  for (size_t i = at; i < at + 5; ++i) {
    if (text[i] < '0' || text[i] > '9') return 0;
    value = value * 10 + static_cast<size_t>(text[i] - '0');
  }
  return value;
}

struct PartName {
  std::string stem;  // before "-00001-of-"
  size_t part = 0, parts = 0;
};

std::optional<PartName> part_name(const std::string& name) {
  if (name.size() <= kPartEnd.size()) return std::nullopt;
  const std::string_view end = std::string_view(name).substr(name.size() - kPartEnd.size());
  if (end[0] != '-' || end.substr(6, 4) != "-of-" || end.substr(15) != ".gguf") return std::nullopt;
  const PartName found{name.substr(0, name.size() - kPartEnd.size()), five_digits(end, 1),
                       five_digits(end, 10)};
  if (found.part == 0 || found.part > found.parts) return std::nullopt;
  return found;
}

// What the scalar of one kind is, if the key holds one.
template <typename T>
const T* scalar(const GgufHeader& header, std::string_view key) {
  const GgufValue* value = header.find(key);
  if (!value || value->is_array) return nullptr;
  const auto* items = std::get_if<std::vector<T>>(&value->items);
  return items ? &items->front() : nullptr;
}

}  // namespace

const char* name(GgufValueType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

size_t GgufValue::size() const {
  return std::visit([](const auto& list) { return list.size(); }, items);
}

const GgufValue* GgufHeader::find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

std::optional<uint64_t> GgufHeader::unsigned_integer(std::string_view key) const {
  if (const auto* value = scalar<uint64_t>(*this, key)) return *value;
  const auto* value = scalar<int64_t>(*this, key);
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> GgufHeader::number(std::string_view key) const {
  if (const auto* value = scalar<uint64_t>(*this, key)) return static_cast<double>(*value);
  if (const auto* value = scalar<int64_t>(*this, key)) return static_cast<double>(*value);
  const auto* value = scalar<double>(*this, key);
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<std::string> GgufHeader::string(std::string_view key) const {
  const auto* value = scalar<std::string>(*this, key);
  return value ? std::optional(*value) : std::nullopt;
}

std::vector<uint64_t> GgufHeader::unsigned_integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return {};
  if (const auto* items = std::get_if<std::vector<uint64_t>>(&value->items)) return *items;
  const auto* items = std::get_if<std::vector<int64_t>>(&value->items);
  if (!items || std::any_of(items->begin(), items->end(), [](int64_t i) { return i < 0; }))
    return {};
  return {items->begin(), items->end()};
}

GgufFile::GgufFile(const std::filesystem::path& path) : path_(path), file_(path) {
  header_ = parse_gguf_header(file_.bytes(), file_.bytes().size(), path.string());
}

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const {
  return file_.bytes().subspan(header_.data_begin + tensor.offset, tensor.bytes);
}

std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path) {
  const std::optional<PartName> named = part_name(path.filename().string());
  if (!named) return {path};
  std::vector<std::filesystem::path> paths;
  for (size_t part = 1; part <= named->parts; ++part)
    paths.push_back(path.parent_path() /
                    fmt::format("{}-{:05}-of-{:05}.gguf", named->stem, part, named->parts));
  return paths;
}

GgufModel::GgufModel(const std::filesystem::path& path) {
  const std::vector<std::filesystem::path> paths = gguf_parts(path);
  for (const std::filesystem::path& part : paths) {
    std::error_code failed;
    if (paths.size() > 1 && !std::filesystem::exists(part, failed))
      throw Error(ErrorKind::kCheckpoint,
                  "[gguf] {}: expected all {} parts, {} is missing; perhaps an incomplete download",
                  path.string(), paths.size(), part.filename().string());
    files_.emplace_back(part);
  }
  for (size_t part = 0; part < files_.size(); ++part) add_part(part, files_.size());
}

void GgufModel::add_part(size_t part, size_t parts) {
  const GgufFile& file = files_[part];
  const uint64_t count = file.header().unsigned_integer("split.count").value_or(1);
  const uint64_t number = file.header().unsigned_integer("split.no").value_or(0);
  // A count of 0 is what a file has that was never split.
  if (std::max<uint64_t>(count, 1) != parts || number != part)
    throw Error(ErrorKind::kCheckpoint,
                "[gguf] {}: expected part {} of {}, its split.no and split.count say {} of {}; "
                "was the file renamed?",
                file.path().string(), part + 1, parts, number + 1, count);
  for (const GgufTensor& tensor : file.header().tensors)
    if (!tensors_.emplace(tensor.name, Found{&file, &tensor}).second)
      throw Error(ErrorKind::kCheckpoint,
                  "[gguf] {}: expected each tensor in one part, {} is in an earlier one too",
                  file.path().string(), in_quotes(tensor.name));
}

std::optional<GgufModel::Found> GgufModel::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? std::nullopt : std::optional(found->second);
}

size_t GgufModel::file_bytes() const {
  size_t bytes = 0;
  for (const GgufFile& file : files_) bytes += file.file_bytes();
  return bytes;
}

}  // namespace mica
