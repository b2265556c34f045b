// Images of requests: encoded once, then passed through as the text of a URL.
#pragma once

#include <string>
#include <string_view>

namespace mica {

// For ContentPart::image_url. source: "http://…", "https://…" and "data:image/…" stay as they are;
// else a file of PNG, JPEG, GIF, WebP or BMP (told by its bytes), which becomes a data URL. Throws
// Error(kUsage): no such file, no image, more than 32 MB.
std::string image_url(const std::string& source);

// The same of a file's bytes; `source` names it in errors.
std::string image_url_of(std::string_view bytes, const std::string& source);

// The bytes of such a file.
std::string read_image(const std::string& path);

// RFC 4648, with padding.
std::string base64(std::string_view bytes);

}  // namespace mica
