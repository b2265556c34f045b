// Facts about this machine, gathered once and read by examine(). Zero and empty are "not known".
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/machine.h"
#include "checkpoint/hub/usage.h"
#include "ops/cuda/probe/build.h"
#include "ops/cuda/probe/probe.h"

namespace mica::doctor {

struct CpuFacts {
  std::string name, isa;      // isa: the instruction set that Mica takes
  int threads = 0, cpus = 0;  // Mica's default; logical processors of this process
};

struct LimitFacts {
  uint64_t open_files = 0, open_files_max = 0;         // soft and hard
  uint64_t shared_memory = 0, shared_memory_free = 0;  // of /dev/shm, bytes
  std::string huge_pages;                              // always, madvise, never
};

struct DiskFacts {               // of the file system that holds the hub's cache
  std::filesystem::path folder;  // the cache's, or the nearest above it that exists
  std::string type;              // ext4, nfs4, overlay
  uint64_t total = 0, free = 0;  // bytes; free: for this user
  double bytes_per_second = 0;   // of a direct read of a cached file; 0: none to read
  bool hung = false;             // did not answer within the time
};

struct CacheFacts {
  std::filesystem::path folder;
  bool exists = false, writable = false;
  std::vector<hub::CachedModel> models;
};

struct ToolFacts {
  std::string nvcc, nvcc_version;  // path; "13.0"
  std::string docker, docker_version, docker_error;
  std::vector<std::string> docker_runtimes;
  bool nvidia_runtime = false;  // docker can give GPUs to containers: its runtime, or CDI
};

// A port on which servers listen unless told otherwise.
struct PortFacts {
  uint16_t number = 0;
  std::string container;  // that publishes it
  // Who else listens there, "process 412 (python -m http.server)", and the command that ends it,
  // where one is known. Not filled by gather(): the caller looks. Empty: free.
  std::string holder, command;
};

// Between GPUs, as nvidia-smi names it; row by row, empty with less than two GPUs.
struct TopologyFacts {
  std::vector<std::string> names;               // GPU0, GPU1
  std::vector<std::vector<std::string>> links;  // X, SYS, PHB, PIX, NV12
  std::vector<std::vector<std::string>> peers;  // X, OK, NS, CNS: may one read the other's memory
};

struct MachineFacts {
  std::string version, kernel;  // Mica's; Linux's
  gpu::GpuBuild build;
  CpuFacts cpu;
  MemoryFacts memory;
  LimitFacts limits;
  gpu::GpuProbe gpu;
  TopologyFacts topology;
  ToolFacts tools;
  std::vector<PortFacts> ports;
  DiskFacts disk;
  CacheFacts cache;
};

// Where to look; the defaults are the machine.
struct GatherPaths {
  gpu::ProbePaths gpu;
  std::filesystem::path cache;  // the hub's cache folder
  std::string programs;         // folders of docker and nvcc; empty: PATH and the usual ones
};

// Takes at most about 9 s; well under one where nothing hangs and GPUs are awake.
MachineFacts gather(const std::string& version, const GatherPaths& paths);

// The parts of gather().
CpuFacts read_cpu();
LimitFacts read_limits(const std::filesystem::path& root);
// Of `nvidia-smi topo -m` and `topo -p2p r`.
std::vector<std::vector<std::string>> parse_matrix(const std::string& text,
                                                   std::vector<std::string>& names);

}  // namespace mica::doctor
