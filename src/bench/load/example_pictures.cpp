#include "bench/load/example_pictures.h"

#include <algorithm>

#include "base/error.h"

namespace mica {
namespace {

constexpr int32_t kSide = 512;
enum Colour : uint8_t { kWhite, kBlack, kRed, kGreen, kBlue, kYellow, kPurple };

void put_word(std::string& out, uint32_t value) {  // big-endian
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return ~crc;
}

uint32_t adler32(std::string_view bytes) {
  constexpr uint32_t kPrime = 65521;
  uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<uint8_t>(c)) % kPrime;
    b = (b + a) % kPrime;
  }
  return b << 16 | a;
}

void put_chunk(std::string& out, std::string_view type, std::string_view data) {
  put_word(out, static_cast<uint32_t>(data.size()));
  const std::string body = std::string(type) + std::string(data);
  out += body;
  put_word(out, crc32(body));
}

// A zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4).
std::string stored(std::string_view bytes) {
  constexpr size_t kMost = 65535;
  std::string out = "\x78\x01";
  for (size_t at = 0; at < bytes.size(); at += kMost) {
    const std::string_view block = bytes.substr(at, kMost);
    out += static_cast<char>(at + kMost >= bytes.size());  // the last
    for (const size_t length : {block.size(), ~block.size()})
      for (const int shift : {0, 8}) out += static_cast<char>(length >> shift & 0xff);
    out += block;
  }
  put_word(out, adler32(bytes));
  return out;
}

class Drawing {
 public:
  Drawing() {
    image.width = image.height = kSide;
    image.pixels.assign(size_t{kSide} * kSide, kWhite);
    image.palette = {{255, 255, 255}, {0, 0, 0},     {220, 30, 30}, {30, 160, 60},
                     {30, 70, 220},   {240, 200, 0}, {140, 50, 170}};
  }

  template <typename Inside>
  void fill(Colour colour, Inside inside) {
    for (int32_t y = 0; y < kSide; ++y)
      for (int32_t x = 0; x < kSide; ++x)
        if (inside(x, y)) image.pixels[static_cast<size_t>(y * kSide + x)] = colour;
  }
  void circle(Colour colour, int32_t cx, int32_t cy, int32_t radius) {
    fill(colour, [=](int32_t x, int32_t y) {
      return (x - cx) * (x - cx) + (y - cy) * (y - cy) <= radius * radius;
    });
  }
  void box(Colour colour, int32_t left, int32_t top, int32_t right, int32_t bottom) {
    fill(colour,
         [=](int32_t x, int32_t y) { return x >= left && x < right && y >= top && y < bottom; });
  }

  IndexedImage image;
};

void draw_shapes(Drawing& drawing) {
  drawing.circle(kRed, 136, 136, 90);
  drawing.box(kBlue, 290, 50, 466, 226);
  drawing.fill(kGreen, [](int32_t x, int32_t y) {
    return y >= 290 && y < 470 && 2 * std::abs(x - 256) <= y - 290;
  });
}

void draw_bars(Drawing& drawing) {
  constexpr Colour kColours[] = {kRed, kGreen, kYellow, kBlue, kPurple};
  constexpr int32_t kHeights[] = {160, 80, 400, 240, 320};
  for (int32_t i = 0; i < 5; ++i)
    drawing.box(kColours[i], 40 + 90 * i, 460 - kHeights[i], 100 + 90 * i, 460);
  drawing.box(kBlack, 20, 460, 492, 466);
}

void draw_dots(Drawing& drawing) {
  constexpr int32_t kPlaces[][2] = {{90, 100},  {250, 70},  {420, 130}, {160, 260},
                                    {340, 290}, {110, 420}, {400, 430}};
  for (const auto& place : kPlaces) drawing.circle(kBlack, place[0], place[1], 34);
}

}  // namespace

std::string png_of(const IndexedImage& image) {
  const auto width = static_cast<size_t>(image.width), height = static_cast<size_t>(image.height);
  MICA_CHECK(image.pixels.size() == width * height && image.palette.size() <= 16);
  std::string rows;
  for (size_t y = 0; y < height; ++y) {
    rows += '\0';  // no filter
    for (size_t x = 0; x < width; x += 2) {
      const uint8_t* pixel = &image.pixels[y * width + x];
      rows += static_cast<char>(pixel[0] << 4 | (x + 1 < width ? pixel[1] : 0));
    }
  }
  std::string header, palette;
  put_word(header, static_cast<uint32_t>(width));
  put_word(header, static_cast<uint32_t>(height));
  header += {4, 3, 0, 0, 0};  // bits a pixel, palette; deflate, filters, not interlaced
  for (const auto& colour : image.palette)
    for (const uint8_t part : colour) palette += static_cast<char>(part);
  std::string out = "\x89PNG\r\n\x1a\n";
  put_chunk(out, "IHDR", header);
  put_chunk(out, "PLTE", palette);
  put_chunk(out, "IDAT", stored(rows));
  put_chunk(out, "IEND", "");
  return out;
}

std::string example_picture(std::string_view name) {
  Drawing drawing;
  if (name == "shapes") {
    draw_shapes(drawing);
  } else if (name == "bars") {
    draw_bars(drawing);
  } else if (name == "dots") {
    draw_dots(drawing);
  } else {
    throw Error(ErrorKind::kUsage,
                "[picture] expected example:shapes, example:bars or example:dots, found "
                "'example:{}'",
                name);
  }
  return png_of(drawing.image);
}

}  // namespace mica
