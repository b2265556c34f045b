#include "ops/simt/block.h"

#include <mutex>

#include "base/error.h"

namespace mica::simt {

namespace emu {
constinit thread_local const ThreadPlace* current_place = nullptr;
}

namespace {

constinit thread_local Block* current_block = nullptr;

struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Fiber>> fibers;
};
Pool& pool() {
  static Pool instance;
  return instance;
}

gpu::Dim3 unflatten(uint64_t index, gpu::Dim3 size) {
  return {static_cast<uint32_t>(index % size.x), static_cast<uint32_t>(index / size.x % size.y),
          static_cast<uint32_t>(index / size.x / size.y)};
}

std::string to_string(gpu::Dim3 d) {
  return fmt::format("({}, {}, {})", d.x, d.y, d.z);
}

bool same(Where a, Where b) {
  return a.line == b.line && (a.file == b.file || std::string_view(a.file) == b.file);
}

}  // namespace

std::string to_string(Where where) {
  return fmt::format("{}:{}", where.file, where.line);
}

std::vector<std::unique_ptr<Fiber>> FiberPool::acquire(size_t count) {
  std::vector<std::unique_ptr<Fiber>> result;
  {
    std::lock_guard lock(pool().mutex);
    while (result.size() < count && !pool().fibers.empty()) {
      result.push_back(std::move(pool().fibers.back()));
      pool().fibers.pop_back();
    }
  }
  while (result.size() < count) result.push_back(std::make_unique<Fiber>());
  return result;
}

void FiberPool::release(std::vector<std::unique_ptr<Fiber>> fibers) {
  constexpr size_t kKept = 4096;
  std::lock_guard lock(pool().mutex);
  for (auto& fiber : fibers)
    if (pool().fibers.size() < kKept) pool().fibers.push_back(std::move(fiber));
}

Block::Block(const Launch& launch, gpu::Dim3 index, const Schedule& schedule)
    : launch_(launch),
      index_(index),
      schedule_(schedule),
      ready_(schedule.order, schedule.seed),
      shared_(launch.shared_bytes),
      threads_(launch.block.count()) {
  fibers_ = FiberPool::acquire(threads_.size());
  meetings_.resize((threads_.size() + 31) / 32);
  live_lanes_.resize(meetings_.size());
  for (size_t i = 0; i < threads_.size(); ++i) {
    threads_[i].index = static_cast<int>(i);
    threads_[i].place = {unflatten(i, launch.block), index, launch.block, launch.grid};
    threads_[i].fiber = fibers_[i].get();
  }
}

Block::~Block() {
  FiberPool::release(std::move(fibers_));
}

Block& Block::current() {
  MICA_CHECK_MSG(current_block != nullptr, "a kernel's function called outside of a kernel");
  return *current_block;
}

void Block::run(const std::function<void()>& body) {
  body_ = &body;
  live_ = static_cast<int>(threads_.size());
  Block* const outer = current_block;
  const emu::ThreadPlace* const outer_place = emu::current_place;
  current_block = this;
  for (Thread& thread : threads_) {
    thread.fiber->start(thread_main, &thread);
    ready_.push(thread.index);
    live_lanes_[static_cast<size_t>(thread.index / 32)] |= 1u << thread.index % 32;
  }
  while (live_ > 0 && !fault_) {
    const int next = ready_.pop();
    if (next < 0) break;
    thread_ = &threads_[static_cast<size_t>(next)];
    emu::current_place = &thread_->place;
    thread_->fiber->resume();
  }
  current_block = outer;
  emu::current_place = outer_place;
  if (fault_) std::rethrow_exception(fault_);
  if (live_ > 0)
    throw Error(ErrorKind::kInternal, "[simt] kernel '{}' block {}: deadlock; {}", launch_.name,
                to_string(index_), standing());
  if (launch_.must_wait && !waited_)
    throw Error(ErrorKind::kInternal,
                "[simt] kernel '{}' block {}: ended without grid_dependency_wait", launch_.name,
                to_string(index_));
  if (const std::string overrun = shared_.overrun(); !overrun.empty())
    throw Error(ErrorKind::kInternal, "[simt] kernel '{}' block {}: {}", launch_.name,
                to_string(index_), overrun);
}

void Block::thread_main(void* argument) {
  auto* thread = static_cast<Thread*>(argument);
  Block& block = *current_block;
  try {
    (*block.body_)();
    if (!thread->copies.empty())
      block.fail(thread->where, "the thread ended before it waited for its cp.async copies");
    block.finish_thread();
  } catch (...) {
    block.fault_ = std::current_exception();
  }
}

void Block::fail(Where where, const std::string& message) const {
  throw Error(ErrorKind::kInternal, "[simt] kernel '{}' block {} thread {}: {}: {}", launch_.name,
              to_string(index_), to_string(thread_->place.thread), to_string(where), message);
}

void Block::make_ready(int thread) {
  idle_yields_ = 0;
  ready_.push(thread);
}

// Returns once another thread has made this one ready.
void Block::wait(const char* what, Where where) {
  Thread& thread = *thread_;
  thread.where = where;
  thread.waits_for = what;
  thread.fiber->suspend();
  thread.waits_for = nullptr;
}

void Block::yield(Where where) {
  Thread& thread = *thread_;
  thread.where = where;
  constexpr int64_t kYieldsPerCheck = 1 << 16;
  if (++idle_yields_ % kYieldsPerCheck == 0) {
    const auto now = std::chrono::steady_clock::now();
    if (idle_yields_ == kYieldsPerCheck) idle_since_ = now;
    if (now - idle_since_ > schedule_.spin_limit)
      fail(where, "waits for what no thread does; " + standing());
  }
  ready_.push(thread.index);
  thread.fiber->suspend();
}

void Block::finish_thread() {
  Thread& thread = *thread_;
  thread.done = true;
  --live_;
  live_lanes_[static_cast<size_t>(thread.index / 32)] &= ~(1u << thread.index % 32);
  idle_yields_ = 0;
  // Exited threads are not waited for.
  const int warp = thread.index / 32;
  for (size_t i = 0; i < meetings_[static_cast<size_t>(warp)].size();)
    if (!finish_meeting(warp, i)) ++i;
  if (Barrier& all = barriers_[0]; all.arrived > 0 && all.arrived >= live_) finish_barrier(all);
}

void Block::finish_barrier(Barrier& barrier) {
  const std::vector<int> waiting = std::move(barrier.waiting);
  barrier = {};
  for (int thread : waiting) make_ready(thread);
}

void Block::sync_threads(Where where) {
  Barrier& barrier = barriers_[0];
  if (barrier.arrived == 0) {
    barrier.where = where;
    barrier.first = thread_->index;
  } else if (!same(barrier.where, where)) {
    fail(where, fmt::format("divergent barrier: this thread is at {}, thread {} waits at {}",
                            to_string(where), place_of(barrier.first), to_string(barrier.where)));
  }
  barrier.waiting.push_back(thread_->index);
  if (++barrier.arrived == live_) finish_barrier(barrier);
  wait("__syncthreads", where);
}

void Block::barrier(int id, int threads, bool wait_here, Where where) {
  if (id < 1 || id > 15) fail(where, fmt::format("barrier {}: expected 1 to 15", id));
  if (threads <= 0 || threads % 32 || static_cast<size_t>(threads) > threads_.size())
    fail(where, fmt::format("barrier {} over {} threads: expected a multiple of 32, at most {}", id,
                            threads, threads_.size()));
  Barrier& barrier = barriers_[static_cast<size_t>(id)];
  if (barrier.arrived == 0) {
    barrier.threads = threads;
    barrier.where = where;
    barrier.first = thread_->index;
    barrier.warp_where.assign(meetings_.size(), Where{});
  }
  if (barrier.threads != threads)
    fail(where,
         fmt::format("barrier {} over {} threads here, over {} where thread {} waits, {}", id,
                     threads, barrier.threads, place_of(barrier.first), to_string(barrier.where)));
  Where& warp_where = barrier.warp_where[static_cast<size_t>(thread_->index / 32)];
  if (warp_where.line == 0) warp_where = where;
  if (!same(warp_where, where))
    fail(where, fmt::format("divergent barrier {}: this thread is at {}, others of its warp at {}",
                            id, to_string(where), to_string(warp_where)));
  if (wait_here) barrier.waiting.push_back(thread_->index);
  if (++barrier.arrived == threads) finish_barrier(barrier);
  if (wait_here) wait("a named barrier", where);
}

void Block::collective(const WarpOperation& operation, uint32_t mask, const void* in, void* out,
                       Where where) {
  const int warp = thread_->index / 32;
  const auto lane = static_cast<size_t>(thread_->index % 32);
  if (!(mask >> lane & 1))
    fail(where, fmt::format("{} with mask {:08x}, which lacks the calling lane {}", operation.name,
                            mask, lane));
  auto& meetings = meetings_[static_cast<size_t>(warp)];
  size_t at = 0;
  while (at < meetings.size() && meetings[at].call.mask != mask) ++at;
  if (at == meetings.size()) meetings.push_back({&operation, {.mask = mask}, thread_->index});
  Meeting& meeting = meetings[at];
  const auto first = static_cast<size_t>(meeting.first % 32);
  if (meeting.operation != &operation || (operation.aligned && meeting.first != thread_->index &&
                                          !same(meeting.call.where[first], where)))
    fail(where, fmt::format("divergent warp: this thread is at {} in {}, thread {} waits at {} "
                            "in {}",
                            operation.name, to_string(where), place_of(meeting.first),
                            meeting.operation->name, to_string(meeting.call.where[first])));
  meeting.call.arrived |= 1u << lane;
  meeting.call.in[lane] = in;
  meeting.call.out[lane] = out;
  meeting.call.where[lane] = where;
  finish_meeting(warp, at);
  wait(operation.name, where);
}

bool Block::finish_meeting(int warp, size_t at) {
  auto& meetings = meetings_[static_cast<size_t>(warp)];
  Meeting& meeting = meetings[at];
  WarpCall& call = meeting.call;
  if ((call.mask & live_lanes_[static_cast<size_t>(warp)]) != call.arrived) return false;
  if (meeting.operation->aligned && call.arrived != 0xffffffffu)
    fail(call.where[static_cast<size_t>(meeting.first % 32)],
         fmt::format("{} without all lanes: only {:08x}", meeting.operation->name, call.arrived));
  meeting.operation->run(call);
  for (int lane = 0; lane < 32; ++lane)
    if (call.arrived >> lane & 1) make_ready(warp * 32 + lane);
  meetings.erase(meetings.begin() + static_cast<std::ptrdiff_t>(at));
  return true;
}

std::string Block::place_of(int thread) const {
  return to_string(threads_[static_cast<size_t>(thread)].place.thread);
}

std::string Block::standing() const {
  const auto describe = [](const Thread& t) {
    if (t.done) return std::string("have ended");
    if (!t.waits_for) return "can run, last at " + to_string(t.where);
    return fmt::format("wait for {} at {}", t.waits_for, to_string(t.where));
  };
  std::string text;
  for (size_t i = 0; i < threads_.size();) {
    const std::string what = describe(threads_[i]);
    size_t end = i + 1;
    while (end < threads_.size() && describe(threads_[end]) == what) ++end;
    text += fmt::format("{}threads {} to {} {}", text.empty() ? "" : "; ", i, end - 1, what);
    i = end;
  }
  return text;
}

}  // namespace mica::simt
