// The child that opens libcuda. Prototypes and constants: cuda.h of the CUDA toolkit; the library
// keeps them for old programs.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "ops/cuda/probe/library.h"

namespace mica::gpu {
namespace {

namespace fs = std::filesystem;

constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // CUdevice_attribute

void tell_cuda_device(void* library, int index, const Emit& emit) {
  const auto get = symbol<int(int*, int)>(library, "cuDeviceGet");
  int device = 0;
  if (!get || get(&device, index) != 0) return;
  tell(emit, "device", index, "index", index);
  char text[256] = "";
  const auto name = symbol<int(char*, int, int)>(library, "cuDeviceGetName");
  if (name && name(text, sizeof text, device) == 0) tell(emit, "device", index, "name", text);
  const auto bus = symbol<int(char*, int, int)>(library, "cuDeviceGetPCIBusId");
  if (bus && bus(text, sizeof text, device) == 0) tell(emit, "device", index, "pci.bus_id", text);
  const auto attribute = symbol<int(int*, int, int)>(library, "cuDeviceGetAttribute");
  int major = 0, minor = 0;
  if (attribute && attribute(&major, kCapabilityMajor, device) == 0 &&
      attribute(&minor, kCapabilityMinor, device) == 0)
    tell(emit, "device", index, "compute_cap", fmt::format("{}.{}", major, minor));
  const auto memory = symbol<int(size_t*, int)>(library, "cuDeviceTotalMem_v2");
  size_t bytes = 0;
  if (memory && memory(&bytes, device) == 0)
    tell(emit, "device", index, "memory.total", bytes >> 20);
}

// Can the node be opened? GPUs' own nodes are only asked for permission: opening would wake them.
int node_error(const fs::path& root, const std::string& path) {
  const fs::path file = root / fs::path(path).relative_path();
  const bool gpu = path.find_last_of("0123456789") == path.size() - 1;
  if (gpu) return ::faccessat(AT_FDCWD, file.c_str(), R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno;
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

void ask_cuda(const ProbePaths& paths, const std::vector<DeviceNode>& nodes, const Emit& emit) {
  for (const DeviceNode& node : nodes)
    if (node.exists) tell(emit, "node", node.path, node_error(paths.root, node.path));
  void* library = open_library(paths.cuda_library, emit);
  if (!library) return;
  int number = 0;
  const auto version = symbol<int(int*)>(library, "cuDriverGetVersion");
  if (version && version(&number) == 0) tell(emit, "version", number);
  const auto init = symbol<int(unsigned)>(library, "cuInit");
  if (!init) return;
  tell(emit, "call");
  const int status = init(0);
  const char* name = nullptr;
  const auto error_name = symbol<int(int, const char**)>(library, "cuGetErrorName");
  if (error_name) error_name(status, &name);
  tell(emit, "init", status, name ? name : "unknown");
  const auto count = symbol<int(int*)>(library, "cuDeviceGetCount");
  if (status != 0 || !count || count(&number) != 0) return;
  tell(emit, "count", number);
  for (int i = 0; i < number; ++i) tell_cuda_device(library, i, emit);
}

}  // namespace

ChildProcess start_cuda(const ProbePaths& paths, const std::vector<DeviceNode>& nodes) {
  return ChildProcess::function([&](const Emit& emit) { ask_cuda(paths, nodes, emit); },
                                paths.cuda_seconds);
}

}  // namespace mica::gpu
