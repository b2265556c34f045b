#include "bench/load/picture.h"

#include <filesystem>

#include "bench/client/image.h"
#include "bench/load/example_pictures.h"
#include "checkpoint/hub/digest.h"

namespace mica {

Picture read_picture(const std::string& source) {
  Picture picture;
  picture.name = source;
  constexpr std::string_view kExample = "example";
  std::string bytes;
  if (source == kExample || source.starts_with("example:")) {
    const std::string name = source == kExample ? "shapes" : source.substr(kExample.size() + 1);
    bytes = example_picture(name);
    picture.name = "example:" + name;
    picture.url = image_url_of(bytes, picture.name);
  } else if (source.starts_with("data:")) {
    bytes = source;
    picture.name = "data URL";
    picture.url = image_url(source);
  } else if (source.find("://") != source.npos) {
    picture.url = image_url(source);
    return picture;
  } else {
    bytes = read_image(source);
    picture.name = std::filesystem::path(source).filename().string();
    picture.url = image_url_of(bytes, source);
  }
  picture.sha256 = hub::sha256(bytes);
  picture.bytes = bytes.size();
  return picture;
}

}  // namespace mica
