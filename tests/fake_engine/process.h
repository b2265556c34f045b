// The program fake_engine in a process of its own, for tests.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mica::fake {

class FakeProcess {
 public:
  // script: as in README.md. Waits until it says its port. Throws std::runtime_error.
  explicit FakeProcess(const nlohmann::json& script, const std::vector<std::string>& more = {});
  ~FakeProcess();  // SIGKILL
  FakeProcess(const FakeProcess&) = delete;
  FakeProcess& operator=(const FakeProcess&) = delete;

  // Beside the program that asks, where CMake puts both.
  static std::string program();

  uint16_t port() const { return port_; }
  std::string url() const { return url_; }
  pid_t pid() const { return pid_; }
  // Waits for its end: its exit status, 128 + signal.
  int wait();

 private:
  pid_t pid_ = -1;
  int status_ = -1;
  uint16_t port_ = 0;
  std::string url_;
};

}  // namespace mica::fake
