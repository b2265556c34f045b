#include "fake_engine/failures.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"

namespace mica::fake {
namespace {

using Logs = std::map<std::string, std::vector<std::string>>;

// The lines by which users know these failures, without the stack traces around them.
const Logs& logs() {
  static const Logs all = {
      {"out_of_memory",
       {"INFO 01-01 00:00:00 [gpu_model_runner.py:2338] Starting to load model ...",
        "ERROR 01-01 00:00:09 [core.py:708] torch.OutOfMemoryError: CUDA out of memory. Tried to "
        "allocate 2.50 GiB. GPU 0 has a total capacity of 23.52 GiB of which 1.31 GiB is free."}},
      {"kv_memory",
       {"ValueError: No available memory for the cache blocks. Try increasing "
        "`gpu_memory_utilization` when initializing the engine."}},
      {"kv_length",
       {"ValueError: To serve at least one request with the models's max seq len (131072), (16.00 "
        "GiB KV cache is needed, which is larger than the available KV cache memory (7.93 GiB)."}},
      {"no_kernel",
       {"RuntimeError: CUDA error: no kernel image is available for execution on the device"}},
      {"driver",
       {"RuntimeError: The NVIDIA driver on your system is too old (found version 12020).",
        "CUDA driver version is insufficient for CUDA runtime version"}},
      {"no_gpu",
       {"docker: Error response from daemon: could not select device driver \"\" with "
        "capabilities: [[gpu]]."}},
      {"architecture",
       {"ValueError: Model architectures ['FooForCausalLM'] are not supported for now."}},
      {"llama_architecture",
       {"llama_model_load: error loading model: error loading model architecture: unknown model "
        "architecture: 'foo'",
        "srv    load_model: failed to load model, 'foo.gguf'"}},
      {"llama_out_of_memory",
       {"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 24576.00 MiB on device 0: "
        "cudaMalloc failed: out of memory",
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer"}},
      {"llama_no_gpu",
       {"warning: no usable GPU found, --gpu-layers option will be ignored",
        "warning: one possible reason is that llama.cpp was compiled without GPU support"}},
      {"tokenizer",
       {"OSError: Can't load tokenizer for 'foo/bar'. If you were trying to load it from "
        "'https://huggingface.co/models', make sure you don't have a local directory with the same "
        "name."}},
      {"gated",
       {"huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url "
        "https://huggingface.co/foo/bar/resolve/main/config.json."}},
      {"port_taken",
       {"ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address "
        "already in use"}},
      {"nccl",
       {"NCCL WARN Cuda failure 'peer access is not supported between these two devices'",
        "RuntimeError: NCCL error: unhandled cuda error"}},
      {"shared_memory",
       {"RuntimeError: unable to write to file </torch_1_1>: No space left on device (28)"}},
      {"trust_remote_code",
       {"ValueError: The repository foo/bar contains custom code which must be executed to "
        "correctly load the model. Please pass the argument `trust_remote_code=True`."}},
  };
  return all;
}

}  // namespace

const std::vector<std::string>& failure_log(const std::string& name) {
  const auto found = logs().find(name);
  if (found == logs().end())
    throw Error(ErrorKind::kUsage, "[fake_engine] start.failure: expected one of {}, found '{}'",
                fmt::join(failure_names(), ", "), name);
  return found->second;
}

std::vector<std::string> failure_names() {
  std::vector<std::string> out;
  for (const auto& [name, lines] : logs()) out.push_back(name);
  return out;
}

}  // namespace mica::fake
