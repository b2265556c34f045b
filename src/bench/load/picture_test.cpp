#include "bench/load/picture.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "bench/client/image.h"
#include "bench/load/example_pictures.h"
#include "temp_folder.h"

namespace mica {
namespace {

uint32_t word_at(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// Data of all chunks of that type.
std::string chunk_of(std::string_view png, std::string_view type) {
  std::string data;
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t size = word_at(png, at);
    if (png.substr(at + 4, 4) == type) data += png.substr(at + 8, size);
    at += size + 12;
  }
  return data;
}

// Undoes stored blocks.
std::string rows_of(const std::string& zlib) {
  std::string rows;
  for (size_t at = 2; at + 4 < zlib.size();) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(zlib[at + i]); };
    const size_t size = byte(1) | static_cast<size_t>(byte(2)) << 8;
    const size_t other = byte(3) | static_cast<size_t>(byte(4)) << 8;
    EXPECT_EQ(size ^ other, 0xffffu);
    rows += zlib.substr(at + 5, size);
    const bool last = byte(0) == 1;
    at += 5 + size;
    if (last) {
      EXPECT_EQ(at + 4, zlib.size());
      break;
    }
  }
  return rows;
}

int pixel(const std::string& rows, size_t x, size_t y) {
  const auto pair = static_cast<uint8_t>(rows[y * 257 + 1 + x / 2]);
  return x % 2 == 0 ? pair >> 4 : pair & 15;
}

TEST(ExamplePictures, AreThePicturesThatTheyAreSaidToBe) {
  const std::string png = example_picture("shapes");
  const std::string header = chunk_of(png, "IHDR"), palette = chunk_of(png, "PLTE");
  EXPECT_EQ(word_at(header, 0), 512u);
  EXPECT_EQ(word_at(header, 4), 512u);
  const std::string rows = rows_of(chunk_of(png, "IDAT"));
  ASSERT_EQ(rows.size(), 512u * 257);
  const auto colour = [&](size_t x, size_t y) {
    return palette.substr(3 * static_cast<size_t>(pixel(rows, x, y)), 3);
  };
  EXPECT_EQ(colour(136, 136), "\xdc\x1e\x1e");  // red, the circle's middle
  EXPECT_EQ(colour(378, 138), "\x1e\x46\xdc");  // blue
  EXPECT_EQ(colour(256, 400), "\x1e\xa0\x3c");  // green
  EXPECT_EQ(colour(2, 2), "\xff\xff\xff");
  EXPECT_EQ(example_picture("shapes"), png);
  EXPECT_NE(example_picture("bars"), png);
  EXPECT_NE(example_picture("dots"), example_picture("bars"));
}

// 1 x 1, as Python's zlib.crc32 and zlib.adler32 have it.
TEST(ExamplePictures, HaveTheChecksumsOfTheFormat) {
  const std::string png =
      png_of({.width = 1, .height = 1, .pixels = {1}, .palette = {{0, 0, 0}, {255, 0, 0}}});
  ASSERT_EQ(png.size(), 8u + 25 + 18 + 12 + 13 + 12);
  EXPECT_EQ(word_at(png, 29), 0xed3bd9bau);
  EXPECT_EQ(word_at(png, 8 + 25 + 18 + 8 + 2 + 5 + 2), 0x00120011u);
  EXPECT_EQ(word_at(png, png.size() - 4), 0xae426082u);
}

TEST(Picture, IsKnownByItsHash) {
  const TempFolder folder;
  const std::string path = (folder.path() / "chart.png").string();
  const std::string bytes = example_picture("bars");
  std::ofstream(path, std::ios::binary) << bytes;
  const Picture picture = read_picture(path), example = read_picture("example:bars");
  EXPECT_EQ(picture.name, "chart.png");
  EXPECT_EQ(picture.bytes, bytes.size());
  EXPECT_EQ(picture.sha256.size(), 64u);
  EXPECT_EQ(picture.sha256, example.sha256);
  EXPECT_EQ(picture.url, "data:image/png;base64," + base64(bytes));
  EXPECT_EQ(example.name, "example:bars");
  EXPECT_EQ(read_picture("example").name, "example:shapes");
  const Picture elsewhere = read_picture("https://example.com/a.png");
  EXPECT_EQ(elsewhere.url, "https://example.com/a.png");
  EXPECT_TRUE(elsewhere.sha256.empty());
  EXPECT_THROW(read_picture("example:cat"), Error);
  EXPECT_THROW(read_picture("no such file.png"), Error);
  EXPECT_THROW(read_picture("ftp://example.com/a.png"), Error);
}

}  // namespace
}  // namespace mica
