// Why an engine is not to be had: what happened, in which phase, and what the engine said.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "bench/launch/engine_process.h"

namespace mica {

// In order. Each has its time and its deadline.
enum class LaunchPhase {
  kPrepare,     // free port, Docker, image
  kPort,        // the process lives, until its port is open
  kIdentity,    // until the right service answers there
  kModel,       // until its list of models has the one that is wanted
  kFirstToken,  // until it has generated a token
  kRunning,     // afterwards
};
const char* name(LaunchPhase phase);  // "prepare", "port", "identity", "model", "first_token", …

struct PhaseTime {
  LaunchPhase phase = LaunchPhase::kPrepare;
  double seconds = 0;
};

enum class LaunchProblem {
  kNoProgram,         // not found, not executable
  kPortTaken,         // before the start
  kDockerMissing,     // no such program
  kDockerDaemon,      // it does not answer
  kDockerPermission,  // this user may not
  kDockerGpus,        // containers can't have GPUs
  kImagePull,
  kImageBuild,
  kContainerStart,      // docker run refused: exit 125 to 127
  kDied,                // the engine ended
  kPortDeadline,        // lives, opened no port
  kNoHttp,              // the port is open and does not speak HTTP
  kWrongService,        // somebody else answers
  kHealthDeadline,      // the right service, never healthy
  kModelMissing,        // it serves others
  kFirstTokenDeadline,  // ready by its word, and no token came
  kFirstTokenRefused,   // it answered with an error
  kUnauthorized,        // it wants another key
  kUnreachable,         // attach: nobody answers at the URL
  kInterrupted,
};
const char* name(LaunchProblem problem);  // "no_program", "port_taken", …

struct LaunchFailure {
  LaunchProblem problem = LaunchProblem::kDied;
  LaunchPhase phase = LaunchPhase::kPrepare;
  ErrorKind kind = ErrorKind::kBackend;  // the device's fault where the log says so
  std::string what;                      // one sentence: found, expected
  std::string cause, advice;             // of a recognised failure
  std::string evidence;                  // its line of the log
  std::vector<std::string> notes;        // further facts: GPU use, out-of-memory killer
  std::vector<std::string> tail;         // of the log
  std::string log;                       // file
  bool ended = false;                    // with `end`
  ProcessEnd end;
  std::vector<PhaseTime> phases;  // up to the failure, the phase that failed among them
};
std::string describe(const LaunchFailure& failure);  // several lines, as the user reads it

class LaunchError : public Error {
 public:
  explicit LaunchError(LaunchFailure failure)
      : Error(failure.kind, describe(failure)), failure_(std::move(failure)) {}
  const LaunchFailure& failure() const { return failure_; }

 private:
  LaunchFailure failure_;
};

}  // namespace mica
