// Which processes of the host are in a container.
#pragma once

#include <string>
#include <vector>

#include "bench/launch/docker.h"
#include "bench/launch/process_table.h"

namespace mica {

class ContainerMembers {
 public:
  explicit ContainerMembers(const Docker& docker) : docker_(docker) {}
  // By the control groups of /proc; where they don't name the container (a daemon in a machine of
  // its own), by `docker top`, asked every five seconds.
  std::vector<ProcessFacts> look(const std::string& id);

 private:
  const Docker& docker_;
  double asked_ = 0;
  std::vector<pid_t> told_;
};

}  // namespace mica
