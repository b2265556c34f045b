// A folder of an adapter from arbitrary bytes: adapter_config.json and, behind a NUL,
// adapters.safetensors. What comes through has the shapes that the model's checks rely on.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoint/adapter.h"

namespace {

// Removed when the program ends as it should.
struct Folder {
  Folder()
      : path(std::filesystem::temp_directory_path() /
             ("mica-adapter-fuzz-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  void write(const char* name, std::string_view bytes) const {
    std::ofstream file(path / name, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  const std::filesystem::path path;
};

void check(const mica::Adapter& adapter) {
  MICA_CHECK(std::isfinite(adapter.scale) && !adapter.modules.empty());
  MICA_CHECK(std::is_sorted(
      adapter.modules.begin(), adapter.modules.end(),
      [](const mica::AdapterModule& a, const mica::AdapterModule& b) { return a.path < b.path; }));
  for (const mica::AdapterModule& m : adapter.modules) {
    MICA_CHECK(m.rank > 0 && m.rank <= adapter.rank() && m.rows >= 0 && m.columns >= 0);
    MICA_CHECK(m.down.size() == static_cast<size_t>(m.rank * m.columns));
    MICA_CHECK(m.up.size() == static_cast<size_t>(m.rows * m.rank));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(bytes.find('\0'), size);
  folder.write("adapter_config.json", bytes.substr(0, end));
  folder.write("adapters.safetensors", bytes.substr(std::min(end + 1, size)));
  try {
    check(mica::read_adapter(folder.path));
  } catch (const mica::Error&) {
  }
  return 0;
}
