// Pictures that need no file: drawn by code, the same bytes everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// 16 colours; an index for each pixel, row by row.
struct IndexedImage {
  int32_t width = 0, height = 0;
  std::vector<uint8_t> pixels;                  // below 16
  std::vector<std::array<uint8_t, 3>> palette;  // red, green, blue
};

// A PNG of 4 bits a pixel, not compressed: the bytes do not depend on a library's version.
std::string png_of(const IndexedImage& image);

// A PNG of 512 x 512. "shapes": a red circle, a blue square and a green triangle; "bars": five
// bars; "dots": seven black dots. Throws Error(kUsage) for another name.
std::string example_picture(std::string_view name);

}  // namespace mica
