// The scripted engine as a program: fake_engine [--script FILE] [--set path=value]… [ANYTHING].
// See README.md.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "fake_engine/engine.h"
#include "fake_engine/failures.h"

namespace mica::fake {
namespace {

using Json = nlohmann::json;

Json read_json(const std::string& path) {
  const std::string text = read_text_file(path);
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false, /*ignore_comments=*/true);
  if (!json.is_object())
    throw Error(ErrorKind::kUsage, "[fake_engine] {}: expected a JSON object", path);
  return json;
}

// "--name value" and "--name=value"; false when argv[i] is another one.
bool takes(const std::vector<std::string>& argv, size_t& i, const std::string& name,
           std::string& value) {
  if (argv[i].starts_with(name + "=")) {
    value = argv[i].substr(name.size() + 1);
    return true;
  }
  if (argv[i] != name || i + 1 >= argv.size()) return false;
  value = argv[++i];
  return true;
}

// What it does not know is an argument of the engine that it stands for.
Script script_of(const std::vector<std::string>& argv) {
  Json json = Json::object();
  if (const char* path = std::getenv("MICA_FAKE_SCRIPT")) json = read_json(path);
  std::vector<std::string> changes;
  std::string value;
  for (size_t i = 1; i < argv.size(); ++i) {
    if (takes(argv, i, "--script", value)) {
      json = read_json(value);
    } else if (takes(argv, i, "--set", value)) {
      changes.push_back(value);
    } else if (takes(argv, i, "--port", value)) {
      changes.push_back("port=" + value);
    } else if (takes(argv, i, "--model-name", value)) {
      changes.push_back("model=\"" + value + "\"");
    } else if (takes(argv, i, "--host", value)) {
      if (value != "localhost") changes.push_back("host=\"" + value + "\"");
    }
  }
  for (const std::string& change : changes) set_member(json, change);
  return read_script(json);
}

void write_log(const Start& start) {
  std::vector<std::string> lines = start.log;
  if (!start.failure.empty())
    for (const std::string& line : failure_log(start.failure)) lines.push_back(line);
  for (const std::string& line : lines) {
    std::fprintf(stderr, "%s\n", line.c_str());
    if (start.log_line_ms > 0) std::this_thread::sleep_for(milliseconds(start.log_line_ms));
  }
  const std::string filler(199, '.');
  for (int64_t written = 0; written < start.log_bytes; written += 200)
    std::fprintf(stderr, "%s\n", filler.c_str());
  if (!start.failure.empty()) ::_exit(static_cast<int>(start.exit_status));
}

void start_children(int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (::fork() == 0)
      while (true) ::pause();
}

void run(const std::vector<std::string>& argv) {
  const Script script = script_of(argv);
  if (script.start.ignore_sigterm) {
    ::signal(SIGTERM, SIG_IGN);
    ::signal(SIGINT, SIG_IGN);
  }
  start_children(script.start.children);
  FakeEngine engine(script);
  engine.arguments(argv);
  std::printf("fake_engine: %s at %s\n", name(script.dialect), engine.url().c_str());
  std::fflush(stdout);
  // It may block for ever on a pipe that nobody reads; the server goes on.
  std::thread([start = script.start] { write_log(start); }).detach();
  engine.run();
}

}  // namespace
}  // namespace mica::fake

int main(int argc, char** argv) {
  try {
    mica::fake::run({argv, argv + argc});
  } catch (const mica::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return mica::exit_status(error.kind());
  }
}
