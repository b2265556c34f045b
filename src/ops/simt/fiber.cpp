#include "ops/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#include "base/error.h"
#include "ops/simt/sanitizers.h"
#ifdef MICA_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef MICA_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__) || defined(MICA_SIMT_UCONTEXT)
#define MICA_SIMT_PORTABLE 1
#include <ucontext.h>
#endif

namespace mica::simt {
namespace {

// Sanitizers' frames are several times as large.
#if defined(MICA_ASAN) || defined(MICA_TSAN)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

constinit thread_local Fiber* starting = nullptr;

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

// The function at the bottom of every fiber's stack; never returns.
void run_fiber(Fiber* fiber) {
  fiber->enter();
}

#ifdef MICA_SIMT_PORTABLE

struct Fiber::Context {
  ucontext_t fiber, resumer;

  void prepare(std::byte* stack, size_t bytes) {
    ::getcontext(&fiber);
    fiber.uc_stack.ss_sp = stack;
    fiber.uc_stack.ss_size = bytes;
    fiber.uc_link = nullptr;
    ::makecontext(
        &fiber, [] { run_fiber(starting); }, 0);
  }
  MICA_NO_TSAN void into_fiber() { ::swapcontext(&resumer, &fiber); }
  MICA_NO_TSAN void out_of_fiber() { ::swapcontext(&fiber, &resumer); }
};

#else

// Saves the registers that the System V ABI preserves, and exchanges the stack pointers.
extern "C" void mica_simt_switch(void** save, void* load);
asm(R"(
.text
.globl mica_simt_switch
.type mica_simt_switch, @function
mica_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size mica_simt_switch, .-mica_simt_switch
)");

struct Fiber::Context {
  void* fiber = nullptr;
  void* resumer = nullptr;

  void prepare(std::byte* stack, size_t bytes) {
    // Six registers, the address that `ret` takes, and a null return address for unwinders; the
    // entry sees the stack as after a call, 8 bytes off a multiple of 16.
    auto* top = reinterpret_cast<uint64_t*>(stack + bytes) - 1;
    top[0] = 0;
    top[-1] = reinterpret_cast<uint64_t>(+[] { run_fiber(starting); });
    for (int i = 2; i <= 7; ++i) top[-i] = 0;
    fiber = top - 7;
  }
  MICA_NO_TSAN void into_fiber() { mica_simt_switch(&resumer, fiber); }
  MICA_NO_TSAN void out_of_fiber() { mica_simt_switch(&fiber, resumer); }
};

#endif

Fiber::Fiber() : context_(new Context) {
  const size_t bytes = page_bytes() + kStackBytes;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    delete context_;
    throw Error(ErrorKind::kOutOfMemory, "[simt] no memory for a fiber's stack of {} bytes", bytes);
  }
  memory_ = static_cast<std::byte*>(memory);
  stack_ = memory_ + page_bytes();
  ::mprotect(memory_, page_bytes(), PROT_NONE);
#ifdef MICA_TSAN
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#ifdef MICA_TSAN
  __tsan_destroy_fiber(tsan_fiber_);
#endif
  unpoison(stack_, kStackBytes);
  ::munmap(memory_, page_bytes() + kStackBytes);
  delete context_;
}

void Fiber::start(void (*entry)(void*), void* argument) {
  if (!done_) {
    unpoison(stack_, kStackBytes);  // frames of the unfinished run
#ifdef MICA_TSAN
    __tsan_destroy_fiber(tsan_fiber_);
    tsan_fiber_ = __tsan_create_fiber(0);
#endif
  }
  entry_ = entry;
  argument_ = argument;
  done_ = false;
  own_shadow_ = nullptr;
  context_->prepare(stack_, kStackBytes);
}

MICA_NO_TSAN void Fiber::enter() {
  after_switch(true);
  entry_(argument_);
  done_ = true;
  before_switch(false, true);
  context_->out_of_fiber();
}

MICA_NO_TSAN void Fiber::resume() {
  starting = this;
  before_switch(true, false);
  context_->into_fiber();
  after_switch(false);
}

MICA_NO_TSAN void Fiber::suspend() {
  before_switch(false, false);
  context_->out_of_fiber();
  after_switch(true);
}

MICA_NO_TSAN void Fiber::before_switch([[maybe_unused]] bool into_fiber,
                                       [[maybe_unused]] bool last) {
#ifdef MICA_ASAN
  if (into_fiber)
    __sanitizer_start_switch_fiber(&resumer_shadow_, stack_, kStackBytes);
  else
    __sanitizer_start_switch_fiber(last ? nullptr : &own_shadow_, resumer_stack_,
                                   resumer_stack_size_);
#endif
#ifdef MICA_TSAN
  if (into_fiber) tsan_resumer_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(into_fiber ? tsan_fiber_ : tsan_resumer_, 0);
#endif
}

MICA_NO_TSAN void Fiber::after_switch([[maybe_unused]] bool in_fiber) {
#ifdef MICA_ASAN
  if (in_fiber)
    __sanitizer_finish_switch_fiber(own_shadow_, &resumer_stack_, &resumer_stack_size_);
  else
    __sanitizer_finish_switch_fiber(resumer_shadow_, nullptr, nullptr);
#endif
}

}  // namespace mica::simt
