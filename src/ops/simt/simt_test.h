// Runs a kernel on the emulator under many schedules.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "ops/cuda/launch.h"
#include "ops/cuda/ptx.h"
#include "ops/simt/device.h"
#include "ops/simt/sanitizers.h"
#include "ops/simt/schedules.h"

namespace mica::simt {

// A device with one stream and typed memory that lives as long as it.
class TestDevice {
 public:
  explicit TestDevice(const Schedule& schedule = {})
      : device_(make_device({.schedule = schedule})), stream_(device_->make_stream()) {}

  gpu::Stream& stream() { return *stream_; }
  gpu::Device& operator*() { return *device_; }
  template <typename T>
  T* make(size_t count) {
    buffers_.push_back(device_->allocate(count * sizeof(T)));
    return static_cast<T*>(buffers_.back().data());
  }
  template <typename T>
  T* put(const std::vector<T>& values) {
    T* data = make<T>(values.size());
    stream_->copy(data, values.data(), values.size() * sizeof(T));
    stream_->synchronize();
    return data;
  }
  template <typename T>
  std::vector<T> get(const T* data, size_t count) {
    stream_->synchronize();
    std::vector<T> values(count);
    std::memcpy(values.data(), data, count * sizeof(T));
    return values;
  }

 private:
  std::unique_ptr<gpu::Device> device_;
  std::unique_ptr<gpu::Stream> stream_;
  std::vector<Buffer> buffers_;
};

// The message of the fault that running f throws, or "".
template <typename F>
std::string fault_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' not in: " << text;
}

}  // namespace mica::simt
