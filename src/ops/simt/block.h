// One block of a grid: its threads as fibers, its barriers, warp rendezvous, shared memory and
// asynchronous copies. Runs on one OS thread.
#pragma once

#include <array>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "ops/simt/emulator.h"
#include "ops/simt/fiber.h"
#include "ops/simt/schedule.h"

namespace mica::simt {

using emu::Launch;

// Fibers are kept from block to block: making one costs two system calls.
class FiberPool {
 public:
  static std::vector<std::unique_ptr<Fiber>> acquire(size_t count);
  static void release(std::vector<std::unique_ptr<Fiber>> fibers);
};

// The lanes of a warp that met at one operation.
struct WarpCall {
  uint32_t mask = 0;     // lanes that the operation names
  uint32_t arrived = 0;  // of them
  // Of the lanes that arrived.
  std::array<const void*, 32> in;
  std::array<void*, 32> out;
  std::array<Where, 32> where;
};

struct WarpOperation {
  const char* name;
  bool aligned;  // all lanes must stand at the same instruction
  void (*run)(WarpCall&);
};

struct PendingCopy {
  void* to;
  const void* from;
  int bytes, source_bytes;
  int group;
  std::array<unsigned char, 16> early;  // the source at issue, where the schedule takes that
  bool use_early;
};

struct Thread {
  int index = 0;  // in the block
  emu::ThreadPlace place;
  Fiber* fiber = nullptr;
  bool done = false;
  const char* waits_for = nullptr;  // null: can run
  Where where;
  std::vector<PendingCopy> copies;
  int copy_group = 0;
};

// A block's shared memory: arrays that start unwritten, between guard zones.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Empty: refused for the reason in `fault`.
  void* take(int index, size_t offset, size_t bytes, Where where, std::string* fault);
  bool contains(const void* begin, size_t bytes) const;  // within one array
  // What was written outside of the arrays, or empty.
  std::string overrun() const;

 private:
  struct Array {
    size_t offset, begin, bytes;
    Where where;
  };
  size_t launched_;  // shared_bytes of the launch
  size_t size_;      // with guard zones
  std::byte* memory_;
  std::vector<Array> arrays_;
};

class Block {
 public:
  Block(const Launch& launch, gpu::Dim3 index, const Schedule& schedule);
  ~Block();
  // Throws the first fault.
  void run(const std::function<void()>& body);

  static Block& current();
  Thread& thread() { return *thread_; }
  Random& random() { return ready_.random(); }
  Order order() const { return schedule_.order; }
  SharedMemory& shared() { return shared_; }
  void note_wait() { waited_ = true; }
  int warp_base() const { return thread_->index / 32 * 32; }

  void yield(Where where);
  void sync_threads(Where where);
  void barrier(int id, int threads, bool wait, Where where);
  void collective(const WarpOperation& operation, uint32_t mask, const void* in, void* out,
                  Where where);
  [[noreturn]] void fail(Where where, const std::string& message) const;

 private:
  struct Barrier {
    int arrived = 0;
    int threads = 0;
    std::vector<int> waiting;
    std::vector<Where> warp_where;  // named barriers: where each warp stands
    Where where;                    // of the first to arrive
    int first = 0;
  };
  struct Meeting {
    const WarpOperation* operation;
    WarpCall call;
    int first;  // thread
  };
  static void thread_main(void* argument);
  void wait(const char* what, Where where);
  void make_ready(int thread);
  void finish_thread();
  void finish_barrier(Barrier& barrier);
  // Runs the meeting if all live lanes arrived; then it is gone.
  bool finish_meeting(int warp, size_t meeting);
  std::string place_of(int thread) const;
  std::string standing() const;  // where all threads stand

  Launch launch_;
  gpu::Dim3 index_;
  Schedule schedule_;
  ReadyList ready_;
  SharedMemory shared_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Thread> threads_;
  std::vector<std::vector<Meeting>> meetings_;  // of each warp
  std::vector<uint32_t> live_lanes_;            // of each warp: those that have not ended
  std::array<Barrier, 16> barriers_;
  const std::function<void()>* body_ = nullptr;
  Thread* thread_ = nullptr;
  std::exception_ptr fault_;
  int live_ = 0;
  bool waited_ = false;      // for earlier grids
  int64_t idle_yields_ = 0;  // since a thread got further
  std::chrono::steady_clock::time_point idle_since_;
};

std::string to_string(Where where);  // "file.cu:12"

}  // namespace mica::simt
