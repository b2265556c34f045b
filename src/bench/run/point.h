// One measurement of the matrix: a workload and how it is sent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/arrivals.h"
#include "bench/load/dataset.h"
#include "bench/load/picture.h"
#include "bench/load/workload.h"

namespace mica {

struct BenchPoint {
  WorkloadOptions workload;
  ArrivalOptions arrivals;
  int64_t requests = 0;  // conversations; 0 = ten times the concurrency, at least ten
  double seconds = 0;    // none begins later; 0 = no limit
  // Recorded requests in place of made ones; shared by all points that send them.
  std::shared_ptr<const std::vector<DatasetItem>> items;
  std::string items_name;         // of the file
  std::vector<Picture> pictures;  // all that are sent, of the items and of the workload

  int64_t conversations() const;
  std::string workload_name() const;  // "synthetic 512+128", "2 prompts", "trace.jsonl"
  std::string name() const;           // "synthetic 512+128, closed:8"
};

// Every workload with every arrival, in this order.
std::vector<BenchPoint> grid(const std::vector<BenchPoint>& workloads,
                             const std::vector<ArrivalOptions>& arrivals);

}  // namespace mica
