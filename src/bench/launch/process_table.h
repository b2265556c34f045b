// What /proc says: identities that survive the reuse of process numbers, sessions and trees.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mica {

// A number is used again after its process; number and start time together are not.
struct ProcessId {
  pid_t pid = 0;       // 0: none
  uint64_t start = 0;  // field 22 of /proc/PID/stat, clock ticks since the system's start
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

struct ProcessFacts {
  ProcessId id;
  std::string name;  // of /proc/PID/stat, at most 15 bytes
  char state = '?';  // 'Z': dead and not collected
  pid_t parent = 0, group = 0, session = 0;
  uint64_t cpu_ticks = 0;       // user and system
  uint64_t resident_bytes = 0;  // pages in memory
};

// A file of /proc; they have no size. Empty when it can't be opened, and what was read until then
// when its process dies meanwhile (read says ESRCH, for which std::ifstream's buffer throws).
std::string read_proc(const std::filesystem::path& path);

// Nothing when there is no such process or it can't be read.
std::optional<ProcessFacts> read_process(pid_t pid);
// Of the text of /proc/PID/stat; the name may hold blanks and parentheses.
std::optional<ProcessFacts> parse_process_stat(std::string_view text);
std::vector<ProcessFacts> all_processes();

ProcessId this_process();
// There is such a process, and it is no zombie.
bool is_alive(const ProcessId& id);
// Is `text` ("NAME=value") a variable that the process was started with? False where that can't be
// read, and for programs that write over it (setproctitle).
bool has_variable(pid_t pid, const std::string& text);
// The variable's value, likewise; empty: none.
std::string variable_of(pid_t pid, const std::string& name);
std::string command_line(pid_t pid);  // with blanks between the words, or its name

// Differs after each start of the system, and between systems.
std::string boot_id();
// Numbers of processes mean the same to two processes with the same one; 0 = not known.
uint64_t process_namespace();

// What a launch left running: the session of its first process, all that descend from it, and
// whoever carries its mark in the environment.
struct LaunchedProcesses {
  ProcessId leader;             // of a session and a process group of its own
  std::string mark;             // "MICA_LAUNCH=…"
  std::vector<ProcessId> seen;  // members that were seen while the leader lived
};
// The processes of a group, as a shell's job is one, and all that descends from them; never this
// process. Of a server that somebody else started.
std::vector<ProcessFacts> living_group(const ProcessId& member);
// Those alive; never this process. Proven are the leader, who was seen and who carries the mark; a
// proven member proves its session. A session without one counts not: its number may be another's.
std::vector<ProcessFacts> living(const LaunchedProcesses& launched);

}  // namespace mica
