// A run as it happens: one JSON object a line, appended and never changed. What append() returned
// from outlives this process, whatever ends it; whether it outlives the machine is JournalSync's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "bench/results/run_record.h"

namespace mica {

// When lines are forced to the disk. The first and the last always are.
enum class JournalSync {
  kEachLine,    // before append() returns: costs a disk's latency, up to tens of ms
  kEachSecond,  // by a thread of its own: a power cut loses at most the last second
  kNever,       // when the system likes
};

class Journal {
 public:
  // Makes FOLDER/ID.journal with its first line and locks it. Nothing when that id is taken, by a
  // journal or by a result. Throws Error(kUsage) when the folder can't be written.
  static std::optional<Journal> create(const std::filesystem::path& folder, const RunRecord& head,
                                       JournalSync sync);
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();  // leaves the file

  // Thread-safe; each line is whole or not there. Throws Error(kMeasurement) when the disk is full.
  void append(const RequestSample& record);
  void append(const PhaseRecord& phase);
  void append(const Mark& mark);
  void append(const GpuUseRecord& use);
  void append(const Provenance& provenance);  // replaces the head's
  void append_series(const SeriesRecord& series, bool server);
  void append_end(RunState state, const std::string& error);  // the last line, on the disk

  void remove();  // once the result file is there
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Syncer;
  Journal(std::filesystem::path path, int fd, JournalSync sync);
  void write(std::string line);

  std::filesystem::path path_;
  int fd_ = -1;
  JournalSync sync_ = JournalSync::kEachSecond;
  std::unique_ptr<Syncer> syncer_;
  std::unique_ptr<std::mutex> mutex_;
};

// A journal that somebody left.
struct JournalContent {
  RunRecord run;       // kRunning unless its last line was written
  uint64_t lost = 0;   // bytes behind the last whole line, or from the first unreadable one on
  bool ended = false;  // its last line was written
};
// Throws Error(kUsage) when its first line can't be read.
JournalContent read_journal(std::string_view text, const std::string& source);

// A file that is locked while its owner lives; the kernel unlocks it at the owner's death.
class FileLock {
 public:
  // Nothing while another process has it, or when it is gone.
  static std::optional<FileLock> try_lock(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace mica
