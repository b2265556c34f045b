// A stackful coroutine on its own stack: assembly on x86-64, ucontext elsewhere. It is resumed by
// one OS thread at a time, and never moves to another before it is done.
#pragma once

#include <cstddef>

namespace mica::simt {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the next resume() call entry(argument) on an empty stack. What an earlier, unfinished run
  // left there is dropped without destructors. `entry` must not throw.
  void start(void (*entry)(void*), void* argument);
  void resume();   // until suspend() or the end of entry
  void suspend();  // within the fiber: back into resume()
  bool done() const { return done_; }

 private:
  friend void run_fiber(Fiber* fiber);
  struct Context;  // of the machine

  void enter();  // first code on the fiber's stack
  void before_switch(bool into_fiber, bool last);
  void after_switch(bool in_fiber);

  Context* context_;
  std::byte* memory_;  // guard page, then the stack
  std::byte* stack_;   // lowest byte
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool done_ = true;
  // Sanitizers' views of the two stacks.
  void* own_shadow_ = nullptr;
  void* resumer_shadow_ = nullptr;
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_size_ = 0;
  void* tsan_fiber_ = nullptr;
  void* tsan_resumer_ = nullptr;
};

}  // namespace mica::simt
