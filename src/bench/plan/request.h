// What a plan is made of: what the user asks for, and what is known of the machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/plan/plan.h"

namespace mica {

struct PlanGpu {
  int index = 0;
  std::string name;
  int compute = 0;               // 10 · major + minor; 0 = not known
  uint64_t total = 0, free = 0;  // bytes; 0 = not known
};

// Passed in: a plan asks the machine nothing but its files.
struct PlanFacts {
  std::vector<PlanGpu> gpus;
  int cores = 0, numa_nodes = 1;
  uint64_t host_available = 0;      // bytes of the host's memory that may be used; 0 = not known
  std::string user;                 // "1000:1000"
  std::filesystem::path hub_cache;  // the folder of models--…
  std::filesystem::path state;      // where files for backends are written
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> programs;  // "mica": the path of this one
  std::map<std::string, std::string> pins;      // of images: name to "sha256:…"
};

// The command line. Empty and nullopt are not said.
struct PlanRequest {
  std::string model;    // a path, "org/name[@revision]", or a name of the models file
  std::string backend;  // its name
  std::optional<LaunchMode> mode;
  std::string url;  // of a running server: kAttach
  std::string profile;
  std::map<std::string, std::string>
      settings;                              // by the shared names; each backend takes what it has
  std::map<std::string, std::string> needs;  // settings of the work to come, where nobody says more
  std::map<std::string, std::string> own_settings;  // --set: the backend must have them
  std::string host, port;
  std::string key;        // that clients must send; empty = none
  std::string gguf;       // a file's name or a part of it: "Q4_K_M"
  std::string projector;  // a file, or "none"
  bool vision = false;    // images will be sent
  std::vector<int> gpus;  // indices; empty = all
  std::string version, image;
  std::map<std::string, std::string> environment;
  std::vector<std::string> extra_arguments, docker_options;
  bool force = false;  // also where a capability table says refused
};

}  // namespace mica
