// Which sanitizers this build runs under, and the two calls for poisoning by hand.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define MICA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MICA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define MICA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MICA_TSAN 1
#endif
#endif

#ifdef MICA_ASAN
#include <sanitizer/asan_interface.h>
#endif

// Functions that change the stack: their entry and exit would be booked on different ones.
#ifdef MICA_TSAN
#define MICA_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define MICA_NO_TSAN
#endif

namespace mica::simt {

#ifdef MICA_ASAN
inline constexpr bool kAsan = true;
inline void poison(const void* memory, size_t bytes) {
  __asan_poison_memory_region(memory, bytes);
}
inline void unpoison(const void* memory, size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

// What unwritten memory holds: a NaN as f32, f16, bf16 and, every second byte, e4m3.
inline void fill_unwritten(void* memory, size_t bytes) {
  auto* byte = static_cast<unsigned char*>(memory);
  for (size_t i = 0; i < bytes; ++i) byte[i] = i % 2 ? 0xff : 0xc5;
}

}  // namespace mica::simt
