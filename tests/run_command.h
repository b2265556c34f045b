// Runs a command of the program inside a test, as `main` does.
#pragma once

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"

namespace mica {

// What it printed on standard error and on standard output, its error, then " [exit status]".
inline std::string run_command(CLI::App& app, std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int status = 0;
  std::string error;
  try {
    app.parse(std::move(words));
  } catch (const Ending& ending) {
    status = ending.status;
  } catch (const Error& problem) {
    error = problem.what();
    status = exit_status(problem.kind());
  }
  std::fflush(stdout);
  const std::string told = testing::internal::GetCapturedStderr();
  return told + testing::internal::GetCapturedStdout() + error + fmt::format(" [{}]", status);
}

}  // namespace mica
