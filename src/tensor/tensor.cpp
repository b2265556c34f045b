#include "tensor/tensor.h"

#include <sys/mman.h>

#include <cstring>

namespace mica {

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank(); ++i) text += fmt::format("{}{}", i ? ", " : "", shape[i]);
  return text + ")";
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  MICA_CHECK(shape.rank() >= 1 && begin >= 0 && begin <= end && end <= shape[0]);
  Tensor part = *this;
  const size_t row_bytes = shape[0] == 0 ? 0 : bytes() / static_cast<size_t>(shape[0]);
  part.data = static_cast<std::byte*>(data) + static_cast<size_t>(begin) * row_bytes;
  part.shape[0] = end - begin;
  return part;
}

Tensor Tensor::view(Shape other) const {
  MICA_CHECK_MSG(other.elements() == elements(), "{} viewed as {}", to_string(shape),
                 to_string(other));
  Tensor same = *this;
  same.shape = other;
  return same;
}

Buffer allocate_host(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t wanted = bytes == 0 ? 64 : bytes;
  const bool large = wanted >= kHugePage / 2;
  // Over-allocate by a huge page so that the start can be aligned to one; untouched pages are free.
  const size_t mapped = large ? wanted + kHugePage : wanted;
  void* base = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    throw Error(ErrorKind::kOutOfMemory, "[memory] {} bytes of host memory can't be had: {}", bytes,
                std::strerror(errno));
  void* data = base;
  if (large) {
    const auto address = reinterpret_cast<uintptr_t>(base);
    data = reinterpret_cast<void*>((address + kHugePage - 1) / kHugePage * kHugePage);
    ::madvise(data, wanted, MADV_HUGEPAGE);
  }
  return Buffer(data, bytes, [base, mapped](void*, size_t) { ::munmap(base, mapped); });
}

namespace {

// Element i of memory that need not be aligned: safetensors don't promise it.
template <typename T>
T element(const void* source, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(source) + static_cast<size_t>(i) * sizeof(T),
              sizeof(T));
  return value;
}

}  // namespace

void to_f32(const void* source, DType dtype, int64_t count, float* out) {
  if (count == 0) return;  // memcpy wants real pointers even then
  switch (dtype) {
    case DType::kF32: std::memcpy(out, source, static_cast<size_t>(count) * 4); return;
    case DType::kBF16:
      for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_f32(element<uint16_t>(source, i));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) out[i] = f16_to_f32(element<uint16_t>(source, i));
      return;
    case DType::kF64:
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(element<double>(source, i));
      return;
    default: MICA_CHECK_MSG(false, "to_f32 of {}", name(dtype));
  }
}

void from_f32(const float* source, int64_t count, DType dtype, void* out) {
  if (count == 0) return;
  auto* half = static_cast<uint16_t*>(out);
  switch (dtype) {
    case DType::kF32: std::memcpy(out, source, static_cast<size_t>(count) * 4); return;
    case DType::kBF16:
      for (int64_t i = 0; i < count; ++i) half[i] = f32_to_bf16(source[i]);
      return;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) half[i] = f32_to_f16(source[i]);
      return;
    default: MICA_CHECK_MSG(false, "from_f32 to {}", name(dtype));
  }
}

}  // namespace mica
