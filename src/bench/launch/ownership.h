// Who started what: one small file for each launch, written before anything starts, so that what a
// killed Mica left behind is found, recognised and ended by the next one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/launch/engine_process.h"
#include "bench/launch/process_table.h"

namespace mica {

// $XDG_STATE_HOME/mica, else ~/.local/state/mica.
std::filesystem::path default_state_folder();

// "20260131T120000Z-1a2b3c4d": unique, sorts by time, good in a container's name.
std::string new_run_id();
std::string utc_seconds();  // now: "2026-01-31T12:00:00Z"

struct Owner {
  ProcessId process;
  std::string boot, host;      // boot_id(); the machine's name, for homes on a network
  uint64_t process_space = 0;  // process_namespace()
};
Owner this_owner();

struct OwnedContainer {
  std::string docker;  // the program
  std::string name;    // "mica-RUN"; its label mica.run is RUN
  std::string id;      // empty until docker told it
};

struct OwnershipRecord {
  std::string run;  // new_run_id()
  Owner owner;
  std::string backend, created, log;
  LaunchedProcesses processes;  // leader.pid 0: not started yet; with docker: its client
  std::optional<OwnedContainer> container;
};
// Of a launch by this process that has not begun.
OwnershipRecord new_ownership(const std::string& backend);
std::string to_json(const OwnershipRecord& record);
OwnershipRecord ownership_from_json(const std::string& text);  // throws Error (kUsage)

// The mark of the processes of a launch: "MICA_LAUNCH=RUN".
std::string launch_mark(const std::string& run);

struct Recovery {
  std::string run, backend;
  StopReport report;
  std::string note;  // in words: what was there, or why it was left alone
};

class Ownership {
 public:
  // Folder "owned" of the state folder; made when missing.
  explicit Ownership(const std::filesystem::path& state_folder);

  void write(const OwnershipRecord& record) const;  // whole or not at all
  void remove(const std::string& run) const;
  std::vector<OwnershipRecord> all() const;  // readable ones

  // Ends what owners that are gone left behind, and removes their records; the record stays where
  // something could not be ended. Records of living owners and of other machines are not touched.
  std::vector<Recovery> recover(const StopPatience& patience) const;

 private:
  std::filesystem::path file_of(const std::string& run) const;
  std::filesystem::path folder_;
};

}  // namespace mica
