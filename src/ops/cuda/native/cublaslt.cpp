#include "ops/cuda/native/cublaslt.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"

namespace mica::cuda {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = CUBLAS_VER_MAJOR;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Folders of `folder` whose name begins with `prefix`, the last by name first.
std::vector<fs::path> folders(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::vector<fs::path> toolkits() {
  std::vector<fs::path> found;
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string value = variable(name); !value.empty()) found.emplace_back(value);
  found.emplace_back("/usr/local/cuda");
  for (const fs::path& path : folders("/usr/local", "cuda-" + std::to_string(kVersion)))
    found.push_back(path);
  return found;
}

// What Python calls sys.prefix, of each Python that the user can mean.
std::vector<fs::path> python_prefixes() {
  std::vector<fs::path> found;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const std::string value = variable(name); !value.empty()) found.emplace_back(value);
  for (const std::string& programs : split(variable("PATH"), ':'))
    if (fs::path(programs).filename() == "bin") found.push_back(fs::path(programs).parent_path());
  if (const std::string home = variable("HOME"); !home.empty())
    found.push_back(fs::path(home) / ".local");
  return found;
}

// The library in NVIDIA's Python packages below a prefix, and where conda puts it.
void add_packages(const fs::path& prefix, std::vector<std::string>& places) {
  const std::string current = "nvidia/cu" + std::to_string(kVersion) + "/lib";
  for (const fs::path& python : folders(prefix / "lib", "python3"))
    for (const char* packages : {"site-packages", "dist-packages"})
      for (const std::string& library : {current, std::string("nvidia/cublas/lib")})
        places.push_back((python / packages / library / cublaslt_name()).string());
  places.push_back((prefix / "lib" / cublaslt_name()).string());
}

template <typename F>
void find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) throw Error(ErrorKind::kDevice, "it has no {}", name);
}

CublasLt functions_of(void* library) {
  CublasLt lt = {};
#define MICA_FIND(name) find(library, "cublasLt" #name, lt.name)
  MICA_FIND(Create);
  MICA_FIND(Destroy);
  MICA_FIND(GetVersion);
  MICA_FIND(GetStatusName);
  MICA_FIND(Matmul);
  MICA_FIND(MatmulAlgoGetHeuristic);
  MICA_FIND(MatmulDescCreate);
  MICA_FIND(MatmulDescDestroy);
  MICA_FIND(MatmulDescSetAttribute);
  MICA_FIND(MatmulPreferenceCreate);
  MICA_FIND(MatmulPreferenceDestroy);
  MICA_FIND(MatmulPreferenceSetAttribute);
  MICA_FIND(MatrixLayoutCreate);
  MICA_FIND(MatrixLayoutDestroy);
#undef MICA_FIND
  // 130100 for 13.1.0. The structures of another major version differ.
  const auto version = static_cast<int>(lt.GetVersion() / 10000);
  if (version != kVersion) throw Error(ErrorKind::kDevice, "it is of version {}", version);
  return lt;
}

// Throws Error with the reason.
CublasLt load(const std::string& place) {
  void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* reason = dlerror();
    throw Error(ErrorKind::kDevice, reason ? reason : "it can't be loaded");
  }
  try {
    return functions_of(library);
  } catch (const Error&) {
    dlclose(library);
    throw;
  }
}

CublasLt load_first() {
  std::string tried;
  for (const std::string& place : cublaslt_places()) {
    try {
      const CublasLt lt = load(place);
      log_debug("cuBLASLt {} from {}", lt.GetVersion(), place);
      return lt;
    } catch (const Error& error) {
      tried += fmt::format("\n  {}: {}", place, error.what());
    }
  }
  throw Error(
      ErrorKind::kDevice,
      "[cublaslt] {} was not found. Install libcublas-{}-* of NVIDIA's package repository or "
      "the Python package nvidia-cublas, or set MICA_CUBLASLT to the file. Looked for, in "
      "this order: MICA_CUBLASLT and nothing else where it is set; the loader "
      "(LD_LIBRARY_PATH, the distribution's folders); the toolkit (CUDA_HOME, CUDA_PATH, "
      "/usr/local/cuda*); NVIDIA's Python packages (VIRTUAL_ENV, CONDA_PREFIX, beside the "
      "folders of PATH, ~/.local). What was there:{}",
      cublaslt_name(), kVersion, tried);
}

}  // namespace

std::string cublaslt_name() {
  return "libcublasLt.so." + std::to_string(kVersion);
}

std::vector<std::string> cublaslt_places() {
  if (const std::string chosen = variable("MICA_CUBLASLT"); !chosen.empty()) return {chosen};
  std::vector<std::string> files;
  for (const fs::path& toolkit : toolkits())
    for (const char* folder : {"lib64", "lib"})
      files.push_back((toolkit / folder / cublaslt_name()).string());
  for (const fs::path& prefix : python_prefixes()) add_packages(prefix, files);
  // The loader first: LD_LIBRARY_PATH, then the distribution's folders.
  std::vector<std::string> places = {cublaslt_name()};
  std::error_code ignored;
  for (const std::string& file : files)
    if (fs::exists(file, ignored) && std::find(places.begin(), places.end(), file) == places.end())
      places.push_back(file);
  return places;
}

const CublasLt& load_cublaslt() {
  static const CublasLt loaded = load_first();
  return loaded;
}

}  // namespace mica::cuda
