// The header of a safetensors file: JSON events in, checked entries out.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/quote.h"
#include "checkpoint/safetensors.h"

namespace mica {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
constexpr size_t kMaxTensors = 4'000'000;
constexpr int64_t kMaxDimension = int64_t{1} << 48;
constexpr size_t kMaxNameBytes = 4096;

struct DTypeName {
  const char* name;
  DType dtype;
};
// The first name of a dtype is the one that is written.
constexpr DTypeName kDTypes[] = {
    {"F32", DType::kF32}, {"F16", DType::kF16},    {"BF16", DType::kBF16},  {"I64", DType::kI64},
    {"I32", DType::kI32}, {"U32", DType::kU32},    {"I16", DType::kI16},    {"U16", DType::kU16},
    {"I8", DType::kI8},   {"U8", DType::kU8},      {"BOOL", DType::kBool},  {"F64", DType::kF64},
    {"U64", DType::kI64}, {"F8_E4M3", DType::kU8}, {"F8_E5M2", DType::kU8}, {"F8_E8M0", DType::kU8},
};

std::optional<DType> dtype_named(std::string_view name) {
  for (const DTypeName& entry : kDTypes)
    if (name == entry.name) return entry.dtype;
  return std::nullopt;
}

// Receives the JSON events: depth 1 is the root, 2 a tensor or __metadata__, 3 a list of numbers.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderEvents(SafetensorsHeader& header, const std::string& place)
      : header_(header), place_(place) {}

  bool null() override {
    // mlx writes it for a file without metadata.
    return (depth_ == 1 && name_ == "__metadata__") || unexpected("null");
  }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_float(double, const std::string& text) override { return unexpected(text); }
  bool binary(nlohmann::json::binary_t&) override { return unexpected("binary"); }
  bool number_integer(int64_t value) override { return unexpected(std::to_string(value)); }
  bool number_unsigned(uint64_t value) override {
    if (depth_ != 3) return unexpected(std::to_string(value));
    if (field_ == "shape") {
      if (value > static_cast<uint64_t>(kMaxDimension)) fail("a shape", std::to_string(value));
      if (entry_.shape.rank() == Shape::kMaxRank)
        fail(fmt::format("at most {} dimensions", Shape::kMaxRank), "more");
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else {
      if (offsets_ == 2) fail("two data_offsets", "more");
      offset_[offsets_++] = value;
    }
    return true;
  }

  bool string(std::string& text) override {
    if (depth_ != 2 || (!in_metadata_ && field_ != "dtype")) return unexpected(in_quotes(text));
    if (in_metadata_) {
      header_.metadata[field_] = text;
      return true;
    }
    const std::optional<DType> dtype = dtype_named(text);
    if (!dtype) fail("a dtype of safetensors (F32, F16, BF16, U32, U8, …)", in_quotes(text));
    entry_.dtype = *dtype;
    seen_ |= kSeenDType;
    return true;
  }

  bool start_object(size_t) override {
    if (++depth_ > 2) return unexpected("an object");
    if (depth_ < 2) return true;
    in_metadata_ = name_ == "__metadata__";
    entry_ = SafetensorsEntry{};
    entry_.name = name_;
    seen_ = offsets_ = 0;
    return true;
  }
  bool end_object() override {
    if (depth_-- == 2 && !in_metadata_) add_entry();
    return true;
  }
  bool start_array(size_t) override {
    const bool shape = field_ == "shape", offsets = field_ == "data_offsets";
    if (depth_ != 2 || in_metadata_ || !(shape || offsets)) return unexpected("a list");
    const unsigned bit = shape ? kSeenShape : kSeenOffsets;
    if (seen_ & bit) fail(fmt::format("'{}' once", field_), "it twice");
    seen_ |= bit;
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& text) override {
    if (text.size() > kMaxNameBytes)
      fail(fmt::format("names up to {} bytes", kMaxNameBytes), std::to_string(text.size()));
    (depth_ == 1 ? name_ : field_) = text;
    if (depth_ == 2 && !in_metadata_ && text != "dtype" && text != "shape" &&
        text != "data_offsets")
      fail("dtype, shape and data_offsets", in_quotes(text));
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    throw Error(ErrorKind::kCheckpoint,
                "[safetensors] {}: expected JSON in the header, byte {}: {}", place_, position,
                error.what());
  }

 private:
  enum : unsigned { kSeenDType = 1, kSeenShape = 2, kSeenOffsets = 4, kSeenAll = 7 };

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw Error(ErrorKind::kCheckpoint, "[safetensors] {}: header at {}: expected {}, found {}",
                place_, name_.empty() ? "its start" : in_quotes(name_), expected, found);
  }
  bool unexpected(const std::string& what) const {
    fail(depth_ == 0                ? "an object"
         : depth_ == 1              ? "an object for each tensor"
         : in_metadata_             ? "a string for each key"
         : field_ == "dtype"        ? "a string as dtype"
         : field_ == "shape"        ? "non-negative integers as shape"
         : field_ == "data_offsets" ? "two non-negative integers as data_offsets"
                                    : "dtype, shape and data_offsets",
         what);
  }
  void add_entry() {
    if (seen_ != kSeenAll || offsets_ != 2)
      fail("dtype, shape and two data_offsets", "an incomplete entry");
    if (header_.entries.size() >= kMaxTensors)
      fail(fmt::format("at most {} tensors", kMaxTensors), "more");
    if (offset_[1] < offset_[0])
      fail("data_offsets in ascending order", fmt::format("[{}, {}]", offset_[0], offset_[1]));
    entry_.offset = offset_[0];
    entry_.bytes = offset_[1] - offset_[0];
    header_.entries.push_back(std::move(entry_));
  }

  SafetensorsHeader& header_;
  const std::string& place_;
  int depth_ = 0;
  bool in_metadata_ = false;
  std::string name_, field_;
  SafetensorsEntry entry_;
  uint64_t offset_[2] = {0, 0};
  unsigned offsets_ = 0, seen_ = 0;
};

// What else the file may be: files that people end up with instead of weights.
std::string guess_at(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()),
                              std::min<size_t>(file.size(), 512));
  if (text.rfind("version https://git-lfs", 0) == 0) {
    const size_t size = text.find("\nsize ");
    const std::string bytes =
        size == text.npos
            ? "?"
            : std::string(text.substr(size + 6, text.find('\n', size + 1) - size - 6));
    return fmt::format(
        "it is a git-LFS pointer to a file of {} bytes; fetch it with `git lfs pull` or `mica "
        "pull`",
        bytes);
  }
  if (text.rfind("GGUF", 0) == 0) return "it is a GGUF file, which Mica doesn't read";
  if (text.rfind("PK\x03\x04", 0) == 0)
    return "it is a zip archive, perhaps a PyTorch checkpoint, which Mica doesn't read";
  if (!text.empty() && text[0] == '<') return "it is an HTML page, perhaps a failed download";
  if (text.find_first_not_of('\0') == text.npos)
    return "it begins with zeros, perhaps an incomplete download";
  return "";
}

[[noreturn]] void not_safetensors(const std::string& place, std::span<const std::byte> file,
                                  const std::string& otherwise) {
  const std::string guess = guess_at(file);
  throw Error(ErrorKind::kCheckpoint, "[safetensors] {}: {}", place,
              guess.empty() ? otherwise : "expected a safetensors file: " + guess);
}

// elements * size, or nullopt beyond 2^62.
std::optional<uint64_t> tensor_bytes(const SafetensorsEntry& entry) {
  uint64_t bytes = size_of(entry.dtype);
  bool zero = false;
  for (int i = 0; i < entry.shape.rank(); ++i) zero |= entry.shape[i] == 0;
  if (zero) return 0;
  for (int i = 0; i < entry.shape.rank(); ++i) {
    const auto dimension = static_cast<uint64_t>(entry.shape[i]);
    if (bytes > (uint64_t{1} << 62) / dimension) return std::nullopt;
    bytes *= dimension;
  }
  return bytes;
}

void check_entry(const SafetensorsEntry& entry, size_t data_bytes, const std::string& place) {
  const std::optional<uint64_t> bytes = tensor_bytes(entry);
  if (!bytes || *bytes != entry.bytes)
    throw Error(
        ErrorKind::kCheckpoint,
        "[safetensors] {}: tensor {}: expected {} bytes for {} {}, its data_offsets span {}", place,
        in_quotes(entry.name), bytes ? std::to_string(*bytes) : "over 2^62", name(entry.dtype),
        to_string(entry.shape), entry.bytes);
  if (entry.offset > data_bytes || entry.bytes > data_bytes - entry.offset)
    throw Error(ErrorKind::kCheckpoint,
                "[safetensors] {}: tensor {}: expected {} bytes of data, file has {}; truncated, "
                "perhaps an incomplete download",
                place, in_quotes(entry.name), entry.offset + entry.bytes, data_bytes);
}

void check_unique_names(const SafetensorsHeader& header, const std::string& place) {
  const auto& entries = header.entries;  // sorted by name
  for (size_t i = 1; i < entries.size(); ++i)
    if (entries[i].name == entries[i - 1].name)
      throw Error(ErrorKind::kCheckpoint,
                  "[safetensors] {}: expected each tensor once, found {} twice", place,
                  in_quotes(entries[i].name));
}

void check_overlap(const SafetensorsHeader& header, const std::string& place) {
  std::vector<const SafetensorsEntry*> by_offset;
  for (const SafetensorsEntry& entry : header.entries)
    if (entry.bytes > 0) by_offset.push_back(&entry);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i)
    if (by_offset[i]->offset < by_offset[i - 1]->offset + by_offset[i - 1]->bytes)
      throw Error(ErrorKind::kCheckpoint,
                  "[safetensors] {}: expected tensors side by side, {} overlaps {}", place,
                  in_quotes(by_offset[i]->name), in_quotes(by_offset[i - 1]->name));
}

uint64_t header_length(std::span<const std::byte> file, size_t file_bytes,
                       const std::string& place) {
  if (file.size() < 8 || file_bytes < 8)
    not_safetensors(place, file,
                    fmt::format("expected at least 8 bytes, file has {}; perhaps an incomplete "
                                "download",
                                file_bytes));
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<uint64_t>(file[size_t(i)]);
  if (length < 2 || length > kMaxHeaderBytes)
    not_safetensors(place, file,
                    fmt::format("expected a header of 2 to {} bytes, its length says {}; is this a "
                                "safetensors file?",
                                kMaxHeaderBytes, length));
  if (length > file_bytes - 8 || length > file.size() - 8)
    not_safetensors(place, file,
                    fmt::format("expected a header of {} bytes, file has {}; truncated, perhaps an "
                                "incomplete download",
                                length, file_bytes));
  return length;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, size_t file_bytes,
                                           const std::string& place) {
  const uint64_t length = header_length(file, file_bytes, place);
  const auto* text = reinterpret_cast<const char*>(file.data()) + 8;
  SafetensorsHeader header;
  header.data_begin = 8 + length;
  HeaderEvents events(header, place);
  nlohmann::json::sax_parse(text, text + length, &events);
  std::sort(header.entries.begin(), header.entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  check_unique_names(header, place);
  for (const SafetensorsEntry& entry : header.entries)
    check_entry(entry, file_bytes - header.data_begin, place);
  check_overlap(header, place);
  return header;
}

const char* safetensors_name(DType dtype) {
  for (const DTypeName& entry : kDTypes)
    if (dtype == entry.dtype) return entry.name;
  return "?";
}

}  // namespace mica
