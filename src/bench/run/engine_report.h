// What the engine itself counts and times of a load, from its page of metrics and its answers, and
// whether that agrees with the client.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "bench/metrics/engine_figures.h"
#include "bench/plan/plan.h"
#include "bench/results/store.h"

namespace mica {

// begin() and end() around the load, with no request open. What can't be read is a note, never an
// error.
class EngineReport {
 public:
  EngineReport(const PlanDialect& dialect, std::string url, std::string key)
      : dialect_(dialect), url_(std::move(url)), key_(std::move(key)) {}

  void begin(RunWriter& writer);
  // `records`: all requests since begin().
  void end(RunWriter& writer, std::span<const RequestSample> records);

 private:
  EngineFigures read() const;
  EngineFigures settled() const;
  std::optional<EngineFigures> try_settled(RunWriter& writer) const;

  const PlanDialect& dialect_;
  const std::string url_, key_;
  std::optional<EngineFigures> before_;
};

}  // namespace mica
