#include "bench/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "tensor/tensor.h"

namespace mica {
namespace {

constexpr size_t kChunk = size_t{1} << 20;  // 4 KiB pieces reach half of the rate (measured)

// Lines asked for ahead of their use. The hardware's own prefetcher stops at each 4 KiB page: a
// bf16 product that prefetches read up to 1.39 times what this loop did without (Zen 3, 2 threads),
// so without it the probe would be no limit.
constexpr size_t kAheadBytes = 4096;

// Sums 64-bit words in eight independent chains, so that loads and not additions are the limit.
uint64_t read_all(const uint64_t* words, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i < count; i += 8) {
    __builtin_prefetch(words + i + kAheadBytes / 8);
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (uint64_t s : sums) total += s;
  return total;
}

// Seconds for all threads to read the buffer once, handing out chunks as they finish.
double timed_pass(const std::byte* data, size_t bytes, int threads, std::atomic<uint64_t>& sink) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    uint64_t sum = 0;
    for (size_t at = next.fetch_add(kChunk); at < bytes; at = next.fetch_add(kChunk))
      sum += read_all(reinterpret_cast<const uint64_t*>(data + at), kChunk / 8);
    sink.fetch_add(sum, std::memory_order_relaxed);
  };
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

BandwidthProbe probe_read_bandwidth(int threads, int passes, size_t buffer_bytes) {
  const size_t bytes = buffer_bytes / kChunk * kChunk;
  const Buffer buffer = allocate_host(bytes);
  std::memset(buffer.data(), 1, bytes);
  std::atomic<uint64_t> sink{0};
  std::vector<double> rates;
  for (int i = 0; i < passes; ++i)
    rates.push_back(static_cast<double>(bytes) /
                    timed_pass(static_cast<const std::byte*>(buffer.data()), bytes, threads, sink));
  std::sort(rates.begin(), rates.end());
  return {rates[rates.size() / 2], rates.back(), bytes, threads};
}

}  // namespace mica
