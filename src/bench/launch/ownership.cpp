#include "bench/launch/ownership.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "bench/launch/docker.h"

namespace mica {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kSchema = 1;

json id_json(const ProcessId& id) {
  return {{"pid", id.pid}, {"start", id.start}};
}

ProcessId id_of(const json& value) {
  return {value.at("pid").get<pid_t>(), value.at("start").get<uint64_t>()};
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string utc(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), format, &parts);
  return text.data();
}

// One recovery at a time: two would both end the same container.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder)
      : fd_(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    while (fd_ >= 0 && ::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

// Whether `owner` may still look after its launch, or is none of this machine's.
enum class OwnerState { kGone, kGoneWithItsProcesses, kAlive, kElsewhere };

OwnerState state_of(const Owner& owner, const Owner& self) {
  if (owner.host != self.host) return OwnerState::kElsewhere;
  if (owner.boot != self.boot) return OwnerState::kGoneWithItsProcesses;
  if (owner.process_space != self.process_space) return OwnerState::kElsewhere;
  return is_alive(owner.process) ? OwnerState::kAlive : OwnerState::kGone;
}

Recovery recover_one(const OwnershipRecord& record, OwnerState state,
                     const StopPatience& patience) {
  Recovery recovery{record.run, record.backend, {}, ""};
  if (state == OwnerState::kGone) recovery.report = stop_processes(record.processes, patience);
  if (record.container) {
    try {
      // Nobody saw it begin: its client, which may be gone, may have asked for it a moment ago.
      const bool may_come = state == OwnerState::kGone && record.container->id.empty();
      add(recovery.report,
          Docker(record.container->docker).stop_labelled(record.run, may_come, patience));
    } catch (const Error& error) {
      recovery.report.left.push_back(
          fmt::format("container {}: {}", record.container->name, error.what()));
    }
  }
  const StopReport& report = recovery.report;
  recovery.note = report.stopped == 0 && report.clean()
                      ? "nothing of it was running any more"
                      : fmt::format("{} ended of what process {} left running", report.stopped,
                                    record.owner.process.pid);
  for (const std::string& left : report.left) recovery.note += "; still there: " + left;
  return recovery;
}

}  // namespace

fs::path default_state_folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state && state[0] == '/') return fs::path(state) / "mica";
  const char* home = std::getenv("HOME");
  return fs::path(home && home[0] ? home : "/tmp") / ".local/state/mica";
}

std::string new_run_id() {
  std::random_device random;
  return fmt::format("{}-{:08x}", utc("%Y%m%dT%H%M%SZ"), random());
}

std::string utc_seconds() {
  return utc("%Y-%m-%dT%H:%M:%SZ");
}

Owner this_owner() {
  return {this_process(), boot_id(), host_name(), process_namespace()};
}

std::string launch_mark(const std::string& run) {
  return "MICA_LAUNCH=" + run;
}

OwnershipRecord new_ownership(const std::string& backend) {
  const std::string run = new_run_id();
  return {run, this_owner(), backend, utc_seconds(), "", {{}, launch_mark(run), {}}, {}};
}

std::string to_json(const OwnershipRecord& record) {
  json seen = json::array();
  for (const ProcessId& id : record.processes.seen) seen.push_back(id_json(id));
  json value = {{"schema", kSchema},
                {"run", record.run},
                {"backend", record.backend},
                {"created", record.created},
                {"log", record.log},
                {"owner",
                 {{"process", id_json(record.owner.process)},
                  {"boot", record.owner.boot},
                  {"host", record.owner.host},
                  {"process_space", record.owner.process_space}}},
                {"processes",
                 {{"leader", id_json(record.processes.leader)},
                  {"mark", record.processes.mark},
                  {"seen", seen}}}};
  if (const auto& container = record.container)
    value["container"] = {
        {"docker", container->docker}, {"name", container->name}, {"id", container->id}};
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

OwnershipRecord ownership_from_json(const std::string& text) {
  try {
    const json value = json::parse(text);
    if (value.at("schema") != kSchema)
      throw Error(ErrorKind::kUsage, "expected schema {}, found {}", kSchema,
                  value.at("schema").dump());
    const json& owner = value.at("owner");
    const json& processes = value.at("processes");
    OwnershipRecord record{
        value.at("run"),
        {id_of(owner.at("process")), owner.at("boot"), owner.at("host"), owner.at("process_space")},
        value.at("backend"),
        value.at("created"),
        value.at("log"),
        {id_of(processes.at("leader")), processes.at("mark"), {}},
        std::nullopt};
    for (const json& id : processes.at("seen")) record.processes.seen.push_back(id_of(id));
    if (value.contains("container")) {
      const json& container = value["container"];
      record.container = {container.at("docker"), container.at("name"), container.at("id")};
    }
    return record;
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kUsage, "not a record of a launch: {}", error.what());
  }
}

Ownership::Ownership(const fs::path& state_folder) : folder_(state_folder / "owned") {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (failed)
    throw Error(ErrorKind::kUsage,
                "[launch] {}: can't be made: {}; Mica notes there what it starts. Set "
                "XDG_STATE_HOME to a folder that can be written",
                folder_.string(), failed.message());
}

fs::path Ownership::file_of(const std::string& run) const {
  return folder_ / (run + ".json");
}

void Ownership::write(const OwnershipRecord& record) const {
  write_text_file(file_of(record.run), to_json(record));
}

void Ownership::remove(const std::string& run) const {
  std::error_code ignored;
  fs::remove(file_of(run), ignored);
}

std::vector<OwnershipRecord> Ownership::all() const {
  constexpr size_t kMaxBytes = size_t{4} << 20;
  std::vector<OwnershipRecord> records;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (entry.path().extension() != ".json") continue;
    try {
      records.push_back(ownership_from_json(read_text_file(entry.path(), kMaxBytes)));
      if (records.back().run != entry.path().stem()) records.pop_back();
    } catch (const Error& error) {
      log_warning("[launch] {}: {}; it is left alone", entry.path().string(), error.what());
    }
  }
  std::sort(records.begin(), records.end(),
            [](const OwnershipRecord& a, const OwnershipRecord& b) { return a.run < b.run; });
  return records;
}

std::vector<Recovery> Ownership::recover(const StopPatience& patience) const {
  const FolderLock lock(folder_);
  const Owner self = this_owner();
  std::vector<Recovery> recoveries;
  for (const OwnershipRecord& record : all()) {
    const OwnerState state = state_of(record.owner, self);
    if (state == OwnerState::kAlive || state == OwnerState::kElsewhere) continue;
    recoveries.push_back(recover_one(record, state, patience));
    if (recoveries.back().report.clean()) remove(record.run);
  }
  return recoveries;
}

}  // namespace mica
