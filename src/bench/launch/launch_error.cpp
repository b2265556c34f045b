#include "bench/launch/launch_error.h"

#include <algorithm>

namespace mica {

const char* name(LaunchPhase phase) {
  switch (phase) {
    case LaunchPhase::kPrepare: return "prepare";
    case LaunchPhase::kPort: return "port";
    case LaunchPhase::kIdentity: return "identity";
    case LaunchPhase::kModel: return "model";
    case LaunchPhase::kFirstToken: return "first_token";
    case LaunchPhase::kRunning: return "running";
  }
  MICA_CHECK(false);
}

const char* name(LaunchProblem problem) {
  switch (problem) {
    case LaunchProblem::kNoProgram: return "no_program";
    case LaunchProblem::kPortTaken: return "port_taken";
    case LaunchProblem::kDockerMissing: return "docker_missing";
    case LaunchProblem::kDockerDaemon: return "docker_daemon";
    case LaunchProblem::kDockerPermission: return "docker_permission";
    case LaunchProblem::kDockerGpus: return "docker_gpus";
    case LaunchProblem::kImagePull: return "image_pull";
    case LaunchProblem::kImageBuild: return "image_build";
    case LaunchProblem::kContainerStart: return "container_start";
    case LaunchProblem::kDied: return "died";
    case LaunchProblem::kPortDeadline: return "port_deadline";
    case LaunchProblem::kNoHttp: return "no_http";
    case LaunchProblem::kWrongService: return "wrong_service";
    case LaunchProblem::kHealthDeadline: return "health_deadline";
    case LaunchProblem::kModelMissing: return "model_missing";
    case LaunchProblem::kFirstTokenDeadline: return "first_token_deadline";
    case LaunchProblem::kFirstTokenRefused: return "first_token_refused";
    case LaunchProblem::kUnauthorized: return "unauthorized";
    case LaunchProblem::kUnreachable: return "unreachable";
    case LaunchProblem::kInterrupted: return "interrupted";
  }
  MICA_CHECK(false);
}

std::string describe(const LaunchFailure& failure) {
  constexpr size_t kTailLines = 15;
  std::string text = fmt::format("[launch] {}: {}", name(failure.phase), failure.what);
  const auto add = [&](const char* label, const std::string& line) {
    if (!line.empty()) text += fmt::format("\n  {}{}", label, line);
  };
  if (failure.ended) add("ended: ", describe(failure.end));
  add("cause: ", failure.cause);
  add("shown by: ", failure.evidence);
  add("try: ", failure.advice);
  for (const std::string& note : failure.notes) add("", note);
  const auto& tail = failure.tail;
  const size_t shown = std::min(kTailLines, tail.size());
  if (shown > 0) text += "\n  its last lines:";
  for (size_t i = tail.size() - shown; i < tail.size(); ++i) text += "\n  | " + tail[i];
  add("log: ", failure.log);
  return text;
}

}  // namespace mica
