// Lines as the engines write them (their sources and reports of 2024 to 2026).
#include "bench/launch/known_failures.h"

#include <gtest/gtest.h>

#include <set>

#include "fake_engine/failures.h"

namespace mica {
namespace {

struct Sample {
  const char* backend;
  const char* id;
  const char* line;
};

constexpr Sample kSamples[] = {
    {"docker", "container_without_gpu",
     "docker: Error response from daemon: could not select device driver \"\" with capabilities: "
     "[[gpu]]."},
    {"docker", "container_without_gpu",
     "docker: Error response from daemon: unknown or invalid runtime name: nvidia"},
    {"docker", "container_without_gpu",
     "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot "
     "open shared object file: no such file or directory: unknown."},
    {"docker", "driver_too_old_for_image",
     "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update "
     "your driver to a newer version, or use an earlier cuda container: unknown."},
    {"vllm", "driver_too_old",
     "RuntimeError: The NVIDIA driver on your system is too old (found version 12080). Please "
     "update your GPU driver by downloading and installing a new version"},
    {"llamacpp", "driver_too_old",
     "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA "
     "runtime version"},
    {"vllm", "driver_mismatch", "Failed to initialize NVML: Driver/library version mismatch"},
    {"vllm", "gpu_unsupported",
     "RuntimeError: CUDA error: no kernel image is available for execution on the device"},
    {"sglang", "gpu_unsupported",
     "NVIDIA RTX PRO 6000 Blackwell Workstation Edition with CUDA capability sm_120 is not "
     "compatible with the current PyTorch installation."},
    {"trtllm", "gpu_unsupported", "RuntimeError: Only SM100 is supported by FP4 block scale MOE"},
    {"vllm", "quantization_unsupported_gpu",
     "ValueError: The quantization method awq is not supported for the current GPU. Minimum "
     "capability: 75. Current capability: 70."},
    {"vllm", "quantization_unsupported_gpu",
     "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0."},
    {"vllm", "no_gpu_found", "RuntimeError: No CUDA GPUs are available"},
    {"vllm", "no_gpu_found", "RuntimeError: Failed to infer device type"},
    {"llamacpp", "no_gpu_found",
     "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected"},
    {"vllm", "too_few_gpus",
     "ValueError: World size (4) is larger than the number of available GPUs (1)"},
    {"sglang", "too_few_gpus", "torch.AcceleratorError: CUDA error: invalid device ordinal"},
    {"vllm", "tensor_parallel_shape",
     "ValueError: Total number of attention heads (28) must be divisible by tensor parallel size "
     "(8)."},
    {"vllm", "kv_cache_too_small",
     "ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB "
     "KV cache is needed, which is larger than the available KV cache memory (9.62 GiB). Based on "
     "the available memory, the estimated maximum model length is 78784."},
    {"vllm", "kv_cache_too_small",
     "ValueError: No available memory for the cache blocks. Try increasing "
     "`gpu_memory_utilization` when initializing the engine."},
    {"sglang", "kv_cache_too_small",
     "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."},
    {"llamacpp", "kv_cache_too_small",
     "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
     "cache"},
    {"vllm", "gpu_memory_taken",
     "ValueError: Free memory on device cuda:0 (12.18/23.56 GiB) on startup is less than desired "
     "GPU memory utilization (0.92, 21.67 GiB). Decrease GPU memory utilization or reduce GPU "
     "memory used by other processes."},
    {"vllm", "cuda_out_of_memory",
     "(EngineCore_DP0 pid=253) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 "
     "GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.31 GiB is free."},
    {"llamacpp", "cuda_out_of_memory",
     "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 13285.50 MiB on device 0: cudaMalloc "
     "failed: out of memory"},
    {"llamacpp", "cuda_out_of_memory",
     "llama_model_load: error loading model: unable to allocate CUDA0 buffer"},
    {"trtllm", "cuda_out_of_memory",
     "[TRT-LLM] [E] Executor creation failed due to insufficient GPU memory."},
    {"vllm", "host_out_of_memory",
     "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't "
     "allocate memory: you tried to allocate 4294967296 bytes. Error code 12 (Cannot allocate "
     "memory)"},
    {"mlx-lm", "host_out_of_memory",
     "terminate called after throwing an instance of 'std::bad_alloc'"},
    {"vllm", "shared_memory_small",
     "Error while creating shared memory segment /dev/shm/nccl-cjY8K5 (size 10617216), error: No "
     "space left on device (28)"},
    {"sglang", "shared_memory_small",
     "RuntimeError: DataLoader worker (pid 4301) is killed by signal: Bus error. It is possible "
     "that dataloader's workers are out of shared memory. Please try to raise your shared memory "
     "limit."},
    {"vllm", "nccl_hang",
     "[rank0]:[E1218 20:27:21.426415540 ProcessGroupNCCL.cpp:629] [Rank 0] Watchdog caught "
     "collective operation timeout: WorkNCCL(SeqNum=1, OpType=BROADCAST, NumelIn=131072000, "
     "NumelOut=131072000, Timeout(ms)=600000) ran for 600081 milliseconds before timing out."},
    {"vllm", "nccl_hang",
     "INFO 11-26 06:22:33 [shm_broadcast.py:501] No available shared memory broadcast block found "
     "in 60 second."},
    {"vllm", "nccl_error",
     "torch.distributed.DistBackendError: NCCL error in: "
     "/pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:94, unhandled cuda error"},
    {"vllm", "gpu_fault",
     "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"},
    {"llamacpp", "gguf_unreadable",
     "gguf_init_from_file_impl: tensor 'blk.0.ffn_down_exps.weight' has invalid ggml type 39 "
     "(NONE)"},
    {"llamacpp", "gguf_unreadable", "gguf_init_from_file: invalid magic characters 'vers'"},
    {"llamacpp", "tokenizer_unusable",
     "llama_model_load: error loading model: error loading model vocabulary: unknown pre-tokenizer "
     "type: 'minicpm5'"},
    {"vllm", "tokenizer_unusable",
     "ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported."},
    {"mlx-lm", "tokenizer_unusable",
     "Exception: data did not match any variant of untagged enum ModelWrapper at line 757479 "
     "column "
     "3"},
    {"vllm", "architecture_unsupported",
     "ValueError: Model architectures ['Glm4ForCausalLM'] are not supported for now. Supported "
     "architectures: dict_keys(['BaichuanForCausalLM'])"},
    {"vllm", "architecture_unsupported",
     "ValueError: The checkpoint you are trying to load has model type `qwen3_5` but Transformers "
     "does not recognize this architecture."},
    {"llamacpp", "architecture_unsupported",
     "llama_model_load: error loading model: error loading model architecture: unknown model "
     "architecture: 'gemma4'"},
    {"mlx-lm", "architecture_unsupported", "ValueError: Model type mllama not supported."},
    {"trtllm", "architecture_unsupported",
     "ValueError: Unknown architecture for AutoModelForCausalLM: Glm4MoeForCausalLM"},
    {"vllm", "remote_code",
     "ValueError: The repository tiiuae/x contains custom code which must be executed to correctly "
     "load the model."},
    {"mlx-lm", "quantization_unsupported", "RuntimeError: GatherQMM has no CUDA implementation."},
    {"mlx-lm", "quantization_unsupported", "RuntimeError: QMM NYI"},
    {"vllm", "gated_model",
     "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-688b505e)"},
    {"sglang", "gated_model",
     "Cannot access gated repo for url https://huggingface.co/google/gemma-3-1b-it/resolve/main/"
     "config.json."},
    {"vllm", "model_not_found",
     "OSError: org/tipo is not a local folder and is not a valid model identifier listed on "
     "'https://huggingface.co/models'"},
    {"vllm", "hub_unreachable",
     "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't "
     "find "
     "them in the cached files."},
    {"vllm", "unknown_argument", "vllm: error: unrecognized arguments: --max-modellen 4096"},
    {"llamacpp", "unknown_argument", "error: invalid argument: --n-gpu-layer"},
    {"llamacpp", "unknown_argument", "error while handling argument \"--ctx-size\": stoi"},
    {"sglang", "unknown_argument",
     "launch_server.py: error: argument --attention-backend: invalid choice: 'flash' (choose from "
     "'triton')"},
    {"trtllm", "unknown_argument",
     "Error: No such option: --tp-size (Possible options: --tp_size)"},
    {"trtllm", "trtllm_configuration",
     "pydantic_core._pydantic_core.ValidationError: 1 validation error for TorchLlmArgs"},
    {"trtllm", "trtllm_configuration",
     "  Extra inputs are not permitted [type=extra_forbidden, input_value=True, input_type=bool]"},
    {"vllm", "port_in_use",
     "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address "
     "already in use"},
    {"llamacpp", "port_in_use",
     "start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080"},
    {"docker", "port_in_use",
     "docker: Error response from daemon: driver failed programming external connectivity on "
     "endpoint x: Bind for 127.0.0.1:8000 failed: port is already allocated."},
    {"docker", "image_missing",
     "Error response from daemon: manifest for vllm/vllm-openai:v9 not found: manifest unknown: "
     "manifest unknown"},
    {"docker", "registry_refuses",
     "Error response from daemon: toomanyrequests: You have reached your unauthenticated pull rate "
     "limit."},
    {"docker", "disk_full",
     "failed to register layer: write /usr/lib/libcublasLt.so.12: no space left on device"},
    {"docker", "program_missing_in_image",
     "docker: Error response from daemon: failed to create task for container: failed to create "
     "shim task: OCI runtime create failed: runc create failed: unable to start container process: "
     "exec: \"vllm\": executable file not found in $PATH: unknown"},
    {"vllm", "import_error",
     "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory"},
    {"mlx-lm", "import_error", "ModuleNotFoundError: No module named 'mlx'"},
    {"llamacpp", "file_missing",
     "gguf_init_from_file: failed to open GGUF file '/models/x.gguf' (No such file or directory)"},
    {"mlx-lm", "file_missing", "FileNotFoundError: No safetensors found in /models/x"},
    {"vllm", "context_too_long",
     "ValueError: User-specified max_model_len (131072) is greater than the derived max_model_len "
     "(max_position_embeddings=32768.0 or model_max_length=None in model's config.json)."},
    {"vllm", "permission",
     "PermissionError: [Errno 13] Permission denied: '/root/.cache/huggingface/hub'"},
    {"ktransformers", "illegal_instruction", "Fatal Python error: Illegal instruction"},
};

TEST(KnownFailures, LinesOfTheEnginesAreRecognised) {
  for (const Sample& sample : kSamples) {
    FailureWatch watch(sample.backend);
    watch.look("INFO: starting");
    watch.look(sample.line);
    watch.look("RuntimeError: Engine core initialization failed. See root cause above.");
    const auto found = watch.best();
    ASSERT_TRUE(found) << sample.line;
    EXPECT_EQ(found->failure->id, sample.id) << sample.line;
    EXPECT_EQ(found->line, sample.line);
  }
}

TEST(KnownFailures, EveryOneHasASample) {
  std::set<std::string> shown;
  for (const Sample& sample : kSamples) shown.insert(sample.id);
  std::set<std::string> ids;
  for (const KnownFailure& failure : known_failures()) {
    EXPECT_TRUE(shown.contains(failure.id)) << failure.id;
    EXPECT_TRUE(ids.insert(failure.id).second) << failure.id << " stands there twice";
  }
}

TEST(KnownFailures, ThoseOfTheScriptedEngineAreRecognised) {
  for (const std::string& name : fake::failure_names()) {
    FailureWatch watch(name.starts_with("llama_") ? "llamacpp" : "vllm");
    for (const std::string& line : fake::failure_log(name)) watch.look(line);
    EXPECT_TRUE(watch.best()) << name;
  }
}

TEST(KnownFailures, HealthyLogsShowNone) {
  for (const char* line :
       {"INFO 01-05 10:00:00 [core.py:58] Initializing a V1 LLM engine (v0.13.0) with config: "
        "model='x', tokenizer='x', trust_remote_code=True, dtype=torch.bfloat16, "
        "max_seq_len=40960, disable_custom_all_reduce=False, enforce_eager=False, "
        "kv_cache_dtype=auto, compilation_config={\"inductor_compile_config\": "
        "{\"combo_kernels\": true, \"max_autotune\": false}}",
        "INFO 01-05 10:00:05 [parallel_state.py:1208] rank 0 in world size 2 is assigned as DP "
        "rank "
        "0, PP rank 0, TP rank 0, EP rank 0",
        "vLLM is using nccl==2.27.5", "Loading safetensors checkpoint shards: 100% Completed",
        "INFO:     127.0.0.1:5000 - \"POST /v1/chat/completions HTTP/1.1\" 200 OK",
        "llama_kv_cache: size = 4096.00 MiB", "main: server is listening on http://127.0.0.1:8080",
        "[TRT-LLM] [I] KV cache quota is 40.00 GiB", ""}) {
    FailureWatch watch("vllm");
    watch.look(line);
    EXPECT_FALSE(watch.best()) << line << " taken for " << watch.best()->failure->id;
  }
}

TEST(KnownFailures, TheFirstOfTheListIsPreferredAndItsFirstLineTold) {
  FailureWatch watch("vllm");
  watch.look("ImportError: cannot import name 'x'");
  watch.look("first: CUDA out of memory");
  watch.look("second: CUDA out of memory");
  EXPECT_EQ(watch.best()->failure->id, "cuda_out_of_memory");
  EXPECT_EQ(watch.best()->line, "first: CUDA out of memory");
}

TEST(KnownFailures, OfAnotherBackendDoNotCount) {
  FailureWatch watch("vllm");
  watch.look("Extra inputs are not permitted");
  EXPECT_FALSE(watch.best());
}

TEST(KnownFailures, Patterns) {
  const KnownFailure failure{"x", {}, {"a*b*c"}, "", "", ErrorKind::kBackend};
  EXPECT_TRUE(matches(failure, "A then B then C"));
  EXPECT_FALSE(matches(failure, "c b a"));
  EXPECT_FALSE(matches(failure, "ab"));
}

TEST(KnownFailures, CompilingIsTold) {
  for (const char* line : {"(EngineCore_DP0 pid=5) INFO torch.compile takes 24.10 s in total",
                           "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  50%",
                           "[2026-01-05] Capture cuda graph begin. This can take up to minutes.",
                           "DeepGEMM JIT Compiling for <GEMM_NT_F8F8BF16>"})
    EXPECT_TRUE(FailureWatch::is_compiling(line)) << line;
  EXPECT_FALSE(FailureWatch::is_compiling("INFO: Application startup complete."));
}

TEST(KnownFailures, ABadFileNamesTheLine) {
  const auto error_of = [](const std::string& yaml) {
    try {
      parse_known_failures(yaml, "my.yaml");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return std::string(error.what());
    }
    return std::string("it was read");
  };
  const std::string good = "- id: a\n  match: [x]\n  meaning: m\n  advice: n\n";
  EXPECT_EQ(error_of(good), "it was read");
  EXPECT_NE(error_of(good + "- id: b\n  mach: [x]\n").find("my.yaml:5: unknown key 'mach'"),
            std::string::npos)
      << error_of(good + "- id: b\n  mach: [x]\n");
  EXPECT_NE(error_of(good + "- id: b\n  match: ['*']\n  meaning: m\n  advice: n\n").find("'b'"),
            std::string::npos);
  EXPECT_NE(error_of("- id: b\n  kind: gpu\n").find("expected device, memory or backend"),
            std::string::npos);
  EXPECT_NE(error_of("- [").find("my.yaml"), std::string::npos);
  EXPECT_NE(error_of("- x").find("expected a map"), std::string::npos);
}

}  // namespace
}  // namespace mica
