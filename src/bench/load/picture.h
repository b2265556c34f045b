// Pictures of requests, encoded once a run, with what identifies them in a result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mica {

struct Picture {
  std::string name;    // the file's, "example:shapes", or the URL of one that is elsewhere
  std::string url;     // for a request: a data URL, or the URL itself
  std::string sha256;  // of the file; empty of one that is elsewhere
  uint64_t bytes = 0;  // of the file
};

// source: "example" or "example:NAME" (example_pictures.h), else as image_url() takes it. Throws
// Error(kUsage): no such file or example, no image, too large.
Picture read_picture(const std::string& source);

}  // namespace mica
