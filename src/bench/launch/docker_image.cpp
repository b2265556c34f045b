// Pulling and building, which take minutes and say how far they are.
#include <algorithm>
#include <filesystem>
#include <mutex>

#include "bench/launch/docker.h"
#include "bench/launch/known_failures.h"

namespace mica {
namespace {

using Words = std::vector<std::string>;

struct Followed {
  ProcessEnd end;
  Words tail;
  std::optional<RecognisedFailure> recognised;
};

LaunchError failed(LaunchProblem problem, const std::string& what, const Followed& run) {
  LaunchFailure failure;
  failure.problem = problem;
  failure.what = what;
  failure.tail = run.tail;
  failure.ended = true;
  failure.end = run.end;
  if (run.recognised) {
    failure.cause = run.recognised->failure->meaning;
    failure.advice = run.recognised->failure->advice;
    failure.evidence = run.recognised->line;
  }
  return LaunchError(std::move(failure));
}

// Runs to the end, its lines passed on.
Followed follow(const Words& argv, const Docker::Line& progress, std::stop_token stop) {
  FailureWatch watch("docker");
  LogOptions options;
  options.ring_lines = 20;
  options.on_line = [&](std::string_view line) {
    watch.look(line);
    if (progress && !line.empty()) progress(std::string(line));
  };
  LogPump pump(options);
  EngineProcess process({argv, {}, "", /*dies_with_thread=*/true}, pump);
  std::optional<ProcessEnd> end;
  while (!(end = process.wait(std::chrono::milliseconds(100))))
    if (stop.stop_requested()) {
      LaunchFailure failure;
      failure.problem = LaunchProblem::kInterrupted;
      failure.kind = ErrorKind::kInterrupted;
      failure.what = fmt::format("interrupted during '{} {}'", argv[0], argv[1]);
      throw LaunchError(std::move(failure));
    }
  process.stop({});
  pump.stop();
  return {*end, pump.tail(options.ring_lines), watch.best()};
}

}  // namespace

ImageFacts Docker::pull(const std::string& name, const Line& progress, std::stop_token stop) const {
  const Followed run = follow({program_, "pull", name}, progress, stop);
  if (run.end.status != 0)
    throw failed(LaunchProblem::kImagePull, fmt::format("image '{}' could not be pulled", name),
                 run);
  if (const auto facts = image(name)) return *facts;
  throw failed(LaunchProblem::kImagePull,
               fmt::format("image '{}' was pulled and is not there", name), run);
}

ImageFacts Docker::build(const std::string& name, const std::string& context, const Line& progress,
                         std::stop_token stop) const {
  std::error_code ignored;
  if (!std::filesystem::is_directory(context, ignored))
    throw failed(LaunchProblem::kImageBuild,
                 fmt::format("image '{}': its folder '{}' does not exist", name, context), {});
  const Followed run =
      follow({program_, "build", "--progress", "plain", "--tag", name, context}, progress, stop);
  if (run.end.status != 0)
    throw failed(LaunchProblem::kImageBuild,
                 fmt::format("image '{}' could not be built from '{}'", name, context), run);
  if (const auto facts = image(name)) return *facts;
  throw failed(LaunchProblem::kImageBuild,
               fmt::format("image '{}' was built and is not there", name), run);
}

}  // namespace mica
