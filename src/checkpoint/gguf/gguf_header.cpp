// The header of a GGUF file: bytes in, checked values and tensors out.
#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/quote.h"
#include "checkpoint/gguf/gguf.h"

namespace mica {
namespace {

// Far above any real file: 262k tokens make 1M items, deepseek's experts 60k tensors unstacked.
constexpr uint64_t kMaxTensors = 1'000'000;
constexpr uint64_t kMaxKeys = 100'000;
constexpr uint64_t kMaxItems = 16'000'000;  // of all arrays together: half a GB in memory
constexpr uint64_t kMaxStringBytes = 64'000'000;
constexpr uint64_t kMaxNameBytes = 65535;
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kMaxRank = 4;
constexpr uint64_t kMaxDimension = uint64_t{1} << 48;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 24;

// Bytes of an item at least: a string has its length, an array its type and length.
size_t least_bytes(GgufValueType type) {
  switch (type) {
    case GgufValueType::kU8:
    case GgufValueType::kI8:
    case GgufValueType::kBool: return 1;
    case GgufValueType::kU16:
    case GgufValueType::kI16: return 2;
    case GgufValueType::kU32:
    case GgufValueType::kI32:
    case GgufValueType::kF32: return 4;
    case GgufValueType::kArray: return 12;
    default: return 8;
  }
}

// Reads little-endian values and knows what it reads, for messages.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& place)
      : bytes_(bytes), place_(place) {}

  size_t at() const { return at_; }
  void now(std::string what) { what_ = std::move(what); }

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw Error(ErrorKind::kCheckpoint, "[gguf] {}: {}, byte {}: expected {}, found {}", place_,
                what_, at_, expected, found);
  }
  [[noreturn]] void fail(const std::string& expected, uint64_t found) const {
    fail(expected, std::to_string(found));
  }

  template <typename T>
  T number() {
    need(sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  // A length or count, each of which stands for `each` bytes at least.
  uint64_t count(uint64_t most, size_t each, const char* of) {
    const auto value = number<uint64_t>();
    if (value > most) fail(fmt::format("at most {} {}", most, of), value);
    if (value > (bytes_.size() - at_) / each)
      fail(fmt::format("{} {}", value, of),
           "the file's end; truncated, perhaps an incomplete download");
    return value;
  }
  std::string string(uint64_t most = kMaxStringBytes) {
    const uint64_t length = count(most, 1, "bytes of text");
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return text;
  }
  // How many array items may still come.
  void take_items(uint64_t items) {
    items_ += items;
    if (items_ > kMaxItems) fail(fmt::format("at most {} array items", kMaxItems), items_);
  }

 private:
  void need(size_t bytes) const {
    if (bytes_.size() - at_ < bytes)
      fail(fmt::format("{} bytes", bytes),
           fmt::format("{}; truncated, perhaps an incomplete download", bytes_.size() - at_));
  }
  std::span<const std::byte> bytes_;
  const std::string& place_;
  std::string what_ = "start";
  size_t at_ = 0;
  uint64_t items_ = 0;
};

GgufValueType value_type(Reader& in) {
  const auto type = in.number<uint32_t>();
  if (type > static_cast<uint32_t>(GgufValueType::kF64)) in.fail("a value type from 0 to 12", type);
  return static_cast<GgufValueType>(type);
}

template <typename Stored, typename Kept>
std::vector<Kept> read_numbers(Reader& in, uint64_t count) {
  std::vector<Kept> items(count);
  for (Kept& item : items) item = static_cast<Kept>(in.number<Stored>());
  return items;
}

std::vector<uint64_t> read_bools(Reader& in, uint64_t count) {
  std::vector<uint64_t> items = read_numbers<uint8_t, uint64_t>(in, count);
  for (const uint64_t item : items)
    if (item > 1) in.fail("a bool of 0 or 1", item);
  return items;
}

std::vector<std::string> read_strings(Reader& in, uint64_t count) {
  std::vector<std::string> items(count);
  for (std::string& item : items) item = in.string();
  return items;
}

GgufValue read_value(Reader& in, GgufValueType type, int depth);

std::vector<GgufValue> read_arrays(Reader& in, uint64_t count, int depth) {
  if (depth >= kMaxArrayDepth)
    in.fail(fmt::format("arrays nested {} deep at most", kMaxArrayDepth), "one more");
  std::vector<GgufValue> items;
  items.reserve(count);
  for (uint64_t i = 0; i < count; ++i)
    items.push_back(read_value(in, GgufValueType::kArray, depth + 1));
  return items;
}

GgufValue::Items read_items(Reader& in, GgufValueType type, uint64_t count, int depth) {
  switch (type) {
    case GgufValueType::kU8: return read_numbers<uint8_t, uint64_t>(in, count);
    case GgufValueType::kI8: return read_numbers<int8_t, int64_t>(in, count);
    case GgufValueType::kU16: return read_numbers<uint16_t, uint64_t>(in, count);
    case GgufValueType::kI16: return read_numbers<int16_t, int64_t>(in, count);
    case GgufValueType::kU32: return read_numbers<uint32_t, uint64_t>(in, count);
    case GgufValueType::kI32: return read_numbers<int32_t, int64_t>(in, count);
    case GgufValueType::kF32: return read_numbers<float, double>(in, count);
    case GgufValueType::kBool: return read_bools(in, count);
    case GgufValueType::kString: return read_strings(in, count);
    case GgufValueType::kArray: return read_arrays(in, count, depth);
    case GgufValueType::kU64: return read_numbers<uint64_t, uint64_t>(in, count);
    case GgufValueType::kI64: return read_numbers<int64_t, int64_t>(in, count);
    case GgufValueType::kF64: return read_numbers<double, double>(in, count);
  }
  in.fail("a value type", "none");
}

// The value behind its type; `depth` counts the arrays around it.
GgufValue read_value(Reader& in, GgufValueType type, int depth) {
  GgufValue value;
  value.is_array = type == GgufValueType::kArray;
  value.type = value.is_array ? value_type(in) : type;
  uint64_t count = 1;
  if (value.is_array) {
    count = in.count(kMaxItems, least_bytes(value.type), "array items");
    in.take_items(count);
  }
  value.items = read_items(in, value.type, count, depth);
  return value;
}

void read_metadata(Reader& in, uint64_t keys, GgufHeader& header) {
  for (uint64_t i = 0; i < keys; ++i) {
    in.now(fmt::format("key {} of {}", i + 1, keys));
    std::string key = in.string(kMaxNameBytes);
    in.now("key " + in_quotes(key));
    if (header.metadata.contains(key)) in.fail("each key once", "it twice");
    header.metadata.emplace(std::move(key), read_value(in, value_type(in), 0));
  }
}

void read_alignment(const Reader& in, GgufHeader& header) {
  const GgufValue* value = header.find("general.alignment");
  if (!value) return;
  const uint64_t found = header.unsigned_integer("general.alignment").value_or(0);
  if (value->type != GgufValueType::kU32 || !std::has_single_bit(found) || found > kMaxAlignment)
    in.fail(fmt::format("a u32 power of two up to {} as general.alignment", kMaxAlignment), found);
  header.alignment = found;
}

// Bytes of the tensor; dimensions are at most 2^48 each, the product 2^62.
size_t tensor_bytes(const Reader& in, const GgufTensor& tensor) {
  const GgufTypeInfo& type = gguf_type(tensor.type);
  const int64_t row = tensor.shape.rank() == 0 ? 1 : tensor.shape[-1];
  if (row % type.block != 0)
    in.fail(fmt::format("rows of a multiple of {} for {}", type.block, type.name),
            static_cast<uint64_t>(row));
  uint64_t elements = 1;
  bool none = false;
  for (int i = 0; i < tensor.shape.rank(); ++i) {
    none |= tensor.shape[i] == 0;
    // Also beside a 0: whoever multiplies from the left must not overflow.
    const uint64_t dimension = std::max<uint64_t>(1, static_cast<uint64_t>(tensor.shape[i]));
    if (elements > (uint64_t{1} << 58) / dimension) in.fail("less than 2^58 elements", "more");
    elements *= dimension;
  }
  return none ? 0 : elements / type.block * type.bytes;
}

GgufTensor read_tensor(Reader& in) {
  GgufTensor tensor;
  tensor.name = in.string(kMaxNameBytes);
  in.now("tensor " + in_quotes(tensor.name));
  const auto rank = in.number<uint32_t>();
  if (rank > kMaxRank) in.fail(fmt::format("at most {} dimensions", kMaxRank), rank);
  std::array<int64_t, kMaxRank> dimensions{};  // innermost first
  for (uint32_t i = 0; i < rank; ++i) {
    const auto dimension = in.number<uint64_t>();
    if (dimension > kMaxDimension) in.fail("a dimension", dimension);
    dimensions[i] = static_cast<int64_t>(dimension);
  }
  for (uint32_t i = rank; i > 0; --i) tensor.shape.push_back(dimensions[i - 1]);
  const auto type = in.number<uint32_t>();
  if (!find_gguf_type(type)) in.fail("an element type that is in use", type);
  tensor.type = static_cast<GgufType>(type);
  tensor.bytes = tensor_bytes(in, tensor);
  tensor.offset = in.number<uint64_t>();
  return tensor;
}

void read_tensors(Reader& in, uint64_t count, GgufHeader& header) {
  std::set<std::string, std::less<>> names;
  for (uint64_t i = 0; i < count; ++i) {
    in.now(fmt::format("tensor {} of {}", i + 1, count));
    GgufTensor tensor = read_tensor(in);
    if (!names.insert(tensor.name).second) in.fail("each tensor once", "it twice");
    if (tensor.offset % header.alignment != 0)
      in.fail(fmt::format("an offset that is a multiple of {}", header.alignment), tensor.offset);
    header.tensors.push_back(std::move(tensor));
  }
}

void check_ranges(const GgufHeader& header, size_t file_bytes, const std::string& place) {
  const size_t data_bytes = file_bytes > header.data_begin ? file_bytes - header.data_begin : 0;
  std::vector<const GgufTensor*> by_offset;
  for (const GgufTensor& tensor : header.tensors) {
    if (tensor.bytes > data_bytes || tensor.offset > data_bytes - tensor.bytes)
      throw Error(ErrorKind::kCheckpoint,
                  "[gguf] {}: tensor {}: expected {} bytes at {} of the data, file has {} in all; "
                  "truncated, perhaps an incomplete download",
                  place, in_quotes(tensor.name), tensor.bytes, tensor.offset, data_bytes);
    if (tensor.bytes > 0) by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i)
    if (by_offset[i]->offset < by_offset[i - 1]->offset + by_offset[i - 1]->bytes)
      throw Error(ErrorKind::kCheckpoint,
                  "[gguf] {}: expected tensors side by side, {} overlaps {}", place,
                  in_quotes(by_offset[i]->name), in_quotes(by_offset[i - 1]->name));
}

uint32_t read_version(Reader& in) {
  const auto magic = in.number<uint32_t>();
  if (magic != std::bit_cast<uint32_t>(std::array<char, 4>{'G', 'G', 'U', 'F'}))
    in.fail("the letters GGUF", in_quotes({reinterpret_cast<const char*>(&magic), sizeof magic}) +
                                    "; is this a GGUF file?");
  const auto version = in.number<uint32_t>();
  if (version == 2 || version == 3) return version;
  if (version == 2u << 24 || version == 3u << 24)
    in.fail("a little-endian file", "a big-endian one, made for another kind of machine");
  if (version == 1) in.fail("version 2 or 3", "version 1, of 2023; convert the model anew");
  in.fail("version 2 or 3", version);
}

}  // namespace

bool is_gguf(std::span<const std::byte> file) {
  return file.size() >= 4 && std::memcmp(file.data(), "GGUF", 4) == 0;
}

GgufHeader parse_gguf_header(std::span<const std::byte> file, size_t file_bytes,
                             const std::string& place) {
  Reader in(file, place);
  GgufHeader header;
  header.version = read_version(in);
  const uint64_t tensors = in.count(kMaxTensors, 24, "tensors");
  const uint64_t keys = in.count(kMaxKeys, 13, "keys");
  read_metadata(in, keys, header);
  read_alignment(in, header);
  read_tensors(in, tensors, header);
  header.data_begin = (in.at() + header.alignment - 1) / header.alignment * header.alignment;
  check_ranges(header, file_bytes, place);
  return header;
}

}  // namespace mica
