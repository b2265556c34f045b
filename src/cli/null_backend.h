// For commands that ask a model's loader what it needs.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace mica {

// A backend that keeps nothing: the loader of an architecture runs against it to say what it needs.
class NullBackend : public Backend {
 public:
  const Ops& ops() const override { return ops_; }
  DeviceInfo info() const override { return {"nothing", "null", 0, 0}; }
  Buffer allocate(size_t bytes) override { return allocate_host(bytes); }
  void upload(void*, const void*, size_t) override {}
  void download(void*, const void*, size_t) override {}
  void synchronize() override {}
  DType activation_dtype(DType checkpoint) const override { return checkpoint; }
  std::unique_ptr<PreparedLinear> prepare(const LinearWeights& weights) override {
    auto prepared = std::make_unique<PreparedLinear>();
    prepared->experts = weights.experts;
    prepared->rows = weights.rows;
    prepared->columns = weights.columns;
    prepared->scheme = weights.scheme;
    return prepared;
  }

 private:
  Ops ops_;
};

}  // namespace mica
