// What a person sees while a matrix runs: one line that stays for each step and run, and, on a
// terminal, a block below that is drawn anew: progress, current figures, the tail of the log.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>

#include "bench/run/matrix.h"

namespace mica {

struct LiveViewOptions {
  bool terminal = false;
  bool show_log = false;                   // every line of the engines' logs stays
  int width = 80;                          // columns
  std::function<void(std::string)> write;  // where it goes
  std::function<double()> now;             // seconds; the steady clock when empty
  int64_t runs = 0;                        // that are expected; 0 = not known
};

// Thread-safe as MatrixSink is called: from several threads, one at a time.
class LiveView {
 public:
  explicit LiveView(LiveViewOptions options);
  ~LiveView();  // clears the block

  void take(const MatrixProgress& progress);
  void clear();

 private:
  void add_record(const RequestSample& record);
  void stay(const std::string& line);  // above the block
  void draw(bool now);
  std::string block();
  std::string figures() const;
  std::string fit(const std::string& line) const;

  const LiveViewOptions options_;
  const double began_;
  double drawn_ = -1;  // when
  int lines_ = 0;      // of the block on the screen
  std::string backend_, step_;
  int64_t done_ = 0, total_ = 0, failed_ = 0, runs_ = 0;
  double step_began_ = 0;
  struct Recent {
    double time, ttft, tpot;
    int64_t tokens;
  };
  std::deque<Recent> recent_;  // of the last seconds
  std::deque<std::string> log_;
};

// "vllm · synthetic 512+128, closed:8: 812 tokens/s, TTFT 132 ms, TPOT 21.4 ms, 80 of 80 requests".
std::string one_line(const RunRecord& run);

}  // namespace mica
