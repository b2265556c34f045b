// Which processes of the host are in a container.
#pragma once

#include <string>
#include <vector>

#include "bench/launch/docker.h"
#include "bench/launch/process_table.h"

namespace mica {

// By the control groups of /proc; where they don't name it, by `docker top`.
std::vector<ProcessFacts> container_members(const std::string& id, const Docker& docker);

}  // namespace mica
