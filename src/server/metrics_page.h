// The page that Prometheus reads: vLLM's names where the meaning is the same, else mica:….
#pragma once

#include <string>

#include "engine/engine.h"
#include "server/decode_window.h"
#include "server/http_counters.h"
#include "server/metrics.h"
#include "server/model_registry.h"
#include "server/served_model.h"
#include "server/watchdog.h"

namespace mica {

inline constexpr const char* kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

struct MetricsSources {
  std::string model_name;              // id of the default model: the label of every sample
  const ServedModel* model = nullptr;  // the default one; null while it is not loaded
  EngineStats engine;                  // of all models that were loaded
  ModelCounts models;
  const ServerMetrics& answers;
  const HttpCounters& http;
  const Watchdog& watchdog;
  DecodeWindow::Rate decode;
  double heartbeat_age = 0;  // seconds
  bool in_step = false;
  size_t connections = 0, active_requests = 0;
  uint64_t refused_connections = 0;
};

std::string metrics_page(const MetricsSources& sources);

}  // namespace mica
