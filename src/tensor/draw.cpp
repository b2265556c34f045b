#include "tensor/draw.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/parallel.h"

namespace mica {
namespace {

constexpr size_t kWords = 64;  // that are made at a time

void draw_bytes(const Draw& d, int threads) {
  auto* out = d.out.as<std::byte>();
  for_chunks(d.out.bytes(), size_t{1} << 20, threads, [&](size_t begin, size_t end) {
    std::array<uint64_t, kWords> words;
    for (size_t i = begin; i < end; i += sizeof words) {
      for (size_t w = 0; w < kWords; ++w)
        words[w] = (random_word(d.seed, i / sizeof(uint64_t) + w) & d.mask) | d.fixed;
      std::memcpy(out + i, words.data(), std::min(sizeof words, end - i));
    }
  });
}

void draw_normal(const Draw& d, int threads) {
  auto* out = d.out.as<std::byte>();
  const size_t size = size_of(d.out.dtype);
  const float unit = d.scale / kDeviationOfFourBytes;
  for_chunks(static_cast<size_t>(d.out.elements()), size_t{1} << 19, threads,
             [&](size_t begin, size_t end) {
               std::array<float, kWords * kNormalsPerWord> values;
               for (size_t i = begin; i < end; i += values.size()) {
                 for (size_t w = 0; w < kWords; ++w) {
                   const uint64_t word = random_word(d.seed, i / kNormalsPerWord + w);
                   for (size_t part = 0; part < kNormalsPerWord; ++part)
                     values[w * kNormalsPerWord + part] =
                         drawn_normal(word, static_cast<int>(part), unit);
                 }
                 from_f32(values.data(), static_cast<int64_t>(std::min(values.size(), end - i)),
                          d.out.dtype, out + i * size);
               }
             });
}

void draw_affine(const Draw& d, int threads) {
  MICA_CHECK(d.offsets.dtype == d.out.dtype && d.offsets.shape == d.out.shape);
  const size_t size = size_of(d.out.dtype);
  for_chunks(static_cast<size_t>(d.out.elements()), size_t{1} << 16, threads,
             [&](size_t begin, size_t end) {
               std::array<float, kWords> values;
               for (size_t i = begin; i < end; i += kWords) {
                 const auto count = static_cast<int64_t>(std::min(kWords, end - i));
                 std::byte* scales = d.out.as<std::byte>() + i * size;
                 for (size_t w = 0; w < kWords; ++w)
                   values[w] = drawn_scale(random_word(d.seed, i + w), d.scale);
                 from_f32(values.data(), count, d.out.dtype, scales);
                 to_f32(scales, d.out.dtype, count, values.data());
                 for (float& value : values) value = -d.middle * value;
                 from_f32(values.data(), count, d.out.dtype, d.offsets.as<std::byte>() + i * size);
               }
             });
}

}  // namespace

void draw_on_host(const Draw& draw, int threads) {
  switch (draw.kind) {
    case DrawKind::kBytes: return draw_bytes(draw, threads);
    case DrawKind::kNormal: return draw_normal(draw, threads);
    case DrawKind::kAffine: return draw_affine(draw, threads);
  }
}

}  // namespace mica
