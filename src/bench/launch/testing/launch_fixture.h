// For tests of launches: plans for the scripted engine, fakes of Docker, NVML and nvidia-smi.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "bench/launch/launcher.h"
#include "bench/plan/plan.h"
#include "temp_folder.h"

namespace mica {

using Words = std::vector<std::string>;

std::filesystem::path testing_folder();  // src/bench/launch/testing
uint16_t unused_port();
void write_program(const std::filesystem::path& path, const std::string& script);
std::string text_of(const std::filesystem::path& path);  // "" when it can't be read

// The scripted engine (tests/fake_engine) on a port of its own, its script changed by these
// "path=value".
LaunchPlan process_plan(const Words& script = {});
LaunchPlan attach_plan(uint16_t port);

// Processes that carry this launch's mark, or any launch's of this test program when empty.
std::vector<ProcessFacts> marked(const std::string& run);

class LaunchTest : public testing::Test {
 protected:
  LaunchTest();
  ~LaunchTest() override;

  // Fast, with fakes that see no GPU.
  LaunchOptions options() const;
  // The failure of a launch that must fail.
  static LaunchFailure failure_of(const LaunchPlan& plan, const LaunchOptions& options);
  // Nothing runs and no record is left.
  void expect_nothing_left(const std::string& run = "") const;

  std::filesystem::path root() const { return folder_.path(); }
  std::filesystem::path state() const { return root() / "state"; }
  std::filesystem::path docker() const { return root() / "docker"; }
  std::filesystem::path docker_home() const { return root() / "docker-home"; }

  // A container of the scripted engine.
  LaunchPlan docker_plan(const Words& script = {}) const;
  void docker_says(const std::string& file, const std::string& text) const;
  std::vector<std::string> docker_calls() const;  // a JSON list each
  void gpus_say(const std::string& text) const;   // the state of fake_nvml.cpp

 private:
  TempFolder folder_;
};

}  // namespace mica
