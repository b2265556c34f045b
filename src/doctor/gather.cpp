#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <sstream>

#include "base/error.h"
#include "base/process.h"
#include "doctor/facts.h"
#include "doctor/storage.h"

namespace mica::doctor {
namespace {

namespace fs = std::filesystem;

constexpr double kToolSeconds = 2;
constexpr uint16_t kPorts[] = {8080, 8000};  // of Mica and llama.cpp; of vLLM and others

// The word behind `before` up to a character that no version holds.
std::string word_after(const std::string& text, const std::string& before) {
  const size_t at = text.find(before);
  if (at == std::string::npos) return "";
  const size_t begin = at + before.size();
  return text.substr(begin, text.find_first_of(", \n", begin) - begin);
}

// The first line that is not blank.
std::string first_line(const std::string& text) {
  const size_t begin = std::min(text.find_first_not_of(" \n"), text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
}

void read_nvcc(const ProcessResult& result, ToolFacts& tools) {
  tools.nvcc_version = word_after(result.output, "release ");
  if (!result.ok()) tools.nvcc.clear();
}

// "27.3.1 io.containerd.runc.v2 nvidia runc "
void read_docker(const ProcessResult& result, const fs::path& root, ToolFacts& tools) {
  if (!result.ok()) {
    tools.docker_error = result.timed_out ? "it does not answer" : first_line(result.output);
    if (tools.docker_error.empty())
      tools.docker_error = fmt::format("docker info ended with {}", result.status);
    return;
  }
  std::istringstream words(first_line(result.output));
  words >> tools.docker_version;
  for (std::string word; words >> word;) tools.docker_runtimes.push_back(word);
  std::error_code ignored;
  tools.nvidia_runtime = std::find(tools.docker_runtimes.begin(), tools.docker_runtimes.end(),
                                   "nvidia") != tools.docker_runtimes.end() ||
                         fs::exists(root / "etc/cdi/nvidia.yaml", ignored) ||
                         fs::exists(root / "var/run/cdi/nvidia.yaml", ignored);
}

std::string usual_programs() {
  const char* path = std::getenv("PATH");
  return std::string(path ? path : "") + ":/usr/local/cuda/bin:/usr/local/bin:/usr/bin";
}

bool is_gpu_name(const std::string& word) {
  return word.size() > 3 && word.starts_with("GPU") &&
         std::all_of(word.begin() + 3, word.end(), [](unsigned char c) { return std::isdigit(c); });
}

// Without the escape sequences that underline the heading.
std::string plain(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b')
      while (i < text.size() && text[i] != 'm') ++i;
    else
      out += text[i];
  }
  return out;
}

}  // namespace

std::vector<std::vector<std::string>> parse_matrix(const std::string& text,
                                                   std::vector<std::string>& names) {
  std::vector<std::vector<std::string>> matrix;
  std::istringstream lines(plain(text));
  names.clear();
  for (std::string line; std::getline(lines, line);) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    if (words.empty() || !is_gpu_name(words[0])) continue;
    if (names.empty()) {  // the heading: GPU0 GPU1 NIC0 CPU Affinity …
      for (const std::string& word : words)
        if (is_gpu_name(word)) names.push_back(word);
      continue;
    }
    if (words.size() <= names.size()) continue;
    matrix.emplace_back(words.begin() + 1, words.begin() + 1 + static_cast<long>(names.size()));
  }
  if (matrix.size() != names.size()) matrix.clear();
  return matrix;
}

MachineFacts gather(const std::string& version, const GatherPaths& paths) {
  MachineFacts facts;
  const fs::path& root = paths.gpu.root;
  const std::string programs = paths.programs.empty() ? usual_programs() : paths.programs;
  facts.version = version;
  facts.kernel = kernel_release();
  facts.build = gpu::gpu_build();
  facts.cpu = read_cpu();
  facts.memory = read_memory(root);
  facts.limits = read_limits(root);
  facts.gpu = gpu::probe_gpus(paths.gpu);

  // All of these at once.
  facts.tools.nvcc = find_program("nvcc", programs).string();
  facts.tools.docker = find_program("docker", programs).string();
  const std::string& smi = facts.gpu.smi.path;
  const bool several = facts.gpu.gpus.size() > 1 && !smi.empty();
  ChildProcess nvcc = ChildProcess::program({facts.tools.nvcc, "--version"}, kToolSeconds);
  ChildProcess docker = ChildProcess::program(
      {facts.tools.docker, "info", "--format",
       "{{.ServerVersion}} {{range $name, $_ := .Runtimes}}{{$name}} {{end}}"},
      kToolSeconds);
  std::vector<ChildProcess> publishers;
  for (const uint16_t port : kPorts)
    publishers.push_back(
        ChildProcess::program({facts.tools.docker, "ps", "--filter",
                               fmt::format("publish={}", port), "--format", "{{.Names}}"},
                              kToolSeconds));
  ChildProcess links = ChildProcess::program({several ? smi : "", "topo", "-m"}, kToolSeconds);
  ChildProcess peers =
      ChildProcess::program({several ? smi : "", "topo", "-p2p", "r"}, kToolSeconds);
  ChildProcess storage = start_storage(paths.cache);
  read_nvcc(nvcc.finish(), facts.tools);
  if (!facts.tools.docker.empty()) read_docker(docker.finish(), root, facts.tools);
  for (size_t i = 0; i < publishers.size(); ++i) {
    const ProcessResult result = publishers[i].finish();
    facts.ports.push_back({kPorts[i], result.ok() ? first_line(result.output) : "", "", ""});
  }
  facts.topology.links = parse_matrix(links.finish().output, facts.topology.names);
  std::vector<std::string> names;
  facts.topology.peers = parse_matrix(peers.finish().output, names);
  if (facts.topology.names.empty()) facts.topology.names = names;
  read_storage(storage.finish(), paths.cache, facts);
  return facts;
}

}  // namespace mica::doctor
