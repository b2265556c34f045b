#include "checkpoint/gguf/gguf_writer.h"

#include "base/error.h"

namespace mica {
namespace {

constexpr size_t kAlignment = 32;  // what readers assume without general.alignment

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& out, const std::string& text) {
  put(out, uint64_t{text.size()});
  out += text;
}

void put_value(std::string& out, const GgufValue& value);

// One item of the widest type, in the width of `type`.
template <typename T>
void put_item(std::string& out, GgufValueType type, const T& item) {
  if constexpr (std::is_same_v<T, std::string>) {
    put_string(out, item);
  } else if constexpr (std::is_same_v<T, GgufValue>) {
    put_value(out, item);
  } else {
    switch (type) {
      case GgufValueType::kU8:
      case GgufValueType::kI8:
      case GgufValueType::kBool: return put(out, static_cast<uint8_t>(item));
      case GgufValueType::kU16:
      case GgufValueType::kI16: return put(out, static_cast<uint16_t>(item));
      case GgufValueType::kU32: return put(out, static_cast<uint32_t>(item));
      case GgufValueType::kI32: return put(out, static_cast<int32_t>(item));
      case GgufValueType::kF32: return put(out, static_cast<float>(item));
      default: return put(out, item);
    }
  }
}

// What stands behind a value's type.
void put_value(std::string& out, const GgufValue& value) {
  if (value.is_array) {
    put(out, static_cast<uint32_t>(value.type));
    put(out, uint64_t{value.size()});
  }
  std::visit(
      [&](const auto& items) {
        for (const auto& item : items) put_item(out, value.type, item);
      },
      value.items);
}

void put_tensor(std::string& out, const GgufWriter::Item& item, size_t offset) {
  put_string(out, item.name);
  put(out, static_cast<uint32_t>(item.shape.rank()));
  for (int i = item.shape.rank(); i > 0; --i) put(out, static_cast<uint64_t>(item.shape[i - 1]));
  put(out, static_cast<uint32_t>(item.type));
  put(out, uint64_t{offset});
}

GgufValue scalar(GgufValueType type, GgufValue::Items items) {
  return {type, /*is_array=*/false, std::move(items)};
}

}  // namespace

GgufValue gguf_u32(uint64_t value) {
  MICA_CHECK(value <= UINT32_MAX);
  return scalar(GgufValueType::kU32, std::vector<uint64_t>{value});
}

GgufValue gguf_f32(float value) {
  return scalar(GgufValueType::kF32, std::vector<double>{double{value}});
}

GgufValue gguf_bool(bool value) {
  return scalar(GgufValueType::kBool, std::vector<uint64_t>{value});
}

GgufValue gguf_string(std::string value) {
  return scalar(GgufValueType::kString, std::vector<std::string>{std::move(value)});
}

GgufValue gguf_strings(std::vector<std::string> values) {
  return {GgufValueType::kString, /*is_array=*/true, std::move(values)};
}

GgufValue gguf_f32s(const std::vector<float>& values) {
  return {GgufValueType::kF32, /*is_array=*/true,
          std::vector<double>(values.begin(), values.end())};
}

GgufValue gguf_i32s(const std::vector<int32_t>& values) {
  return {GgufValueType::kI32, /*is_array=*/true,
          std::vector<int64_t>(values.begin(), values.end())};
}

size_t gguf_bytes(GgufType type, const Shape& shape) {
  const GgufTypeInfo& info = gguf_type(type);
  MICA_CHECK(shape.rank() == 0 || shape[-1] % info.block == 0);
  return static_cast<size_t>(shape.elements()) / info.block * info.bytes;
}

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata,
                       const std::vector<Item>& items)
    : file_(path) {
  std::string header = "GGUF";
  put(header, uint32_t{3});
  put(header, uint64_t{items.size()});
  put(header, uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    put_string(header, key);
    put(header, static_cast<uint32_t>(value.is_array ? GgufValueType::kArray : value.type));
    put_value(header, value);
  }
  size_t offset = 0;
  for (const Item& item : items) {
    const size_t bytes = gguf_bytes(item.type, item.shape);
    const bool added = places_.emplace(item.name, std::pair(offset, bytes)).second;
    MICA_CHECK_MSG(added, "tensor {} is written twice", item.name);
    put_tensor(header, item, offset);
    offset = aligned(offset + bytes);
  }
  header.resize(aligned(header.size()), '\0');
  for (auto& place : places_) place.second.first += header.size();
  file_bytes_ = header.size() + offset;
  file_.write(header.data(), header.size(), 0);
  file_.resize(file_bytes_);
}

void GgufWriter::write(const std::string& name, std::span<const std::byte> data, size_t offset) {
  const auto place = places_.find(name);
  MICA_CHECK_MSG(place != places_.end(), "tensor {} was not announced", name);
  const auto [begin, bytes] = place->second;
  MICA_CHECK(offset <= bytes && data.size() <= bytes - offset);
  file_.write(data.data(), data.size(), begin + offset);
}

}  // namespace mica
