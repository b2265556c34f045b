// What `mica bench --offline` prints: a table to read, or JSON with every number.
#pragma once

#include <string>
#include <vector>

#include "bench/offline.h"

namespace mica {

struct OfflineReport {
  std::string version;           // of Mica
  std::string model;             // its name
  std::string weights;           // how they are stored; empty: as in the checkpoint
  DeviceInfo device;             // after loading
  size_t weight_bytes = 0;       // resident
  size_t step_weight_bytes = 0;  // that a step of one sequence reads
  double load_seconds = 0;       // from the first weight to the last in place
  double source_seconds = 0;  // of these: reading the checkpoint's headers or making random values
  bool drawn_on_device = false;  // random values: by the device, in its own memory
  OfflineOptions options;
  DeviceLimits limits;
  std::vector<OfflineResult> results;
};

std::string to_markdown(const OfflineReport& report);
std::string to_json(const OfflineReport& report);

}  // namespace mica
