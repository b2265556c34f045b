#include "ops/backend.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/cuda/cuda_backend.h"
#include "ops/ref/ref_backend.h"
#include "ops/simt/simt_backend.h"

namespace mica {

const char* default_device() {
  return cuda::is_built() ? "cuda" : "cpu";
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const std::string& device = options.device;
  if (device == "cpu") return make_cpu_backend(options, cpu_ops());
  if (device == "ref") return make_ref_backend();
  if (device == "simt") return simt::make_backend(options);
  if (device == "cuda" || device.rfind("cuda:", 0) == 0) return cuda::make_backend(options);
  throw Error(ErrorKind::kUsage,
              "[device] expected one of cpu, ref, cuda, cuda:N, simt; found '{}'", device);
}

}  // namespace mica
