#include "bench/client/image.h"

#include <cstddef>

#include "base/error.h"
#include "base/file.h"

namespace mica {
namespace {

constexpr size_t kMostBytes = size_t{32} << 20;

// By the signatures of the formats; "" = none of them.
std::string_view media_type(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return "image/png";
  if (bytes.starts_with("\xff\xd8\xff")) return "image/jpeg";
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return "image/gif";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
  if (bytes.starts_with("BM")) return "image/bmp";
  return "";
}

}  // namespace

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  const auto byte = [bytes](size_t i) -> unsigned {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0;
  };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (size_t digit = 0; digit < 4; ++digit)
      out += i + digit <= bytes.size() ? kDigits[group >> (18 - 6 * digit) & 63] : '=';
  }
  return out;
}

std::string read_image(const std::string& path) {
  try {
    return read_text_file(path, kMostBytes);
  } catch (const Error& error) {
    throw Error(ErrorKind::kUsage, "[image] expected a file, a URL or a data URL: {}",
                error.what());
  }
}

std::string image_url(const std::string& source) {
  for (const char* scheme : {"http://", "https://", "data:image/"})
    if (source.starts_with(scheme)) return source;
  return image_url_of(read_image(source), source);
}

std::string image_url_of(std::string_view bytes, const std::string& source) {
  const std::string_view type = media_type(bytes);
  if (type.empty())
    throw Error(ErrorKind::kUsage,
                "[image] {}: expected PNG, JPEG, GIF, WebP or BMP, found {} bytes"
                " of something else",
                source, bytes.size());
  return fmt::format("data:{};base64,{}", type, base64(bytes));
}

}  // namespace mica
