// Pulling and building, which take minutes and say how far they are.
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "bench/launch/docker.h"
#include "bench/launch/known_failures.h"

namespace mica {
namespace {

namespace fs = std::filesystem;
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

bool is_url(const std::string& text) {
  return text.find("://") != std::string::npos || text.starts_with("git@");
}

// The Dockerfile's text as a file, and an empty folder for a build that needs no context.
class BuildFiles {
 public:
  BuildFiles(const ImageBuild& build, const std::string& name) : context_(build.context) {
    std::error_code ignored;
    if (!context_.empty() && !is_url(context_) && !fs::is_directory(context_, ignored))
      throw failed(LaunchProblem::kImageBuild,
                   fmt::format("image '{}': its folder '{}' does not exist", name, context_), {});
    std::string pattern = (fs::temp_directory_path() / "mica-build-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
      throw Error(ErrorKind::kUsage, "[launch] {}: can't be made", pattern);
    folder_ = pattern;
    fs::create_directory(folder_ / "context");
    if (context_.empty()) context_ = (folder_ / "context").string();
    if (!build.dockerfile.empty()) write_text_file(dockerfile(), build.dockerfile);
  }
  ~BuildFiles() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  BuildFiles(const BuildFiles&) = delete;
  BuildFiles& operator=(const BuildFiles&) = delete;

  const std::string& context() const { return context_; }
  std::string dockerfile() const { return (folder_ / "Dockerfile").string(); }

 private:
  std::string context_;
  fs::path folder_;
};

// Runs to the end, its lines passed on.
Followed follow(ProcessSpec spec, const Docker::Line& progress, std::stop_token stop) {
  FailureWatch watch("docker");
  LogOptions options;
  options.ring_lines = 20;
  options.on_line = [&](std::string_view line) {
    watch.look(line);
    if (progress && !line.empty()) progress(std::string(line));
  };
  LogPump pump(options);
  spec.dies_with_thread = true;
  EngineProcess process(spec, pump);
  std::optional<ProcessEnd> end;
  while (!(end = process.wait(std::chrono::milliseconds(100))))
    if (stop.stop_requested()) {
      LaunchFailure failure;
      failure.problem = LaunchProblem::kInterrupted;
      failure.what = fmt::format("interrupted during 'docker {}'", spec.argv[1]);
      throw LaunchError(std::move(failure));
    }
  process.stop({});
  pump.stop();
  return {*end, pump.tail(options.ring_lines), watch.best()};
}

}  // namespace

ImageFacts Docker::pull(const std::string& name, const Line& progress, std::stop_token stop) const {
  const Followed run = follow({.argv = {program_, "pull", name}}, progress, stop);
  if (run.end.status != 0)
    throw failed(LaunchProblem::kImagePull, fmt::format("image '{}' could not be pulled", name),
                 run);
  if (const auto facts = image(name)) return *facts;
  throw failed(LaunchProblem::kImagePull,
               fmt::format("image '{}' was pulled and is not there", name), run);
}

ImageFacts Docker::build(const std::string& name, const ImageBuild& build, bool anew,
                         const Line& progress, std::stop_token stop) const {
  const BuildFiles files(build, name);
  ProcessSpec spec;
  spec.argv = {program_, "build", "--progress", "plain", "--tag", name};
  if (anew) spec.argv.insert(spec.argv.end(), {"--no-cache", "--pull"});
  for (const ImageBuild::Argument& argument : build.arguments) {
    spec.argv.push_back("--build-arg");
    spec.argv.push_back(argument.secret ? argument.name : argument.name + "=" + argument.value);
    if (argument.secret) spec.environment.emplace_back(argument.name, argument.value);
  }
  if (!build.dockerfile.empty()) {
    spec.argv.insert(spec.argv.end(), {"--file", "-"});
    spec.input = files.dockerfile();
  } else if (!build.file.empty()) {
    // Of a folder by its path here, of a repository by that in it.
    const bool remote = is_url(build.context);
    spec.argv.insert(
        spec.argv.end(),
        {"--file", remote ? build.file : (fs::path(build.context) / build.file).string()});
  }
  spec.argv.push_back(files.context());
  const Followed run = follow(spec, progress, stop);
  if (run.end.status != 0)
    throw failed(LaunchProblem::kImageBuild, fmt::format("image '{}' could not be built", name),
                 run);
  if (const auto facts = image(name)) return *facts;
  throw failed(LaunchProblem::kImageBuild,
               fmt::format("image '{}' was built and is not there", name), run);
}

}  // namespace mica
