#include <algorithm>
#include <cstring>
#include <new>

#include "base/error.h"
#include "ops/simt/block.h"
#include "ops/simt/sanitizers.h"

namespace mica::simt {
namespace {

constexpr size_t kGuard = 64;      // bytes before, between and after arrays
constexpr size_t kMaxArrays = 32;  // of a block
constexpr auto kAlign = std::align_val_t{128};

bool is_unwritten(const std::byte* memory, size_t begin, size_t end, size_t* first) {
  for (size_t i = begin; i < end; ++i)
    if (memory[i] != std::byte{static_cast<unsigned char>(i % 2 ? 0xff : 0xc5)}) {
      *first = i;
      return false;
    }
  return true;
}

}  // namespace

SharedMemory::SharedMemory(size_t bytes)
    : launched_(bytes), size_(bytes + (kMaxArrays + 1) * kGuard + 16) {
  memory_ = static_cast<std::byte*>(::operator new(size_, kAlign));
  fill_unwritten(memory_, size_);
  poison(memory_, size_);
}

SharedMemory::~SharedMemory() {
  unpoison(memory_, size_);
  ::operator delete(memory_, kAlign);
}

void* SharedMemory::take(int index, size_t offset, size_t bytes, Where where, std::string* fault) {
  const auto i = static_cast<size_t>(index);
  if (i < arrays_.size()) {
    if (arrays_[i].offset == offset && arrays_[i].bytes == bytes) return memory_ + arrays_[i].begin;
    *fault =
        fmt::format("shared array {} has {} bytes at offset {} here, {} at {} in {}", index, bytes,
                    offset, arrays_[i].bytes, arrays_[i].offset, to_string(arrays_[i].where));
    return nullptr;
  }
  if (offset + bytes > launched_ || i >= kMaxArrays) {
    *fault = fmt::format("shared array {} ends at byte {}, the launch has shared_bytes {}", index,
                         offset + bytes, launched_);
    return nullptr;
  }
  const size_t begin = offset + (i + 1) * kGuard;
  arrays_.push_back({offset, begin, bytes, where});
  unpoison(memory_ + begin, bytes);
  return memory_ + begin;
}

bool SharedMemory::contains(const void* begin, size_t bytes) const {
  const auto* at = static_cast<const std::byte*>(begin);
  return std::any_of(arrays_.begin(), arrays_.end(), [&](const Array& array) {
    return at >= memory_ + array.begin && at + bytes <= memory_ + array.begin + array.bytes;
  });
}

std::string SharedMemory::overrun() const {
  if (kAsan) return {};  // stopped at the write
  size_t first = 0;
  size_t from = 0;
  for (size_t i = 0; i <= arrays_.size(); ++i) {
    const bool last = i == arrays_.size();
    if (!is_unwritten(memory_, from, last ? size_ : arrays_[i].begin, &first)) {
      if (i > 0 && (last || first - from < arrays_[i].begin - first))
        return fmt::format("write {} bytes past the end of the shared array taken at {}",
                           first - from, to_string(arrays_[i - 1].where));
      return fmt::format("write {} bytes before the shared array taken at {}",
                         last ? 0 : arrays_[i].begin - first,
                         last ? "nowhere" : to_string(arrays_[i].where));
    }
    if (!last) from = arrays_[i].begin + arrays_[i].bytes;
  }
  return {};
}

}  // namespace mica::simt
