// An engine's output, read for as long as it lives so that it never waits for a reader: into a file
// of bounded size and a ring of the last lines.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace mica {

struct LogOptions {
  // Its first `part_bytes` go into `file`; what follows into "<file>.tail", which becomes
  // "<file>.tail.1" when it is full: the start and the end of a log are kept, at most three parts.
  // Empty: no file.
  std::filesystem::path file;
  uint64_t part_bytes = uint64_t{64} << 20;
  size_t ring_lines = 400;
  size_t line_bytes = 4096;  // longer lines are cut in the ring, not in the file
  // Every line, cleaned as in the ring, on the pump's thread: must not wait.
  std::function<void(std::string_view line)> on_line;
};

// The writer of the file, on a thread of its own: a disk that hangs must not stop the reader.
class LogFile {
 public:
  static constexpr size_t kMaxPending = size_t{16} << 20;  // bytes; what comes beyond is dropped

  LogFile(std::filesystem::path file, uint64_t part_bytes);  // throws Error when it can't be made
  ~LogFile();                                                // writes what is pending
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void append(std::string_view bytes);
  uint64_t dropped() const;     // bytes
  std::string failure() const;  // why the file could not be written; empty: it is whole

 private:
  void run();
  void write(std::string_view bytes);
  bool next_part();

  const std::filesystem::path path_;
  const uint64_t part_bytes_;
  int fd_ = -1;
  bool in_tail_ = false;
  uint64_t written_ = 0;  // into the part
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string pending_, failure_;
  uint64_t dropped_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

// Cuts bytes into lines for the ring: without control characters and terminal colours, valid UTF-8;
// a carriage return begins the line anew, as progress bars want it.
class LineCutter {
 public:
  explicit LineCutter(size_t line_bytes) : line_bytes_(line_bytes) {}
  void feed(std::string_view bytes, const std::function<void(std::string_view line)>& on_line);
  void finish(const std::function<void(std::string_view line)>& on_line);

 private:
  void end_line(const std::function<void(std::string_view line)>& on_line);

  size_t line_bytes_;
  std::string line_;
  bool restart_ = false;  // a carriage return came: what follows replaces the line
};

class LogPump {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LogPump(LogOptions options);
  ~LogPump();  // as stop()
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;

  // Reads `fd`, which the pump owns from here on, until its end or stop().
  void start(int fd);
  // Reads what is there and ends, also when somebody still holds the other end of the pipe.
  void stop();

  // Waits until the pipe has ended and all of it is read; false when that took longer.
  bool wait_end(std::chrono::milliseconds patience) const;

  std::vector<std::string> tail(size_t lines) const;  // the last ones, oldest first
  std::string last_line() const;
  uint64_t bytes() const;
  double silence() const;  // seconds since the last byte, or since the start
  uint64_t dropped() const { return file_ ? file_->dropped() : 0; }
  std::filesystem::path file() const { return options_.file; }

 private:
  void run();
  bool read_some();
  void keep(std::string_view line);

  LogOptions options_;
  std::unique_ptr<LogFile> file_;
  LineCutter cutter_;
  int fd_ = -1, wake_fd_ = -1;
  mutable std::mutex mutex_;
  std::deque<std::string> ring_;
  mutable std::condition_variable ended_cv_;
  bool ended_ = false;
  uint64_t bytes_ = 0;
  Clock::time_point last_byte_ = Clock::now();
  std::thread thread_;
};

}  // namespace mica
