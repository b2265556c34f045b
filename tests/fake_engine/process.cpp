#include "fake_engine/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

extern char** environ;

namespace mica::fake {
namespace {

// The first line of its output: "fake_engine: vllm at http://127.0.0.1:41234".
std::string first_line(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

std::string write_script(const nlohmann::json& script) {
  std::string path = (std::filesystem::temp_directory_path() / "fake-engine-XXXXXX").string();
  const int fd = ::mkstemp(path.data());
  if (fd < 0) throw std::runtime_error("can't make a file for the script");
  ::close(fd);
  std::ofstream(path) << script.dump();
  return path;
}

pid_t spawn(const std::vector<std::string>& words, int out) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("can't start " + words[0]);
  return pid;
}

}  // namespace

std::string FakeProcess::program() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fake_engine").string();
}

FakeProcess::FakeProcess(const nlohmann::json& script, const std::vector<std::string>& more) {
  const std::string file = write_script(script);
  std::vector<std::string> words = {program(), "--script", file};
  words.insert(words.end(), more.begin(), more.end());
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  pid_ = spawn(words, pipe[1]);
  ::close(pipe[1]);
  const std::string line = first_line(pipe[0]);
  ::close(pipe[0]);
  std::filesystem::remove(file);
  const size_t at = line.find(" at "), colon = line.rfind(':');
  if (at == std::string::npos || colon == std::string::npos) {
    wait();
    throw std::runtime_error("fake_engine did not start: " + line);
  }
  url_ = line.substr(at + 4);
  port_ = static_cast<uint16_t>(std::stoi(line.substr(colon + 1)));
}

FakeProcess::~FakeProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  wait();
}

int FakeProcess::wait() {
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, 0) == pid_) {
    pid_ = -1;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return status_;
}

}  // namespace mica::fake
