#include "bench/run/live_view.h"

#include <gtest/gtest.h>

#include <sstream>

namespace mica {
namespace {

// What a terminal shows after what was written: the two sequences that the view uses.
std::string screen_of(const std::string& written) {
  std::vector<std::string> lines = {""};
  for (size_t i = 0; i < written.size(); ++i) {
    if (written[i] == '\x1b') {
      const size_t end = written.find_first_of("AJ", i);
      if (written[end] == 'A')
        lines.resize(lines.size() -
                     static_cast<size_t>(std::stoi(written.substr(i + 2, end - i - 2))));
      else
        lines.back().clear();
      if (written[end] == 'A') lines.back().clear();
      i = end;
    } else if (written[i] == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += written[i];
    }
  }
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

RequestSample record(double ttft, double end, int64_t tokens) {
  RequestSample out;
  out.status = RequestStatus::kOk;
  out.sent = 0;
  out.first_token = ttft;
  out.last_token = out.ended = end;
  out.completion_tokens = tokens;
  return out;
}

using Kind = MatrixProgress::Kind;

TEST(LiveView, ATerminalSeesOneBlockAndWhatStays) {
  std::string written;
  double now = 0;
  {
    LiveView view({.terminal = true,
                   .width = 60,
                   .write = [&](const std::string& text) { written += text; },
                   .now = [&] { return now; },
                   .runs = 2});
    view.take({.kind = Kind::kStep, .backend = "vllm", .text = "loading"});
    for (int i = 0; i < 9; ++i)
      view.take(
          {.kind = Kind::kLog, .backend = "vllm", .text = "line \x1b[2J" + std::to_string(i)});
    now = 5;
    view.take({.kind = Kind::kStep, .backend = "vllm", .text = "closed:8"});
    const RequestSample answer = record(0.1, 2.1, 21);
    now = 7;
    view.take(
        {.kind = Kind::kRequest, .backend = "vllm", .record = &answer, .done = 3, .total = 12});
    EXPECT_EQ(screen_of(written),
              "00:07 vllm · closed:8 · run 1 of 2\n"
              "  [######..................] 3/12\n"
              "  last 2 s: 10 tokens/s, TTFT 100 ms, TPOT 100 ms\n"
              "  | line ?[2J4\n  | line ?[2J5\n  | line ?[2J6\n  | line ?[2J7\n  | line ?[2J8\n\n");
    RunRecord run;
    run.plan.backend = "vllm";
    run.plan.profile = "fast";
    run.provenance.model.id = "Qwen/Qwen3-8B";
    run.workload.name = "synthetic 512+128";
    run.workload.arrivals = "closed:8";
    run.state = RunState::kFinished;
    run.marks = {{Severity::kWarning, "drift", "it grew"}, {Severity::kNote, "x", "unseen"}};
    view.take({.kind = Kind::kRun, .backend = "vllm", .run = &run});
  }
  EXPECT_EQ(screen_of(written),
            "00:07 vllm Qwen3-8B fast · synthetic 512+128, closed:8: 0 of 0 requests\n"
            "    warning: drift: it grew\n\n");
}

TEST(LiveView, LinesOfTheLogWhereTheyAreWanted) {
  std::string written;
  LiveView view({.show_log = true,
                 .write = [&](const std::string& text) { written += text; },
                 .now = [] { return 0.0; }});
  view.take({.kind = Kind::kLog, .backend = "vllm", .text = "loading\x1b[2J"});
  EXPECT_EQ(written, "[vllm] loading?[2J\n");
}

TEST(LiveView, AFileGetsLinesAlone) {
  std::string written;
  double now = 0;
  LiveView view(
      {.write = [&](const std::string& text) { written += text; }, .now = [&] { return now; }});
  view.take({.kind = Kind::kStep, .backend = "mica", .text = "warm-up"});
  const RequestSample answer = record(0.05, 1, 2);
  for (int i = 0; i < 25; ++i) {
    now += 1;
    view.take(
        {.kind = Kind::kRequest, .backend = "mica", .record = &answer, .done = i + 1, .total = 25});
  }
  view.take({.kind = Kind::kProblem, .backend = "mica", .text = "it died"});
  EXPECT_EQ(written.find('\x1b'), std::string::npos);
  EXPECT_EQ(written,
            "00:00 mica: warm-up\n"
            "00:10 mica: 10 of 25; last 10 s: 2 tokens/s, TTFT 50.0 ms, TPOT 950 ms\n"
            "00:20 mica: 20 of 25; last 10 s: 2 tokens/s, TTFT 50.0 ms, TPOT 950 ms\n"
            "00:25 mica: it died\n");
}

}  // namespace
}  // namespace mica
