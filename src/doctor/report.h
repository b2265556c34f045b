// What the facts mean: one line a subject. docs/doctor.md says what each line is.
#pragma once

#include <string>
#include <vector>

#include "doctor/facts.h"
#include "ops/cuda/diagnosis.h"

namespace mica::doctor {

enum class Level {
  kOk,
  kNote,     // worth knowing, nothing to mend
  kWarning,  // slower or tighter than need be
  kFault,    // a GPU that this build is for can't be used
};
const char* name(Level level);  // "ok", "note", "warning", "fault"

struct Line {
  std::string id;  // stable: "driver", "gpu0.link"
  Level level = Level::kOk;
  std::string found;
  std::string remedy, command;  // where something is to be mended; command: what to type
};

struct Report {
  gpu::Finding device;  // of `--device cuda`
  std::vector<Line> lines;
};

Report examine(const MachineFacts& facts);
// 3 with a fault, else 0.
int exit_status(const Report& report);

// Columns of at most 80 characters; with colours of a terminal or without.
std::string to_text(const Report& report, bool colour);
// One object; its keys are in docs/doctor.md.
std::string to_json(const MachineFacts& facts, const Report& report);

// The parts of examine().
void examine_host(const MachineFacts& facts, std::vector<Line>& lines);
void examine_gpus(const MachineFacts& facts, std::vector<Line>& lines);
void examine_storage(const MachineFacts& facts, std::vector<Line>& lines);

// "7.8 GiB"; sizes of files and disks: "4.3 GB".
std::string gibibytes(uint64_t bytes);
std::string gigabytes(uint64_t bytes);

}  // namespace mica::doctor
