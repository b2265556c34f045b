#include "ops/cuda/probe/smi_query.h"

#include <cstdlib>
#include <utility>

#include "ops/cuda/probe/parts.h"

namespace mica::gpu {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

// The name in: Field "compute_cap" is not a valid field to query.
std::string refused_field(const std::string& output) {
  const std::string before = "Field \"", after = "\" is not a valid field";
  const size_t begin = output.find(before), end = output.find(after);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return "";
  return output.substr(begin + before.size(), end - begin - before.size());
}

}  // namespace

Smi::Smi(std::string path, double seconds)
    : path_(std::move(path)),
      end_(Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

ProcessResult Smi::run(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {path_};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const double left = std::chrono::duration<double>(end_ - Clock::now()).count();
  return ChildProcess::program(argv, left > 0 ? left : 0).finish();
}

std::vector<std::string> split_values(std::string_view line, char separator) {
  std::vector<std::string> parts;
  while (!line.empty()) parts.push_back(trim(next_part(line, separator)));
  return parts;
}

ProcessResult query_gpus(Smi& smi, std::vector<std::string>& fields) {
  constexpr int kRuns = 6;
  ProcessResult result;
  for (int i = 0; i < kRuns; ++i) {
    result = smi.run({"--query-gpu=" + joined(fields), "--format=csv,noheader,nounits"});
    const std::string refused = refused_field(result.output);
    if (refused.empty() || std::erase(fields, refused) == 0) break;
  }
  return result;
}

std::vector<SmiProcess> query_processes(Smi& smi) {
  const ProcessResult result = smi.run(
      {"--query-compute-apps=gpu_uuid,pid,used_memory,name", "--format=csv,noheader,nounits"});
  std::vector<SmiProcess> processes;
  std::string_view rest = result.output;
  while (result.ok() && !rest.empty()) {
    std::string_view line = next_line(rest);
    SmiProcess found;
    found.uuid = trim(next_part(line, ','));
    found.process.pid = std::atoi(trim(next_part(line, ',')).c_str());
    const std::string memory = trim(next_part(line, ','));
    if (!memory.empty() && memory[0] != '[') found.process.memory = std::atoi(memory.c_str());
    found.process.name = trim(line);
    if (found.process.name.starts_with("["))  // "[Not Found]": not in sight
      found.process.name.clear();
    if (found.process.pid > 0) processes.push_back(std::move(found));
  }
  return processes;
}

}  // namespace mica::gpu
