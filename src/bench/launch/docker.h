// Docker, through its command line program.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/launch/engine_process.h"
#include "bench/launch/launch_error.h"

namespace mica {

inline constexpr const char* kRunLabel = "mica.run";      // its value is the run's id
inline constexpr const char* kOwnerLabel = "mica.owner";  // "HOST:PID:START"

// "repo" of "repo:tag", "repo@sha256:…" and "host:5000/repo".
std::string repository(const std::string& image);

struct DockerFacts {
  std::string version;                // of the daemon
  std::vector<std::string> runtimes;  // "runc", "nvidia"
  bool gpus = false;                  // containers can have NVIDIA GPUs: runtime or CDI
};

struct ImageFacts {
  std::string name;    // as asked for
  std::string id;      // "sha256:…", of this machine
  std::string digest;  // "repo@sha256:…", of the registry; empty for an image built here
  std::string created;
  uint64_t bytes = 0;
  // What runs exactly this image: the digest, else the id.
  const std::string& pinned() const { return digest.empty() ? id : digest; }
};

struct ImageBuild {
  std::string context;     // a folder or a Git URL; empty: the Dockerfile needs none
  std::string file;        // of the Dockerfile in the context; empty: the usual one
  std::string dockerfile;  // its text; empty: the context's own
  struct Argument {
    std::string name, value;
    bool secret = false;  // passed by name, through the environment
  };
  std::vector<Argument> arguments;
};

struct ContainerFacts {
  std::string id, name, image, status;  // status: "created", "running", "exited" …
  std::string run;                      // label mica.run, or empty
  int exit_code = 0;
  bool running = false, out_of_memory = false;
  std::string error;  // of the daemon, such as a missing runtime
  pid_t pid = 0;      // of its first process, as the host counts; 0: none
};

class Docker {
 public:
  // `program`: a path, or a name that is looked for in PATH. Throws LaunchError (kDockerMissing).
  explicit Docker(const std::string& program = "docker");
  const std::string& program() const { return program_; }

  // Throws LaunchError: the daemon does not run, no permission, GPUs wanted and not to be had.
  DockerFacts preflight(bool gpus) const;

  std::optional<ImageFacts> image(const std::string& name) const;
  using Line = std::function<void(const std::string& line)>;
  // Both end early, with kInterrupted, when `stop` is asked for.
  ImageFacts pull(const std::string& name, const Line& progress, std::stop_token stop) const;
  // `anew`: without the cache of layers.
  ImageFacts build(const std::string& name, const ImageBuild& build, bool anew,
                   const Line& progress, std::stop_token stop) const;
  // Why it was not removed (a container uses it, it has further names); empty: it is gone.
  std::string remove_image(const std::string& id) const;

  // By name or id; nothing when the daemon knows none. Throws LaunchError when it can't be asked,
  // as do all below.
  std::optional<ContainerFacts> container(const std::string& id) const;
  std::vector<ContainerFacts> labelled(const std::string& run) const;  // also those that ended
  std::vector<ContainerFacts> publishing(uint16_t port) const;
  // Processes in it, by the host's numbers.
  std::vector<pid_t> processes(const std::string& id) const;

  // SIGINT, then SIGTERM, then SIGKILL; then it is removed.
  StopReport stop(const std::string& id, const StopPatience& patience) const;
  // All of a run. `may_come`: a client that has just ended may have asked for one: it is looked for
  // some 1.5 seconds.
  StopReport stop_labelled(const std::string& run, bool may_come,
                           const StopPatience& patience) const;

 private:
  std::vector<ContainerFacts> listed(const std::vector<std::string>& arguments) const;
  std::string program_;
};

}  // namespace mica
