// Who holds a port.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bench/launch/docker.h"
#include "bench/launch/process_table.h"

namespace mica {

struct PortHolder {
  ProcessId process;                        // pid 0: another user's, not to be seen
  std::optional<ContainerFacts> container;  // that publishes it
  bool by_mica = false;                     // Mica started it
  std::string text;  // "container 'webui' (image x:y)", "process 412 (python -m http.server)"
};

// Nothing when the port can be bound on `host`.
std::optional<PortHolder> port_holder(const std::string& host, uint16_t port, const Docker* docker);
// The command that ends who holds it; empty: none is known.
std::string how_to_free(const PortHolder& holder);
// A port near `port` that can be bound; 0: none found.
uint16_t free_port_near(const std::string& host, uint16_t port);

}  // namespace mica
