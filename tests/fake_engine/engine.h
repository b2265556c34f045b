// The scripted engine: an HTTP server that answers as a script says, on time.
//
//   FakeEngine engine(script);
//   engine.start();            // on a thread of its own
//   Client client({.url = engine.url()});
//
// Faults that end a process (crash, exit) are for the program fake_engine (process.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fake_engine/script.h"
#include "fake_engine/truth.h"

namespace mica::fake {

class FakeEngine {
 public:
  // Takes the port at once and listens at start.listen_ms. Throws Error(kUsage).
  explicit FakeEngine(const Script& script);
  ~FakeEngine();  // stops
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;

  uint16_t port() const;
  std::string url() const;
  void start();
  void run();   // on this thread, until stop()
  void stop();  // from any thread

  std::vector<Truth> truths() const;
  int64_t connections() const;  // accepted so far
  int64_t cache_resets() const;
  // Shown on /fake/timeline, with which the program was started.
  void arguments(std::vector<std::string> argv);

  struct Impl;  // engine_state.h

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace mica::fake
