// What tests of resolve_plan share: a machine with two GPUs, a folder, a request for vLLM.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "bench/plan/show.h"
#include "bench/plan/test_models.h"

namespace mica {

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() : facts_(two_gpus()) { request_.backend = "vllm"; }
  ResolvedPlan resolve() {
    const ModelsFile models = parse_models_file(models_, "m.yaml", table_);
    return resolve_plan(request_, table_, models, facts_);
  }
  LaunchPlan plan() { return resolve().plan; }
  std::string command() {
    std::string text;
    for (const std::string& word : plan().command(true)) text += (text.empty() ? "" : " ") + word;
    return text;
  }
  std::string error() {
    try {
      plan();
    } catch (const Error& error) {
      kind_ = error.kind();
      return error.what();
    }
    return "";
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
  }
  std::string warnings() {
    std::string text;
    for (const std::string& warning : plan().warnings) text += warning + "\n";
    return text;
  }
  TempFolder folder_;
  BackendTable table_;
  PlanFacts facts_;
  PlanRequest request_;
  std::string models_ = "models: []";
  ErrorKind kind_ = ErrorKind::kInternal;
};

}  // namespace mica
